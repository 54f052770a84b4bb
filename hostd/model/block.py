"""One disk's numbers, in base units. `None` is not known, and is never exported as 0."""

from dataclasses import dataclass

OPERATIONS = ("read", "write", "zone_append", "flush")
"""What latencies are told of, each by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLimits:
    """What the storage beneath a disk allows or prefers for one request."""

    request_alignment_bytes: int | None = None
    discard_maximum_bytes: int | None = None
    discard_alignment_bytes: int | None = None
    write_zeroes_maximum_bytes: int | None = None
    write_zeroes_alignment_bytes: int | None = None
    transfer_optimal_bytes: int | None = None
    transfer_maximum_bytes: int | None = None
    transfer_hardware_maximum_bytes: int | None = None
    segments_maximum: int | None = None
    segments_hardware_maximum: int | None = None
    memory_alignment_minimal_bytes: int | None = None
    memory_alignment_optimal_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IoTune:
    """What the operator lets a disk do. `None` is no limit; bursts are what it may do for a while beyond the limit."""

    group: str = ""  # of the disks that share these limits; empty if it has them alone
    total_bytes_per_second: int | None = None
    read_bytes_per_second: int | None = None
    write_bytes_per_second: int | None = None
    total_requests_per_second: int | None = None
    read_requests_per_second: int | None = None
    write_requests_per_second: int | None = None
    total_burst_bytes_per_second: int | None = None
    read_burst_bytes_per_second: int | None = None
    write_burst_bytes_per_second: int | None = None
    total_burst_requests_per_second: int | None = None
    read_burst_requests_per_second: int | None = None
    write_burst_requests_per_second: int | None = None
    total_burst_bytes_seconds: int | None = None
    read_burst_bytes_seconds: int | None = None
    write_burst_bytes_seconds: int | None = None
    total_burst_requests_seconds: int | None = None
    read_burst_requests_seconds: int | None = None
    write_burst_requests_seconds: int | None = None
    request_bytes: int | None = None  # a longer request counts as several


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalLatency:
    """How one kind of operation fared over the last interval of a length that the domain's XML asks for."""

    interval_seconds: int
    operation: str
    minimum_seconds: float | None = None
    maximum_seconds: float | None = None
    average_seconds: float | None = None
    queue_depth_average: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How many operations took no longer than `until_seconds`, those of the buckets before it included."""

    until_seconds: float  # infinite in the last
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyHistogram:
    """How long operations of one kind took since the domain started or the bins were set anew."""

    operation: str
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStats:
    """One disk."""

    device: str  # as the guest's bus names it: vda
    read_bytes: int | None = None
    read_requests: int | None = None
    read_seconds: float | None = None
    write_bytes: int | None = None
    write_requests: int | None = None
    write_seconds: float | None = None
    flush_requests: int | None = None
    flush_seconds: float | None = None
    errors: int | None = None
    capacity_bytes: int | None = None
    allocation_bytes: int | None = None
    physical_bytes: int | None = None
    threshold_bytes: int | None = None
    limits: BlockLimits | None = None
    interval_latencies: tuple[IntervalLatency, ...] = ()
    latency_histograms: tuple[LatencyHistogram, ...] = ()
