"""A domain's disks as libvirt and QEMU count them. To add a metric here: one row.

Sizes and limits are gauges; the label `operation` has libvirt's names of what latencies are told of.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from hostd.metrics.row import Metric, Scope, buckets, counter, gauge
from hostd.model.block import BlockLimits, BlockStats, Bucket, IntervalLatency
from hostd.model.domain import Domain
from hostd.model.stats import DomainStats

BLOCK: tuple[Metric[BlockStats], ...] = (
    counter("libvirt_domain_block_stats_read_bytes_total", "Bytes read from the disk.", "read_bytes"),
    counter("libvirt_domain_block_stats_read_requests_total", "Read requests to the disk.", "read_requests"),
    counter(
        "libvirt_domain_block_stats_read_time_seconds_total",
        "Time spent on reads of the disk.",
        "read_seconds",
    ),
    counter("libvirt_domain_block_stats_write_bytes_total", "Bytes written to the disk.", "write_bytes"),
    counter("libvirt_domain_block_stats_write_requests_total", "Write requests to the disk.", "write_requests"),
    counter(
        "libvirt_domain_block_stats_write_time_seconds_total",
        "Time spent on writes to the disk.",
        "write_seconds",
    ),
    counter("libvirt_domain_block_stats_flush_requests_total", "Flushes of the disk.", "flush_requests"),
    counter(
        "libvirt_domain_block_stats_flush_time_seconds_total",
        "Time spent on flushes of the disk.",
        "flush_seconds",
    ),
    counter(
        "libvirt_domain_block_stats_errors_total",
        "Requests that failed, where the hypervisor counts them; for Xen those that found no free slot.",
        "errors",
    ),
    gauge(
        "libvirt_domain_block_stats_capacity_bytes",
        "Size of the disk as the guest sees it.",
        "capacity_bytes",
    ),
    gauge(
        "libvirt_domain_block_stats_allocation_bytes",
        "Highest byte of the disk's image that was written.",
        "allocation_bytes",
    ),
    gauge(
        "libvirt_domain_block_stats_physical_bytes",
        "Size of what holds the disk's image: file or block device.",
        "physical_bytes",
    ),
    gauge(
        "libvirt_domain_block_stats_threshold_bytes",
        "Byte of the image whose writing makes libvirt tell of it; there is none unless somebody set it.",
        "threshold_bytes",
    ),
)


def _limit(name: str, help_: str, path: str) -> Metric[BlockLimits]:
    return gauge(f"libvirt_domain_block_limit_{name}", help_, path)


LIMITS: tuple[Metric[BlockLimits], ...] = (
    _limit(
        "request_alignment_bytes",
        "What offset and length of a request have to be multiples of.",
        "request_alignment_bytes",
    ),
    _limit("discard_max_bytes", "Most that one discard may cover.", "discard_maximum_bytes"),
    _limit("discard_alignment_bytes", "What discards had best be multiples of.", "discard_alignment_bytes"),
    _limit("write_zeroes_max_bytes", "Most that may be zeroed at once.", "write_zeroes_maximum_bytes"),
    _limit("write_zeroes_alignment_bytes", "What zeroing had best be multiples of.", "write_zeroes_alignment_bytes"),
    _limit("transfer_optimal_bytes", "Length of a transfer that the storage likes best.", "transfer_optimal_bytes"),
    _limit("transfer_max_bytes", "Longest transfer.", "transfer_maximum_bytes"),
    _limit(
        "transfer_hw_max_bytes",
        "Longest transfer of requests that go past the kernel's scheduler.",
        "transfer_hardware_maximum_bytes",
    ),
    _limit("iov_max", "Most pieces of memory in one request.", "segments_maximum"),
    _limit(
        "iov_hw_max",
        "Most pieces of memory in one request that goes past the kernel's scheduler.",
        "segments_hardware_maximum",
    ),
    _limit(
        "memory_alignment_min_bytes",
        "Alignment of memory below which data is copied first.",
        "memory_alignment_minimal_bytes",
    ),
    _limit(
        "memory_alignment_optimal_bytes",
        "Alignment of the memory that data is copied to where it has to be.",
        "memory_alignment_optimal_bytes",
    ),
)

INTERVAL: tuple[Metric[IntervalLatency], ...] = (
    gauge(
        "libvirt_domain_block_interval_latency_min_seconds",
        "Shortest time that an operation took in the last interval of that length.",
        "minimum_seconds",
    ),
    gauge(
        "libvirt_domain_block_interval_latency_max_seconds",
        "Longest time that an operation took in the last interval of that length.",
        "maximum_seconds",
    ),
    gauge(
        "libvirt_domain_block_interval_latency_avg_seconds",
        "Time that an operation took on average in the last interval of that length.",
        "average_seconds",
    ),
    gauge(
        "libvirt_domain_block_interval_queue_depth_avg",
        "Operations that were under way on average in the last interval of that length.",
        "queue_depth_average",
    ),
)

LATENCY: tuple[Metric[Bucket], ...] = (
    buckets(
        "libvirt_domain_block_latency_seconds",
        "How long operations on the disk took, in the bins of the domain's XML; the bucket +Inf counts all.",
        "count",
    ),
)


def _blocks(stats: DomainStats) -> Iterable[tuple[tuple[str, ...], BlockStats]]:
    return [((block.device,), block) for block in stats.blocks]


def _limits(stats: DomainStats) -> Iterable[tuple[tuple[str, ...], BlockLimits]]:
    return [((block.device,), block.limits) for block in stats.blocks if block.limits is not None]


def _intervals(stats: DomainStats) -> Iterable[tuple[tuple[str, ...], IntervalLatency]]:
    for block in stats.blocks:
        for latency in block.interval_latencies:
            yield (block.device, str(latency.interval_seconds), latency.operation), latency


def _buckets(stats: DomainStats) -> Iterable[tuple[tuple[str, ...], Bucket]]:
    """Of two histograms of one disk's operation the first: buckets of both would be none of either's."""
    histograms = {
        (block.device, histogram.operation): histogram
        for block in reversed(stats.blocks)
        for histogram in block.latency_histograms
    }
    for labels, histogram in histograms.items():
        _check(histogram.buckets)
        for bucket in histogram.buckets:
            until = "+Inf" if bucket.until_seconds == math.inf else repr(float(bucket.until_seconds))
            yield (*labels, until), bucket


def _check(known: Sequence[Bucket]) -> None:
    """Buckets that do not rise to +Inf would cost the whole page with a parser that looks: rather this domain."""
    rises = all(one.until_seconds < other.until_seconds and one.count <= other.count for one, other in pairwise(known))
    if not rises or known[-1].until_seconds != math.inf or not all(isinstance(bucket.count, int) for bucket in known):
        raise ValueError(f"no histogram: {known!a:.200}")


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope(("target_device",), lambda d: d.stats, _blocks, BLOCK),
    Scope(("target_device",), lambda d: d.stats, _limits, LIMITS),
    Scope(("target_device", "interval_seconds", "operation"), lambda d: d.stats, _intervals, INTERVAL),
    Scope(("target_device", "operation", "le"), lambda d: d.stats, _buckets, LATENCY),
)
