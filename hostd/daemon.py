"""hostd as a whole: makes the parts, runs them together, and ends them together.

Any part that ends in an error ends the rest: what the world may do to a part is waited out within it, so what comes up
to here is a bug, and a supervisor starting a clean process is the best answer to one.
"""

import asyncio
import logging
import signal
import time

from hostd import config, sampler, watcher
from hostd.config import Settings
from hostd.exposition import Exposition
from hostd.guests import roster
from hostd.http.server import serving
from hostd.hypervisor import Notice
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.model import changes
from hostd.model.host import Connection
from hostd.model.world import World
from hostd.store import Store

_log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        CannotListen: the address is taken.
        ExceptionGroup: of a part that failed; of `WrongUri` if no driver serves the URI.

    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store, hypervisor = _parts(settings)
    host, port = config.address_of(settings.http.listen, where="http.listen")
    async with serving(store, host, port) as actual_port, asyncio.TaskGroup() as group:
        _log.info("http: listening on http://%s:%d", f"[{host}]" if ":" in host else host, actual_port)
        interval_seconds = settings.sampling.interval_seconds
        parts = (
            group.create_task(watcher.watch(store, hypervisor), name="watcher"),
            group.create_task(sampler.sample(store, hypervisor, interval_seconds=interval_seconds), name="sampler"),
            group.create_task(roster.keep(store, settings.guests), name="guests"),
        )
        await stop.wait()
        _log.info("stopping")
        for part in parts:
            part.cancel()
    await hypervisor.close()


async def collect_once(settings: Settings) -> bytes:
    """One page after one collection, without guests and without listening.

    Raises:
        HypervisorError: libvirt could not be asked.

    """
    store, hypervisor = _parts(settings)
    facts = await hypervisor.connect(_ignore)
    try:
        store.tell(changes.HypervisorConnected(facts=facts))
        store.tell(changes.DomainsListed(domains=await hypervisor.list_domains()))
        store.tell(changes.HostSampled(host=await hypervisor.sample_host()))
        store.tell(changes.DomainsSampled(stats=await hypervisor.sample_domains(), at=time.time()))
        return Exposition().page(store.world, now=time.time(), openmetrics=False)
    finally:
        await hypervisor.close()


def _parts(settings: Settings) -> tuple[Store, LibvirtAdapter]:
    connection = settings.connection
    store = Store(World(connection=Connection(uri=connection.uri)))
    hypervisor = LibvirtAdapter(
        connection.uri, channel_name=settings.guests.channel, deadline_seconds=connection.deadline_seconds
    )
    return store, hypervisor


def _ignore(_notice: Notice) -> None:
    return
