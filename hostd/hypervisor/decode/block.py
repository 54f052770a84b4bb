"""The group BLOCK: a disk's counters and sizes, its limits, and its latencies."""

import math
from collections.abc import Iterator
from itertools import accumulate, pairwise

from hostd.hypervisor.decode.values import (
    MAX_ITEMS,
    NANOSECONDS,
    Params,
    count_of,
    each,
    number_of,
    seconds_of,
    text_of,
)
from hostd.model.block import (
    OPERATIONS,
    BlockLimits,
    BlockStats,
    Bucket,
    IntervalLatency,
    LatencyHistogram,
)

INTERVAL_OPERATIONS = tuple(zip(("rd", "wr", "zone_append", "flush"), OPERATIONS, strict=True))  # libvirt's names, ours
LONGEST_NS = 10**15  # eleven days are no latency, and of such a number text formats disagree how it is written


def block_of(params: Params, _index: int, prefix: str) -> BlockStats | None:
    """One disk; None for an entry without a name, or of a backing image and not of the disk itself."""
    device = text_of(params, f"{prefix}.name")
    if device is None or (f"{prefix}.backingIndex" in params and f"{prefix}.rd.reqs" not in params):
        return None
    return BlockStats(
        device=device,
        read_bytes=count_of(params, f"{prefix}.rd.bytes"),
        read_requests=count_of(params, f"{prefix}.rd.reqs"),
        read_seconds=seconds_of(params, f"{prefix}.rd.times"),
        write_bytes=count_of(params, f"{prefix}.wr.bytes"),
        write_requests=count_of(params, f"{prefix}.wr.reqs"),
        write_seconds=seconds_of(params, f"{prefix}.wr.times"),
        flush_requests=count_of(params, f"{prefix}.fl.reqs"),
        flush_seconds=seconds_of(params, f"{prefix}.fl.times"),
        errors=count_of(params, f"{prefix}.errors"),
        capacity_bytes=count_of(params, f"{prefix}.capacity"),
        allocation_bytes=count_of(params, f"{prefix}.allocation"),
        physical_bytes=count_of(params, f"{prefix}.physical"),
        threshold_bytes=count_of(params, f"{prefix}.threshold"),
        limits=_limits(params, f"{prefix}.limits"),
        interval_latencies=tuple(_interval_latencies(params, f"{prefix}.timed_group")),
        latency_histograms=tuple(_histograms(params, f"{prefix}.latency_histogram")),
    )


def _limits(params: Params, prefix: str) -> BlockLimits | None:
    limits = BlockLimits(
        request_alignment_bytes=count_of(params, f"{prefix}.request_alignment"),
        discard_maximum_bytes=count_of(params, f"{prefix}.discard_max"),
        discard_alignment_bytes=count_of(params, f"{prefix}.discard_alignment"),
        write_zeroes_maximum_bytes=count_of(params, f"{prefix}.write_zeroes_max"),
        write_zeroes_alignment_bytes=count_of(params, f"{prefix}.write_zeroes_alignment"),
        transfer_optimal_bytes=count_of(params, f"{prefix}.transfer_optimal"),
        transfer_maximum_bytes=count_of(params, f"{prefix}.transfer_max"),
        transfer_hardware_maximum_bytes=count_of(params, f"{prefix}.transfer_hw_max"),
        segments_maximum=count_of(params, f"{prefix}.iov_max"),
        segments_hardware_maximum=count_of(params, f"{prefix}.iov_hw_max"),
        memory_alignment_minimal_bytes=count_of(params, f"{prefix}.memory_alignment_minimal"),
        memory_alignment_optimal_bytes=count_of(params, f"{prefix}.memory_alignment_optimal"),
    )
    return None if limits == BlockLimits() else limits


def _interval_latencies(params: Params, prefix: str) -> Iterator[IntervalLatency]:
    for group in each(params, f"{prefix}.count", prefix, _interval_group):
        yield from group


def _interval_group(params: Params, _index: int, prefix: str) -> tuple[IntervalLatency, ...] | None:
    interval = count_of(params, f"{prefix}.interval")
    if interval is None:
        interval = count_of(params, f"{prefix}.interval_length")  # as virsh's manual calls it
    if interval is None:
        return None
    found = []
    for theirs, operation in INTERVAL_OPERATIONS:
        latency = IntervalLatency(
            interval_seconds=interval,
            operation=operation,
            minimum_seconds=seconds_of(params, f"{prefix}.{theirs}_latency_min"),
            maximum_seconds=seconds_of(params, f"{prefix}.{theirs}_latency_max"),
            average_seconds=seconds_of(params, f"{prefix}.{theirs}_latency_avg"),
            queue_depth_average=number_of(params, f"{prefix}.{theirs}_queue_depth_avg"),
        )
        if latency != IntervalLatency(interval_seconds=interval, operation=operation):
            found.append(latency)
    return tuple(found)


def _histograms(params: Params, prefix: str) -> Iterator[LatencyHistogram]:
    for operation in OPERATIONS:
        buckets = _buckets(params, f"{prefix}.{operation}.bin")
        if buckets:
            yield LatencyHistogram(operation=operation, buckets=buckets)


def _buckets(params: Params, prefix: str) -> tuple[Bucket, ...]:
    """Libvirt's bins have a start and a count of their own; Prometheus's have an end, and count what is below, too.

    A bin that is missing would make all above it too small: then there are none.
    """
    count = count_of(params, f"{prefix}.count") or 0
    bins = each(params, f"{prefix}.count", prefix, _bin)
    starts = [start for start, _ in bins]
    if count > MAX_ITEMS or len(bins) != count or any(one >= other for one, other in pairwise(starts)):
        return ()
    ends = [*(start / NANOSECONDS for start in starts[1:]), math.inf]
    totals = accumulate(number for _, number in bins)
    return tuple(Bucket(until_seconds=end, count=total) for end, total in zip(ends, totals, strict=False))


def _bin(params: Params, _index: int, prefix: str) -> tuple[int, int] | None:
    start, number = count_of(params, f"{prefix}.start"), count_of(params, f"{prefix}.value")
    return None if start is None or start > LONGEST_NS or number is None else (start, number)
