"""A hypervisor that answers on order, for the faults that a real one shows when it likes."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hostd.hypervisor import (
    Answer,
    DomainNotice,
    Hypervisor,
    HypervisorError,
    NoSuchDomain,
    Notice,
    Unavailable,
)
from hostd.model.details import NO_JOB, Details, Job
from hostd.model.domain import DomainFacts
from hostd.model.host import ConnectionFacts, Host
from hostd.model.objects import Countable, Network
from hostd.model.stats import Control, ControlState, DomainStats, ProcessStats, Survey
from hostd.model.storage import StoragePool
from tests.support.hosts import CONNECTION_FACTS, HOST

AT = 1_700_000_090.0
"""When all that happens does."""


class FakeHypervisor(Hypervisor):
    """What libvirt would say: a test sets `domains`, `stats`, `host` and so on.

    `faults` are by the method that shall fail, or by the UUID of the domain, pool or network that
    shall, or by the value of what shall not be counted.
    """

    def __init__(self, *domains: DomainFacts) -> None:
        self.domains = {facts.uuid: facts for facts in domains}
        self.stats: dict[str, DomainStats] = {}
        self.surveys: dict[str, Survey] = {}
        self.controls: dict[str, Control] = {}  # ok unless it is here
        self.processes: dict[str, ProcessStats] = {}
        self.pools: dict[str, StoragePool] = {}
        self.networks: dict[str, Network] = {}
        self.counts: dict[Countable, dict[str, int]] = {}
        self.details: dict[str, Details] = {}
        self.detailed: list[str] = []  # whose details were asked for, in order
        self.jobs: dict[str, Job | None] = {}
        self.followed: list[str] = []  # whose job was asked for, in order
        self.entered: list[str] = []  # whose numbers were asked for, in order
        self.host = HOST
        self.faults: dict[str, HypervisorError | Exception] = {}
        self.asked: Counter[str] = Counter()
        self.before: dict[str, Callable[[], None]] = {}  # what happens as a method is asked, before it answers
        self._on_notice: Callable[[Notice], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody is connected and subscribed."""
        return self._on_notice is not None

    async def connect(self, on_notice: Callable[[Notice], None]) -> ConnectionFacts:
        self._ask("connect")
        self._on_notice = on_notice
        return CONNECTION_FACTS

    async def list_domains(self) -> tuple[DomainFacts, ...]:
        self._ask("list_domains")
        self._need_connection()
        return tuple(self.domains.values())

    async def describe(self, uuid: str) -> DomainFacts:
        self._ask("describe")
        self._need_connection()
        if uuid not in self.domains:
            raise NoSuchDomain(f"describe: no domain {uuid}")
        return self.domains[uuid]

    async def survey(self) -> Mapping[str, Survey]:
        self._ask("survey")
        return dict(self.surveys)

    async def ask(
        self,
        uuid: str,
        *,
        deadline_seconds: float,  # noqa: ARG002 - the port's
        may_enter: bool,
        is_rare: bool = False,
    ) -> Answer:
        control = self.controls.get(uuid, Control(state=ControlState.OK))
        if not may_enter or control.state is not ControlState.OK:
            return Answer(stats=None, control=control)
        self.entered.append(uuid)
        self._ask(uuid)
        stats = self.stats[uuid]
        return Answer(stats=stats if is_rare else replace(stats, rare=None), control=control)

    async def ask_details(self, uuid: str, *, deadline_seconds: float) -> Details:  # noqa: ARG002 - the port's
        self.detailed.append(uuid)
        self._ask(f"details of {uuid}")
        return self.details.get(uuid, Details())

    async def ask_job(self, uuid: str, *, deadline_seconds: float) -> Job | None:  # noqa: ARG002 - the port's
        self.followed.append(uuid)
        self._ask(f"job of {uuid}")
        return self.jobs.get(uuid, NO_JOB)

    async def sample_processes(self, names: Mapping[str, str]) -> Mapping[str, ProcessStats]:
        self._ask("sample_processes")
        return {uuid: self.processes[uuid] for uuid in names if uuid in self.processes}

    async def list_pools(self) -> Mapping[str, str]:
        self._ask("list_pools")
        return {uuid: pool.name for uuid, pool in self.pools.items()}

    async def sample_pool(self, uuid: str) -> StoragePool:
        self._ask(uuid)
        return self.pools[uuid]

    async def list_networks(self) -> Mapping[str, str]:
        self._ask("list_networks")
        return {uuid: network.name for uuid, network in self.networks.items()}

    async def sample_network(self, uuid: str) -> Network | None:
        self._ask(uuid)
        return self.networks.get(uuid)

    async def count(self, what: Countable) -> Mapping[str, int] | None:
        self._ask(what.value)
        return self.counts.get(what)

    async def sample_host(self) -> Host:
        self._ask("sample_host")
        return self.host

    async def close(self) -> None:
        self.asked["close"] += 1
        self._on_notice = None

    def tell(self, notice: Notice) -> None:
        """Libvirt says something by itself."""
        assert self._on_notice is not None, "nobody is subscribed"
        self._on_notice(notice)

    def happen(self, facts: DomainFacts, event: str, detail: str, **others: Any) -> None:  # noqa: ANN401 - DomainNotice's
        """A domain is now so, and libvirt tells."""
        self.domains[facts.uuid] = facts
        self.tell(DomainNotice(uuid=facts.uuid, name=facts.name, event=event, detail=detail, at=AT, **others))

    def _ask(self, what: str) -> None:
        self.asked[what] += 1
        self.before.get(what, lambda: None)()
        if what in self.faults:
            raise self.faults[what]

    def _need_connection(self) -> None:
        if not self.is_open:
            raise Unavailable("not connected")
