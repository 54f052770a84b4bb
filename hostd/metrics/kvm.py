"""What is told once a minute: the kernel's statistics, I/O threads, the dirty rate, virtual CPUs' places. One row each.

KVM's statistics are a label and not a name each: which there are is the operator's to say (`sampling.kvm_stats`) and
the kernel's to rename. What it counts in nanoseconds is in a family of its own, for one family has one unit.
"""

from collections.abc import Iterable
from typing import Any

from hostd.metrics.row import Metric, Scope, counter, gauge, itself
from hostd.model.domain import Domain
from hostd.model.kvm import DIRTY_RATE_STATUSES, DirtyRate, IothreadStats, KvmStat, VcpuDirtyRate, VcpuPlace
from hostd.model.stats import DomainStats


def _kvm(prefix: str, whose: str) -> tuple[Metric[KvmStat], ...]:
    return (
        counter(f"{prefix}_count_total", f"What KVM has counted of {whose}, by its own name of it.", "total"),
        counter(f"{prefix}_seconds_total", f"Time that KVM has counted of {whose}, by its own name.", "total_seconds"),
        gauge(f"{prefix}_current", f"What KVM says of {whose} at present, by its own name of it.", "current"),
        gauge(f"{prefix}_current_seconds", f"Time that KVM tells of {whose} at present.", "current_seconds"),
        gauge(f"{prefix}_peak", f"The most that KVM has seen of {whose}, by its own name of it.", "peak"),
        gauge(f"{prefix}_peak_seconds", f"The longest time that KVM has seen of {whose}.", "peak_seconds"),
    )


VCPU_KVM = _kvm("libvirt_domain_vcpu_kvm", "the virtual CPU")
DOMAIN_KVM = _kvm("libvirt_domain_kvm", "the domain")

VCPU_PLACE: tuple[Metric[VcpuPlace], ...] = (
    gauge(
        "libvirt_domain_vcpu_cpu",
        "Number of the host's CPU that the virtual CPU was on at a look once a minute; it may be on others in between.",
        "cpu",
    ),
)

IOTHREAD: tuple[Metric[IothreadStats], ...] = (
    gauge(
        "libvirt_domain_iothread_poll_max_seconds",
        "Longest time that the I/O thread polls before it sleeps; 0 if it never polls.",
        "poll_maximum_seconds",
    ),
    gauge(
        "libvirt_domain_iothread_poll_grow",
        "What the I/O thread's polling time is multiplied by when it was too short; 0 leaves it to QEMU.",
        "poll_grow",
    ),
    gauge(
        "libvirt_domain_iothread_poll_shrink",
        "What the I/O thread's polling time is divided by when it was too long; 0 leaves it to QEMU.",
        "poll_shrink",
    ),
    gauge(
        "libvirt_domain_iothread_poll_weight",
        "How little the last event weighs in the I/O thread's polling time, as a shift; 0 leaves it to QEMU.",
        "poll_weight",
    ),
)

DIRTY_RATE: tuple[Metric[DirtyRate], ...] = (
    gauge(
        "libvirt_domain_dirty_rate_bytes_per_second",
        "How fast the guest dirtied its memory when that was last measured, which somebody else has to start.",
        "bytes_per_second",
    ),
    gauge(
        "libvirt_domain_dirty_rate_period_seconds",
        "For how long the guest's dirtying was measured.",
        "period_seconds",
    ),
    gauge(
        "libvirt_domain_dirty_rate_start_clock_seconds",
        "When that measurement began by QEMU's own clock, which does not count from 1970.",
        "start_seconds",
    ),
)

DIRTY_RATE_STATUS: tuple[Metric[float], ...] = (
    gauge(
        "libvirt_domain_dirty_rate_status",
        "1 for how far the measurement of the dirty rate is, 0 for the others; none where it was never started.",
    ),
)

DIRTY_RATE_MODE: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_dirty_rate_mode_info", "How the dirty rate was measured, in QEMU's words."),
)

VCPU_DIRTY_RATE: tuple[Metric[VcpuDirtyRate], ...] = (
    gauge(
        "libvirt_domain_vcpu_dirty_rate_bytes_per_second",
        "How fast the virtual CPU dirtied memory when that was last measured.",
        "bytes_per_second",
    ),
)


def _vcpu_kvm(stats: DomainStats) -> Iterable[tuple[tuple[str, ...], KvmStat]]:
    return [((str(vcpu.number), stat.name), stat) for vcpu in stats.vcpus for stat in vcpu.kvm]


def _domain_kvm(stats: Iterable[KvmStat]) -> Iterable[tuple[tuple[str, ...], KvmStat]]:
    return [((stat.name,), stat) for stat in stats]


def _numbered(
    items: Iterable[IothreadStats | VcpuDirtyRate | VcpuPlace],
) -> Iterable[tuple[tuple[str, ...], IothreadStats | VcpuDirtyRate | VcpuPlace]]:
    return [((str(item.number),), item) for item in items]


def _dirty_rate_of(domain: Domain) -> DirtyRate | None:
    return domain.stats.rare.dirty_rate if domain.stats and domain.stats.rare else None


def _started_rate_of(domain: Domain) -> DirtyRate | None:
    """None for nearly all domains, for ever: they need no series that say so, nor the mode that QEMU would choose."""
    rate = _dirty_rate_of(domain)
    return None if rate is None or rate.status == DIRTY_RATE_STATUSES[0] else rate


def _statuses(rate: DirtyRate) -> Iterable[tuple[tuple[str, ...], float]]:
    for status in DIRTY_RATE_STATUSES:
        yield (status,), rate.status == status


def _mode(rate: DirtyRate) -> Iterable[tuple[tuple[str, ...], float]]:
    if rate.mode is not None:
        yield (rate.mode,), 1


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope(("vcpu", "statistic"), lambda d: d.stats, _vcpu_kvm, VCPU_KVM),
    Scope(("statistic",), lambda d: d.stats and d.stats.rare and d.stats.rare.kvm, _domain_kvm, DOMAIN_KVM),
    Scope(("vcpu",), lambda d: d.stats and d.stats.rare and d.stats.rare.vcpu_places, _numbered, VCPU_PLACE),
    Scope(("iothread",), lambda d: d.stats and d.stats.rare and d.stats.rare.iothreads, _numbered, IOTHREAD),
    Scope((), _dirty_rate_of, itself, DIRTY_RATE),
    Scope(("status",), _started_rate_of, _statuses, DIRTY_RATE_STATUS),
    Scope(("mode",), _started_rate_of, _mode, DIRTY_RATE_MODE),
    Scope(("vcpu",), lambda d: (r := _dirty_rate_of(d)) and r.vcpus, _numbered, VCPU_DIRTY_RATE),
)
