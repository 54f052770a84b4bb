"""One domain: who it is, how it is, what was counted of it, and the guest within."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hostd.model.details import Details
from hostd.model.devices import Hardware
from hostd.model.notice import Notice
from hostd.model.stats import Control, DomainState, DomainStats, ProcessStats
from protocol.errors import DropReason
from protocol.messages import Hello, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The host's end of a virtio-serial channel, from the live XML."""

    path: str
    is_open_in_guest: bool | None  # libvirt's target/@state; None where libvirt does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFacts:
    """What libvirt says of a domain when asked who it is."""

    uuid: str
    name: str
    id: int | None  # None while it is not active
    state: DomainState
    reason: str
    is_persistent: bool
    os_type: str | None = None
    machine: str | None = None
    architecture: str | None = None
    emulator: str | None = None
    title: str | None = None
    memory_maximum_bytes: int | None = None
    vcpus: int | None = None  # that it has now
    channel: Channel | None = None  # our own
    vhostmd_channel: Channel | None = None
    vsock_cid: int | None = None  # the domain's vsock address while it is active
    hardware: Hardware = field(default_factory=Hardware)
    metadata: tuple[tuple[str, str], ...] = ()  # labels and their values, as the operator's rules find them
    promoted: tuple[tuple[str, str], ...] = ()  # those of them that go on every series of the domain
    managers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by preset, what its labels' values are

    @property
    def standing(self) -> tuple[DomainState, str]:
        """The state and why."""
        return self.state, self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What the agent inside says of itself (claims, checked for form only), and how the line to it fares."""

    hello: Hello | None = None  # None while there is no session
    report: Report | None = None
    reported_at: float | None = None  # seconds since 1970, by this host's clock
    sessions: int = 0
    reports: int = 0
    reconnects: int = 0
    drops: Mapping[DropReason, int] = field(default_factory=dict)
    filesystems_dropped: Mapping[str, int] = field(default_factory=dict)  # by why
    clock_offset_seconds: float | None = None  # how far its clock was ahead of this host's when it last reported
    throttled_seconds: float = 0.0
    quarantines: Mapping[str, int] = field(default_factory=dict)  # by fault
    is_quarantined: bool = False
    events: Mapping[str, int] = field(default_factory=dict)  # how many it told of, by severity
    last_event_at: float | None = None  # seconds since 1970, by this host's clock

    @property
    def is_connected(self) -> bool:
        """Whether an agent has greeted us and is still there."""
        return self.hello is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain as it is known now. The UUID is its identity; names are reused."""

    facts: DomainFacts
    stats: DomainStats | None = None
    is_responsive: bool | None = None  # whether it answered when it was last asked; None if it was not
    answered_at: float | None = None  # seconds since 1970
    control: Control | None = None
    process: ProcessStats | None = None
    details: Details | None = None
    guest: Guest = Guest()
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (event, detail) to how often
    last_events: Mapping[str, float] = field(default_factory=dict)  # event to when, in seconds since 1970
    notices: tuple[Notice, ...] = ()  # what its guest should know of, oldest first

    @property
    def uuid(self) -> str:
        """Its identity."""
        return self.facts.uuid

    @property
    def name(self) -> str:
        """What it is called at present."""
        return self.facts.name

    @property
    def is_active(self) -> bool:
        """Whether it has a running hypervisor process, paused or not."""
        return self.facts.id is not None

    @property
    def is_running(self) -> bool:
        """Whether time goes by for its guest."""
        return self.facts.state in (DomainState.RUNNING, DomainState.BLOCKED)
