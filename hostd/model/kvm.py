"""What QEMU and KVM tell on request only: statistics of their own, I/O threads, the dirty rate. `None` is not known."""

from dataclasses import dataclass

DIRTY_RATE_STATUSES = ("unstarted", "measuring", "measured")
"""Of virDomainDirtyRateStatus, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KvmStat:
    """One of KVM's own statistics: those that the kernel counts in nanoseconds are in seconds here."""

    name: str  # the kernel's, without `_ns`
    total: int | None = None
    total_seconds: float | None = None
    current: int | None = None
    current_seconds: float | None = None
    peak: int | None = None
    peak_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IothreadStats:
    """How one I/O thread polls for work before it sleeps."""

    number: int  # its id
    poll_maximum_seconds: float | None = None
    poll_grow: int | None = None
    poll_shrink: int | None = None
    poll_weight: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VcpuDirtyRate:
    """How fast one virtual CPU wrote to memory it had not written to."""

    number: int
    bytes_per_second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DirtyRate:
    """The last measurement of how fast the guest dirties its memory; somebody else has to start it."""

    status: str
    mode: str | None = None
    start_seconds: int | None = None  # of QEMU's own clock, not since 1970
    period_seconds: int | None = None
    bytes_per_second: int | None = None
    vcpus: tuple[VcpuDirtyRate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VcpuPlace:
    """The host's CPU that one virtual CPU was on when somebody looked."""

    number: int
    cpu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RareStats:
    """What is asked of a domain only now and then: it costs a call or a round to its monitor of its own."""

    kvm: tuple[KvmStat, ...] = ()
    iothreads: tuple[IothreadStats, ...] = ()
    dirty_rate: DirtyRate | None = None
    vcpu_places: tuple[VcpuPlace, ...] = ()
