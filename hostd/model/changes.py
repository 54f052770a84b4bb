"""Everything that can happen to the World, one class each.

To add one: its class, its place in `Change`, and a `case` in `world.World.apply` (mypy finds a forgotten one).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hostd.model.details import Details
from hostd.model.domain import DomainFacts
from hostd.model.host import ConnectionFacts, Host
from hostd.model.objects import Objects
from hostd.model.stats import DomainState, ProcessStats, Sample
from hostd.model.storage import StoragePool
from protocol.errors import DropReason
from protocol.messages import Event, Hello, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class HypervisorConnected:
    """Libvirt answers, and is listened to."""

    facts: ConnectionFacts
    gap_seconds: float | None = None  # for how long nobody listened since it was lost; None if it was not


@dataclass(frozen=True, slots=True, kw_only=True)
class HypervisorLost:
    """Libvirt no longer answers, or could not be reached."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainsListed:
    """All the domains there are: who is not among them is gone."""

    domains: tuple[DomainFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainDescribed:
    """One domain as it is now, new or not."""

    facts: DomainFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainGone:
    """Libvirt no longer knows this domain."""

    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainEvent:
    """Libvirt told of something, of lifecycle or else; by libvirt's names of event and detail."""

    uuid: str
    name: str
    event: str
    detail: str
    at: float  # seconds since 1970, by this host's clock, when it was heard


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvent:
    """Libvirt told of something that happened to a network, a storage pool, a node device or a secret."""

    object: str  # the kind of it
    event: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSampled:
    """The host's numbers."""

    host: Host


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesSurveyed:
    """The states of active domains, by UUID, each with its reason. Told at once, or an event would be overtaken."""

    states: Mapping[str, tuple[DomainState, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainsSampled:
    """What a collection learned, by UUID, of some or all domains; of the others it says nothing."""

    samples: Mapping[str, Sample]
    at: float  # seconds since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsExpired:
    """Collections have failed for so long that the last numbers no longer tell the present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessesSampled:
    """What the host's kernel says of the processes of all domains that have one, by UUID."""

    processes: Mapping[str, ProcessStats]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainDetailed:
    """What the slow calls said of one domain; None if it did not answer them."""

    uuid: str
    details: Details | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSampled:
    """All pools there are, by UUID; none while nothing is known of any."""

    pools: Mapping[str, StoragePool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsSampled:
    """Networks and the counts of other objects."""

    objects: Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestGreeted:
    """An agent said hello and got a session."""

    uuid: str
    hello: Hello


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestReported:
    """An agent sent its numbers."""

    uuid: str
    report: Report
    at: float  # seconds since 1970
    left_out: Mapping[str, int] = field(default_factory=dict)  # filesystems that were cut from it, by why


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSilent:
    """An agent's last report is too old to tell the present, though nothing says that the agent is gone."""

    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestLost:
    """The session is over; `is_retried` when the line will be opened anew."""

    uuid: str
    is_retried: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestInputDropped:
    """Input from a guest that was thrown away, by reason."""

    uuid: str
    drops: Mapping[DropReason, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestThrottled:
    """A guest spent more than it may, and is not read for so long."""

    uuid: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestQuarantined:
    """A guest's line was closed for what it did."""

    uuid: str
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestReleased:
    """A guest's quarantine is over."""

    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestEventsTaken:
    """Events of a guest's are safe here, and were not before."""

    uuid: str
    events: tuple[Event, ...]
    at: float  # seconds since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeAnswered:
    """A guest said what became of something it was told."""

    uuid: str
    number: int
    answer: str


Change = (
    HypervisorConnected
    | HypervisorLost
    | DomainsListed
    | DomainDescribed
    | DomainGone
    | DomainEvent
    | ObjectEvent
    | HostSampled
    | StatesSurveyed
    | DomainsSampled
    | StatsExpired
    | ProcessesSampled
    | DomainDetailed
    | StorageSampled
    | ObjectsSampled
    | GuestGreeted
    | GuestReported
    | GuestSilent
    | GuestLost
    | GuestInputDropped
    | GuestThrottled
    | GuestQuarantined
    | GuestReleased
    | GuestEventsTaken
    | NoticeAnswered
)
