"""hostd as a whole: makes the parts, runs them together, and ends them together.

Any part that ends in an error ends the rest: what the world may do to a part is waited out within it, so what comes up
to here is a bug, and a supervisor starting a clean process is the best answer to one.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hostd import config, pulse, renderer, sampler, systemd, watcher
from hostd.channels.line import prefix_of
from hostd.exposition import Exposition
from hostd.guests import roster, visitors
from hostd.guests.labels import Allowance
from hostd.guests.session import Post
from hostd.history.recorder import History, Limits
from hostd.http.server import serving
from hostd.hypervisor import HypervisorError, Notice
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.hypervisor.selection import Devices, Selection
from hostd.model import changes
from hostd.model.host import Connection
from hostd.model.world import World
from hostd.settings import ConnectionSettings, DeviceSettings, Settings
from hostd.store import Store
from hostd.systemd import Supervisor
from hostd.vhostmd import server
from protocol import vhostmd

_log = logging.getLogger(__name__)

PAGE_THREADS = 2  # one renders while another makes a page; more would only wait for the same lock
SWITCH_SECONDS = 0.0005  # a thread that has an answer of libvirt's to decode leaves the event loop its turn this soon


@dataclass(frozen=True, slots=True)
class _Line:
    """One connection's own World and way to libvirt: nothing of it is shared with another's."""

    settings: ConnectionSettings
    store: Store
    hypervisor: LibvirtAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """What all connections share."""

    exposition: Exposition
    supervisor: Supervisor
    history: History
    allowance: Allowance


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        CannotListen: the address is taken.
        ExceptionGroup: of a part that failed; of `WrongUri` if no driver serves a URI; of `TooManyStuck` if only a new
            process helps.

    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(PAGE_THREADS, thread_name_prefix="page"))
    sys.setswitchinterval(SWITCH_SECONDS)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lines, common = _lines(settings), _common(settings)
    supervisor, exposition = common.supervisor, common.exposition
    host, port = config.address_of(settings.http.listen, where="http.listen")
    stores = [line.store for line in lines]
    listener = visitors.listening(settings.guests.vsock_port) if settings.guests.vsock_port else None
    async with serving(stores, exposition, host, port) as actual_port, asyncio.TaskGroup() as group:
        _log.info("http: listening on http://%s:%d", f"[{host}]" if ":" in host else host, actual_port)
        _drop_foreign(supervisor, lines)
        services = [("pulse", pulse.beat()), ("supervisor", supervisor.beat(lambda: _status(lines)))]
        services.append(("history", common.history.run()))
        for line in lines:
            services += _services(line, common, settings)
        if listener is not None:
            services.append(("vsock", visitors.keep([_post(line, common, settings) for line in lines], listener)))
        tasks = [group.create_task(service, name=name) for name, service in services]
        supervisor.tell(READY=1)
        await stop.wait()
        _log.info("stopping")
        supervisor.tell(STOPPING=1)
        for task in tasks:
            task.cancel()
    for line in lines:
        await line.hypervisor.close()
    supervisor.close()


async def collect_once(settings: Settings) -> bytes:
    """One page after one collection of everything, without guests and without listening.

    Raises:
        HypervisorError: none of the connections could be asked.

    """
    exposition, lines = _exposition(settings), _lines(settings)
    failures: list[HypervisorError] = []
    for line in lines:
        try:
            await _collect_line(line, settings)
        except HypervisorError as error:
            failures.append(error)
            line.store.tell(changes.HypervisorLost(why=str(error)))
        exposition.update(line.store.world)
    if len(failures) == len(lines):
        raise failures[0]
    return exposition.page(now=time.time(), openmetrics=False, gzip=False)


async def _collect_line(line: _Line, settings: Settings) -> None:
    facts = await line.hypervisor.connect(_ignore)
    try:
        line.store.tell(changes.HypervisorConnected(facts=facts))
        line.store.tell(changes.DomainsListed(domains=await line.hypervisor.list_domains()))
        for collector in sampler.collectors(line.store, line.hypervisor, line.settings, settings):
            await sampler.Collection(line.store, collector).run()
    finally:
        await line.hypervisor.close()


def _services(line: _Line, common: _Common, settings: Settings) -> list[tuple[str, Coroutine[Any, Any, NoReturn]]]:
    store, hypervisor, of = line.store, line.hypervisor, f" {line.settings.name}".rstrip()
    services = [
        (f"watcher{of}", watcher.watch(store, hypervisor)),
        (f"sampler{of}", sampler.sample(store, hypervisor, line.settings, settings)),
        (f"guests{of}", roster.keep(_post(line, common, settings), common.supervisor)),
        (f"renderer{of}", renderer.keep(store, common.exposition)),
    ]
    if settings.vhostmd.virtio:
        check = settings.guests.check_peer
        services.append((f"vhostmd{of}", server.keep(store, _placeholder, checks_peer=check)))
    return services


def _placeholder(world: World, uuid: str) -> bytes:
    """Stands for Documents.answer."""
    domain = world.domains[uuid]
    whose = vhostmd.Metric("TotalCPUTime", "0", "real64", "vm", "s", str(domain.facts.id), uuid)
    time_ = vhostmd.Metric("Time", str(int(time.time())), "uint64")
    return vhostmd.document([time_, whose]) + b"\n"


def _post(line: _Line, common: _Common, settings: Settings) -> Post:
    return Post(store=line.store, settings=settings.guests, allowance=common.allowance, history=common.history)


def _common(settings: Settings) -> _Common:
    history = settings.history
    limits = Limits(max_age_seconds=history.max_age_seconds, max_bytes=history.max_bytes)
    return _Common(
        exposition=_exposition(settings),
        supervisor=systemd.from_environment(),
        history=History(Path(history.path) if history.path else None, limits),
        allowance=Allowance(settings.guests.max_series),
    )


def _drop_foreign(supervisor: Supervisor, lines: Sequence[_Line]) -> None:
    """Let go of what an earlier hostd left us of connections that are configured no more."""
    ours = tuple(prefix_of(line.settings.name) for line in lines)
    supervisor.forget_all_but((), of=lambda name: not name.startswith(ours))


def _status(lines: Sequence[_Line]) -> str:
    """One line for `systemctl status`."""
    worlds = [line.store.world for line in lines]
    domains = [domain for world in worlds for domain in world.domains.values()]
    return (
        f"{sum(world.connection.is_up for world in worlds)} of {len(worlds)} libvirt connections up; "
        f"{len(domains)} domains, {sum(domain.guest.is_connected for domain in domains)} guests connected"
    )


def _lines(settings: Settings) -> tuple[_Line, ...]:
    return tuple(_line(connection, settings) for connection in settings.connection)


def _line(connection: ConnectionSettings, settings: Settings) -> _Line:
    store = Store(World(connection=Connection(uri=connection.uri, name=connection.name)))
    hypervisor = LibvirtAdapter(
        connection,
        channel_name=settings.guests.channel,
        vhostmd_channel_name=settings.vhostmd.channel if settings.vhostmd.virtio else "",
        serial_aliases=settings.guests.serial_aliases,
        sampling=settings.sampling,
        storage=settings.storage,
        rules=config.rules_of(settings),
        devices=Devices(disks=_selection(settings.disks), interfaces=_selection(settings.interfaces)),
    )
    return _Line(connection, store, hypervisor)


def _selection(of: DeviceSettings) -> Selection:
    return Selection(include=of.include, exclude=of.exclude)


def _exposition(settings: Settings) -> Exposition:
    chosen = settings.exposition
    return Exposition(max_series_per_domain=chosen.max_series_per_domain, compat=chosen.compat)


def _ignore(_notice: Notice) -> None:
    return
