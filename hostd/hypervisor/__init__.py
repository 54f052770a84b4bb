"""Libvirt, as the rest of hostd sees it: a port, the errors it may raise, and what it tells by itself.

`adapter` meets the port below. Only it and what it is made of (`link`, `questions`, `details`, `groups`, `host`,
`objects`, `percall`, `subscriptions`, `support`, `events`) import libvirt. `decode`, `progress`, `describe` with its
`devices` and `metadata`, `capabilities`, `notices`, `selection` and `names` are pure: libvirt's flat parameters and XML
in, model values out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from hostd.model.details import Details, Job
from hostd.model.domain import DomainFacts
from hostd.model.host import ConnectionFacts, Host
from hostd.model.objects import Countable, Network
from hostd.model.stats import Control, DomainStats, ProcessStats, Survey
from hostd.model.storage import StoragePool


class HypervisorError(Exception):
    """Libvirt could not do what it was asked; the message is libvirt's own, or ours."""


class Unavailable(HypervisorError):  # noqa: N818 - named after the state of things, not after itself
    """There is no connection, or it just broke: connect again, later."""


class WrongUri(HypervisorError):  # noqa: N818
    """No driver serves this URI, now or later: somebody has to correct it."""


class NoSuchDomain(HypervisorError):  # noqa: N818
    """The domain is gone: forget it."""


class NoSuchPool(HypervisorError):  # noqa: N818
    """The storage pool is gone: forget it."""


class CallFailed(HypervisorError):  # noqa: N818
    """This call failed on a connection that works: count it and go on."""


class TimedOut(HypervisorError):  # noqa: N818
    """The call did not answer in time and may never: leave it alone for a while."""


class TooManyStuck(Exception):  # noqa: N818
    """So many calls have not returned that only a new process helps; no part can wait this out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking a domain: `stats` is None if it was left alone, its monitor being occupied or not wanted."""

    stats: DomainStats | None
    control: Control | None  # None where the driver does not tell


Particulars = tuple[tuple[str, object], ...]
"""What else libvirt said, by name: for the log alone, because it has no end, and a guest may have a say in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A migration, a save, a backup and the like that came to an end."""

    operation: str
    result: str  # completed or failed
    seconds: float | None = None
    downtime_seconds: float | None = None  # for how long the guest stood still


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainNotice:
    """Libvirt says that something happened to a domain; event and detail are words of libvirt's, which has few."""

    uuid: str
    name: str
    event: str
    detail: str
    at: float  # seconds since 1970, by this host's clock, when it was heard
    particulars: Particulars = ()
    job: FinishedJob | None = None
    changes_facts: bool = True  # whether the domain may be described otherwise now
    is_quiet: bool = False  # too frequent, or too much at the guest's will, for the log

    @property
    def object(self) -> str:
        """The kind of what it happened to."""
        return "domain"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectNotice:
    """Libvirt says that something happened to what is not a domain."""

    object: str  # the kind of it
    name: str
    event: str
    detail: str
    at: float
    particulars: Particulars = ()
    is_quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedNotice:
    """Libvirt's daemon went away."""

    why: str


Notice = DomainNotice | ObjectNotice | ClosedNotice


class Hypervisor(Protocol):
    """One libvirt. Every method but `close` may raise any `HypervisorError` within its deadline, and `TooManyStuck`."""

    async def connect(self, on_notice: Callable[[Notice], None]) -> ConnectionFacts:
        """Open, subscribe to events, and tell what was reached. `on_notice` is called on the event loop."""

    async def list_domains(self) -> tuple[DomainFacts, ...]:
        """All domains, active and not."""

    async def describe(self, uuid: str) -> DomainFacts:
        """One domain."""

    async def survey(self) -> Mapping[str, Survey]:
        """What is known of all active domains, by UUID, without the help of any: a stuck one holds nobody up."""

    async def ask(self, uuid: str, *, deadline_seconds: float, may_enter: bool, is_rare: bool = False) -> Answer:
        """The numbers of one active domain, with `is_rare` also those that are asked for now and then.

        Unless `may_enter`, only how the way to its monitor is.
        """

    async def ask_details(self, uuid: str, *, deadline_seconds: float) -> Details:
        """What one domain, active or not, is asked only now and then."""

    async def ask_job(self, uuid: str, *, deadline_seconds: float) -> Job | None:
        """The job that runs on one active domain; None where that cannot be said."""

    async def sample_host(self) -> Host:
        """The host's numbers."""

    async def sample_processes(self, names: Mapping[str, str]) -> Mapping[str, ProcessStats]:
        """What the host's kernel says of the processes of these domains (UUID to name), as far as it may be read."""

    async def list_pools(self) -> Mapping[str, str]:
        """All storage pools, UUID to name; none where there is no storage driver."""

    async def sample_pool(self, uuid: str) -> StoragePool:
        """One storage pool."""

    async def list_networks(self) -> Mapping[str, str]:
        """All networks, UUID to name; none where there is no network driver."""

    async def sample_network(self, uuid: str) -> Network | None:
        """One network; None if it is gone."""

    async def count(self, what: Countable) -> Mapping[str, int] | None:
        """How many there are of each kind, by libvirt's names for the kinds; None where there is no driver for them."""

    async def close(self) -> None:
        """Give the connection up; never raises, and waits only briefly."""
