"""The groups BALLOON and MEMORY."""

from hostd.hypervisor.decode.values import Params, count_of, each, kib_of, monitor_of
from hostd.model.perf import BandwidthNode, Monitor
from hostd.model.stats import BalloonStats


def balloon_of(params: Params) -> BalloonStats:
    """Memory; more than two numbers only where the guest has the driver and the domain a stats period."""
    return BalloonStats(
        current_bytes=kib_of(params, "balloon.current"),
        maximum_bytes=kib_of(params, "balloon.maximum"),
        rss_bytes=kib_of(params, "balloon.rss"),
        available_bytes=kib_of(params, "balloon.available"),
        usable_bytes=kib_of(params, "balloon.usable"),
        unused_bytes=kib_of(params, "balloon.unused"),
        disk_caches_bytes=kib_of(params, "balloon.disk_caches"),
        swap_in_bytes=kib_of(params, "balloon.swap_in"),
        swap_out_bytes=kib_of(params, "balloon.swap_out"),
        major_faults=count_of(params, "balloon.major_fault"),
        minor_faults=count_of(params, "balloon.minor_fault"),
        hugetlb_allocations=count_of(params, "balloon.hugetlb_pgalloc"),
        hugetlb_failures=count_of(params, "balloon.hugetlb_pgfail"),
        last_update_seconds=count_of(params, "balloon.last-update") or None,  # 0: never
    )


def bandwidth_of(params: Params) -> tuple[BandwidthNode, ...]:
    """Of all memory bandwidth monitors."""
    monitors = each(params, "memory.bandwidth.monitor.count", "memory.bandwidth.monitor", _nodes)
    return tuple(node for nodes in monitors for node in nodes)


def _nodes(params: Params, _index: int, prefix: str) -> tuple[BandwidthNode, ...] | None:
    monitor = monitor_of(params, prefix)
    if monitor is None:
        return None
    return each(params, f"{prefix}.node.count", f"{prefix}.node", lambda p, _, at: _node(p, at, monitor))


def _node(params: Params, prefix: str, monitor: Monitor) -> BandwidthNode | None:
    number = count_of(params, f"{prefix}.id")
    if number is None:
        return None
    return BandwidthNode(
        monitor=monitor,
        number=number,
        local_bytes=count_of(params, f"{prefix}.bytes.local"),
        bytes=count_of(params, f"{prefix}.bytes.total"),
    )
