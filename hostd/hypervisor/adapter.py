"""The port `Hypervisor` over libvirt's own binding.

Read-only: nothing here needs more, and a read-only socket is what an operator can give away. One connection tells of
events and of who there is. Domains are asked for their numbers over connections of their own (lanes), one a thread, and
storage pools and other objects over one more each: libvirtd serves five requests of one client at once, so calls that
hang could freeze a connection, and these are the calls that may.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import libvirt

from hostd.hypervisor import (
    Answer,
    CallFailed,
    HypervisorError,
    NoSuchDomain,
    Notice,
    TimedOut,
    Unavailable,
    details,
    events,
    objects,
    questions,
)
from hostd.hypervisor.calls import Bound, Calls
from hostd.hypervisor.groups import Groups, groups_of
from hostd.hypervisor.host import Machine
from hostd.hypervisor.link import Link, Teller, is_alive, open_lane, open_link, translated
from hostd.hypervisor.process import pid_file, pid_folder, process_stats
from hostd.hypervisor.questions import Wanted
from hostd.hypervisor.selection import ALL_DEVICES, Devices, Selection
from hostd.hypervisor.subscriptions import subscribe
from hostd.hypervisor.support import Support
from hostd.labels import Rules
from hostd.model.details import Details, Job
from hostd.model.domain import DomainFacts
from hostd.model.host import ConnectionFacts, Host
from hostd.model.objects import Countable, Network
from hostd.model.stats import ProcessStats, Survey
from hostd.model.storage import StoragePool
from hostd.settings import ConnectionSettings, SamplingSettings, StorageSettings

T = TypeVar("T")

THREADS = 4  # one each for connecting, listing and describing, sampling the host, reading /proc
CLOSE_SECONDS = 0.5
MAX_KNOWN = 10_000  # domains that one lane remembers
MOST_STUCK = 16  # of libvirtd's 20 workers (max_workers); some have to be left for those who manage the host


class LibvirtAdapter:
    """One libvirt; the named channels are those whose paths domains are described with, `rules` make their labels."""

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        channel_name: str,
        vhostmd_channel_name: str = "",
        serial_aliases: tuple[str, ...] = (),
        sampling: SamplingSettings,
        storage: StorageSettings,
        rules: Rules = Rules(),  # noqa: B008 - frozen
        devices: Devices = ALL_DEVICES,
    ) -> None:
        self._settings = settings
        self._max_volumes = storage.max_volumes_per_pool if storage.volumes else 0
        self._is_remote = urlsplit(settings.uri).hostname is not None
        self._wanted = Wanted(
            # a socket of another machine cannot be opened here
            channel_name="" if self._is_remote else channel_name,
            vhostmd_channel_name="" if self._is_remote else vhostmd_channel_name,
            serial_aliases=() if self._is_remote else serial_aliases,
            rules=rules,
            domains=Selection(include=settings.include, exclude=settings.exclude),
            devices=devices,
        )
        self._pid_folder = pid_folder(settings.uri)
        bound = Bound(MOST_STUCK)
        name, label = f"libvirt {settings.name}".rstrip(), settings.name
        self._calls = Calls(threads=THREADS, name=name, bound=bound, connection=label)
        self._asking = Calls(threads=settings.domains_at_once, name=f"{name} lane", bound=bound, connection=label)
        self._storing = Calls(threads=1, name=f"{name} storage", bound=bound, connection=label)
        self._listing = Calls(threads=1, name=f"{name} objects", bound=bound, connection=label)
        self._support = Support(settings.name)
        self._machine = Machine(self._support, is_this_machine=not self._is_remote and not self._is_pretended())
        self._groups = groups_of(sampling, devices)
        self._link: Link | None = None
        self._lanes = threading.local()

    async def connect(self, on_notice: Callable[[Notice], None]) -> ConnectionFacts:
        events.start()
        teller = Teller(asyncio.get_running_loop(), on_notice)
        link, facts = await self._calls.run(
            "connect",
            lambda: open_link(self._settings.uri, teller, lambda link: subscribe(link, teller.tell, self._support)),
            deadline_seconds=self._settings.deadline_seconds,
            discard=lambda opened: opened[0].give_up(),
        )
        self._link = link
        self._machine.forget()
        return facts

    async def list_domains(self) -> tuple[DomainFacts, ...]:
        return await self._query("list_domains", lambda connection: questions.domains(connection, self._wanted))

    async def describe(self, uuid: str) -> DomainFacts:
        return await self._query(
            "describe", lambda connection: questions.domain(connection, uuid, self._wanted), key=uuid
        )

    async def survey(self) -> Mapping[str, Survey]:
        return await self._query(
            "survey",
            lambda connection: questions.survey(connection, self._support, self._groups, self._wanted),
        )

    async def ask(self, uuid: str, *, deadline_seconds: float, may_enter: bool, is_rare: bool = False) -> Answer:
        may_enter = may_enter and not self._asking.is_stuck(uuid)
        return await self._asking.run(
            "ask",
            self._over_lane(
                "ask",
                lambda lane: lane.answer(uuid, self._support, self._groups, may_enter=may_enter, is_rare=is_rare),
            ),
            deadline_seconds=deadline_seconds,
            key=uuid if may_enter else f"control of {uuid}",
        )

    async def ask_details(self, uuid: str, *, deadline_seconds: float) -> Details:
        return await self._asking.run(
            "ask_details",
            self._over_lane("ask_details", lambda lane: lane.details(uuid, self._support, self._wanted.devices)),
            deadline_seconds=deadline_seconds,
            key=uuid,  # as for its numbers: a domain that is stuck holds one thread, whatever it was asked
        )

    async def ask_job(self, uuid: str, *, deadline_seconds: float) -> Job | None:
        return await self._asking.run(
            "ask_job",
            self._over_lane("ask_job", lambda lane: lane.job(uuid, self._support)),
            deadline_seconds=deadline_seconds,
            key=uuid,
        )

    async def sample_host(self) -> Host:
        if self._machine.wants_capabilities:
            await self._read_capabilities()
        return await self._query("sample_host", self._machine.sample)

    async def _read_capabilities(self) -> None:
        with suppress(TimedOut, CallFailed):  # which is counted, and no reason to know nothing else of the host
            await self._query("capabilities", self._machine.read_capabilities)

    async def sample_processes(self, names: Mapping[str, str]) -> Mapping[str, ProcessStats]:
        folder = self._pid_folder
        if folder is None:
            return {}
        return await self._calls.run(
            "sample_processes",
            lambda: {
                uuid: stats
                for uuid, name in names.items()
                if "/" not in name and (stats := process_stats(pid_file(folder, name))) is not None
            },
            deadline_seconds=self._settings.deadline_seconds,
        )

    async def list_pools(self) -> Mapping[str, str]:
        question = lambda lane: questions.pools(lane.connection, self._support)  # noqa: E731
        return await self._over(self._storing, "list_pools", question)

    async def sample_pool(self, uuid: str) -> StoragePool:
        question = lambda lane: questions.pool(lane.connection, uuid, max_volumes=self._max_volumes)  # noqa: E731
        return await self._over(self._storing, "sample_pool", question, key=uuid)

    async def list_networks(self) -> Mapping[str, str]:
        question = lambda lane: objects.networks(lane.connection, self._support)  # noqa: E731
        return await self._over(self._listing, "list_networks", question)

    async def sample_network(self, uuid: str) -> Network | None:
        question = lambda lane: objects.network(lane.connection, uuid, self._support)  # noqa: E731
        return await self._over(self._listing, "sample_network", question, key=uuid)

    async def count(self, what: Countable) -> Mapping[str, int] | None:
        question = lambda lane: objects.count(lane.connection, what, self._support)  # noqa: E731
        return await self._over(self._listing, "count", question, key=what.value)

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        lanes, self._lanes = [self._lanes], threading.local()

        def give_up() -> None:
            lanes.clear()  # the last reference closes them, which blocks while the daemon does not answer
            link.give_up()

        with suppress(TimedOut):  # the daemon is stuck; its side of the socket ends with the process
            await self._calls.run("close", give_up, deadline_seconds=CLOSE_SECONDS)

    async def _query(self, what: str, question: Callable[[Any], T], *, key: str = "") -> T:
        """Ask over the connection that tells of events."""
        link = self._connected()

        def asked() -> T:
            with link as connection:
                try:
                    return question(connection)
                except libvirt.libvirtError as error:
                    raise translated(what, error, connection) from error

        return await self._calls.run(what, asked, deadline_seconds=self._settings.deadline_seconds, key=key)

    async def _over(self, calls: Calls, what: str, question: Callable[["_Lane"], T], *, key: str = "") -> T:
        """Ask over the connection of whichever of these threads is free."""
        deadline_seconds = self._settings.deadline_seconds
        return await calls.run(what, self._over_lane(what, question), deadline_seconds=deadline_seconds, key=key)

    def _over_lane(self, what: str, question: Callable[["_Lane"], T]) -> Callable[[], T]:
        """The question, to be asked over the connection of whichever thread asks it."""
        link, lanes = self._connected(), self._lanes

        def asked() -> T:
            # each connection to a test:///FILE has domains of its own, so there all share the one
            with link if self._is_pretended() else nullcontext() as shared:
                connection = shared
                try:
                    lane = self._lane(lanes, shared)
                    connection = lane.connection
                    return question(lane)
                except libvirt.libvirtError as error:
                    raise translated(what, error, connection) from error

        return asked

    def _lane(self, lanes: threading.local, shared: Any) -> "_Lane":  # noqa: ANN401 - the binding has no types
        lane: _Lane | None = getattr(lanes, "lane", None)
        if lane is None or not is_alive(lane.connection):
            lane = lanes.lane = _Lane(shared or open_lane(self._settings.uri))
        return lane

    def _connected(self) -> Link:
        if self._link is None:
            raise Unavailable("not connected")
        return self._link

    def _is_pretended(self) -> bool:
        return self._settings.uri.startswith("test:")


class _Lane:
    """One thread's connection, and the domains it has looked up over it."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the binding has no types
        self.connection = connection
        self._domains: dict[str, Any] = {}

    def answer(self, uuid: str, support: Support, groups: Groups, *, may_enter: bool, is_rare: bool) -> Answer:
        """A domain's numbers."""
        return self._asked(
            uuid,
            lambda domain: questions.answer(
                self.connection, domain, support, groups, may_enter=may_enter, is_rare=is_rare
            ),
        )

    def details(self, uuid: str, support: Support, devices: Devices) -> Details:
        """What a domain is asked now and then."""
        return self._asked(uuid, lambda domain: details.details(self.connection, domain, support, devices))

    def job(self, uuid: str, support: Support) -> Job | None:
        """The job that runs on a domain."""
        return self._asked(uuid, lambda domain: details.job(self.connection, domain, support))

    def _asked(self, uuid: str, question: Callable[[Any], T]) -> T:
        """Ask a domain; what it is known by is looked up once, for libvirt finds it by its UUID ever after."""
        if uuid not in self._domains:
            if len(self._domains) >= MAX_KNOWN:  # most of them are long gone
                self._domains.clear()
            self._domains[uuid] = self.connection.lookupByUUIDString(uuid)
        try:
            return question(self._domains[uuid])
        except (libvirt.libvirtError, HypervisorError) as error:
            domain = self._domains.pop(uuid)
            if _is_of_the_stopped(error) and not domain.isActive():  # it is told by an event, and by the next survey
                raise NoSuchDomain(f"domain {uuid} has stopped meanwhile") from error
            raise


def _is_of_the_stopped(error: Exception) -> bool:
    """Whether it is what libvirt says of a domain that does not run; it says it for other reasons as well."""
    return isinstance(error, libvirt.libvirtError) and error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID
