"""One domain's numbers as libvirt counts them, in base units. `None` is not known, and is never exported as 0."""

import enum
from dataclasses import dataclass

from hostd.model.block import BlockStats
from hostd.model.kvm import KvmStat, RareStats
from hostd.model.perf import BandwidthNode, CacheBank, EnergyReading, PerfStats


class DomainState(enum.Enum):
    """virDomainState, by libvirt's own names."""

    NOSTATE = "nostate"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"
    PMSUSPENDED = "pmsuspended"


class ControlState(enum.Enum):
    """virDomainControlState: whether the domain's monitor can be spoken with."""

    OK = "ok"
    JOB = "job"  # a long job runs, such as a migration
    OCCUPIED = "occupied"  # somebody waits for the monitor to answer
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The monitor's state, which libvirt tells without asking the monitor, and for how long it has been so."""

    state: ControlState
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuStats:
    """CPU time of the whole domain, in seconds since it started."""

    time_seconds: float | None = None
    user_seconds: float | None = None
    system_seconds: float | None = None
    haltpoll_success_seconds: float | None = None
    haltpoll_fail_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VcpuStats:
    """One virtual CPU. `delay` is what its guest sees as steal: ready to run, and the host ran something else."""

    number: int
    state: str | None = None
    time_seconds: float | None = None
    wait_seconds: float | None = None
    delay_seconds: float | None = None
    is_halted: bool | None = None
    kvm: tuple[KvmStat, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BalloonStats:
    """Memory as the hypervisor and the guest's balloon driver count it."""

    current_bytes: int | None = None
    maximum_bytes: int | None = None
    rss_bytes: int | None = None
    available_bytes: int | None = None
    usable_bytes: int | None = None
    unused_bytes: int | None = None
    disk_caches_bytes: int | None = None
    swap_in_bytes: int | None = None
    swap_out_bytes: int | None = None
    major_faults: int | None = None
    minor_faults: int | None = None
    hugetlb_allocations: int | None = None
    hugetlb_failures: int | None = None
    last_update_seconds: int | None = None  # since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceStats:
    """One network interface, from the domain's side: received is what the guest received."""

    index: int
    name: str | None = None  # the host's device; SR-IOV and user-mode interfaces have none
    receive_bytes: int | None = None
    receive_packets: int | None = None
    receive_errors: int | None = None
    receive_drops: int | None = None
    transmit_bytes: int | None = None
    transmit_packets: int | None = None
    transmit_errors: int | None = None
    transmit_drops: int | None = None

    @property
    def device(self) -> str:
        """What its series are labelled with, as for `hostd.model.devices.Interface`."""
        return self.name or f"#{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainStats:
    """All numbers of one domain from one collection."""

    cpu: CpuStats = CpuStats()
    balloon: BalloonStats = BalloonStats()
    vcpus_current: int | None = None
    vcpus_maximum: int | None = None
    vcpus: tuple[VcpuStats, ...] = ()
    interfaces: tuple[InterfaceStats, ...] = ()
    blocks: tuple[BlockStats, ...] = ()
    cache_banks: tuple[CacheBank, ...] = ()
    energy: tuple[EnergyReading, ...] = ()
    bandwidth: tuple[BandwidthNode, ...] = ()
    perf: PerfStats | None = None
    rare: RareStats | None = None  # None where it was not told


IN_THE_MAKING = frozenset({(DomainState.PAUSED, "migration"), (DomainState.PAUSED, "starting_up")})
"""States and reasons of a domain whose process is made ready. Libvirt lets nobody ask that one: who tries waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What libvirt knows of an active domain without the domain's help, and so at once."""

    state: DomainState
    reason: str
    interfaces: tuple[InterfaceStats, ...] = ()
    bandwidth: tuple[BandwidthNode, ...] = ()
    perf: PerfStats | None = None

    @property
    def is_in_the_making(self) -> bool:
        """Whether it is about to run here, and cannot be asked yet."""
        return (self.state, self.reason) in IN_THE_MAKING


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one collection learned of one domain.

    `has_answered` is None if the domain was not asked. Unless it is True, `stats` holds no more than a survey gave.
    """

    stats: DomainStats
    has_answered: bool | None
    control: Control | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How long tasks of a control group could not run for want of one resource (the kernel's PSI), in seconds."""

    resource: str  # cpu, memory or io
    waiting_seconds: float | None = None  # some of them
    stalled_seconds: float | None = None  # all of them at once


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStats:
    """The domain's process as the host's kernel sees it, whatever state its monitor is in."""

    cpu_seconds: float | None = None
    resident_bytes: int | None = None
    started_at: float | None = None  # seconds since 1970
    pressures: tuple[Pressure, ...] = ()
