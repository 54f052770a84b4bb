"""A domain as libvirt counts it. To add a metric here: one row.

Names are those of the exporters that operators know (inovex's and Tinkoff's) where those are right, so that dashboards
keep working.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from hostd.metrics.row import Metric, Scope, age, counter, gauge, itself, whole
from hostd.model.domain import Domain, DomainFacts
from hostd.model.stats import (
    BalloonStats,
    Control,
    ControlState,
    DomainState,
    DomainStats,
    Pressure,
    ProcessStats,
    VcpuStats,
)

VCPU_STATES = ("offline", "running", "blocked")

INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_info", "What the domain is: its title, machine, emulator, persistence."),
)

STATE: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_state", "1 for the state that the domain is in, 0 for the others."),
)

REASON: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_state_reason_info", "Why the domain is in its state, in libvirt's words."),
)

DOMAIN: tuple[Metric[Domain], ...] = (
    gauge(
        "hostd_domain_responsive",
        "1 if the domain answered when libvirt was last asked for its numbers; 0 if it did not, and then it has none.",
        "is_responsive",
    ),
    age(
        "hostd_domain_sample_age_seconds",
        "How long ago the domain last gave its numbers; hostd collects on an interval, not at each scrape.",
        "answered_at",
    ),
)

CONTROL_STATE: tuple[Metric[float], ...] = (
    gauge(
        "libvirt_domain_control_state",
        "1 for the state of the way to the domain's monitor, 0 for the others; occupied for long is a stuck domain.",
    ),
)

CONTROL: tuple[Metric[Control], ...] = (
    gauge(
        "libvirt_domain_control_state_seconds",
        "How long the way to the domain's monitor had been in its state when libvirt was asked.",
        "seconds",
    ),
)

PROCESS: tuple[Metric[ProcessStats], ...] = (
    counter(
        "hostd_domain_process_cpu_seconds_total",
        "CPU time of the domain's process by the host's kernel, known also while its monitor is stuck.",
        "cpu_seconds",
    ),
    gauge(
        "hostd_domain_process_resident_bytes",
        "Memory that the domain's process holds by the host's kernel, known also while its monitor is stuck.",
        "resident_bytes",
    ),
    gauge(
        "hostd_domain_process_start_time_seconds",
        "When the domain's process began, by the host's kernel: a migration or a restart begins another.",
        "started_at",
    ),
)

PRESSURE: tuple[Metric[Pressure], ...] = (
    counter(
        "hostd_domain_pressure_waiting_seconds_total",
        "Time that some task of the domain could not go on for want of the resource (PSI of its control group).",
        "waiting_seconds",
    ),
    counter(
        "hostd_domain_pressure_stalled_seconds_total",
        "Time that no task of the domain could go on for want of the resource (PSI of its control group).",
        "stalled_seconds",
    ),
)

STATS: tuple[Metric[DomainStats], ...] = (
    counter(
        "libvirt_domain_info_cpu_time_seconds_total",
        "CPU time the host has spent on the domain, its emulator included.",
        "cpu.time_seconds",
    ),
    counter(
        "libvirt_domain_cpu_user_seconds_total",
        "CPU time the host has spent on the domain in user mode.",
        "cpu.user_seconds",
    ),
    counter(
        "libvirt_domain_cpu_system_seconds_total",
        "CPU time the host has spent on the domain in its kernel.",
        "cpu.system_seconds",
    ),
    counter(
        "libvirt_domain_cpu_haltpoll_success_seconds_total",
        "CPU time spent polling for an idle virtual CPU that then had something to do.",
        "cpu.haltpoll_success_seconds",
    ),
    counter(
        "libvirt_domain_cpu_haltpoll_fail_seconds_total",
        "CPU time spent polling for an idle virtual CPU that then had to sleep all the same.",
        "cpu.haltpoll_fail_seconds",
    ),
    gauge("libvirt_domain_vcpu_current", "Virtual CPUs that the domain has online.", "vcpus_current"),
    gauge("libvirt_domain_vcpu_maximum", "Virtual CPUs that the domain may have.", "vcpus_maximum"),
)

BALLOON: tuple[Metric[BalloonStats], ...] = (
    gauge(
        "libvirt_domain_memory_stats_current_balloon_bytes",
        "Memory that the domain has now, by its balloon.",
        "current_bytes",
    ),
    gauge("libvirt_domain_memory_stats_maximum_bytes", "Memory that the domain may have.", "maximum_bytes"),
    gauge("libvirt_domain_memory_stats_rss_bytes", "Host memory that the domain's process holds.", "rss_bytes"),
    gauge(
        "libvirt_domain_memory_stats_available_bytes",
        "Memory that the guest's kernel sees, by its balloon driver.",
        "available_bytes",
    ),
    gauge(
        "libvirt_domain_memory_stats_usable_bytes",
        "Memory that the balloon could take without making the guest swap, by its driver.",
        "usable_bytes",
    ),
    gauge(
        "libvirt_domain_memory_stats_unused_bytes",
        "Memory that the guest leaves unused, by its balloon driver.",
        "unused_bytes",
    ),
    gauge(
        "libvirt_domain_memory_stats_disk_caches_bytes",
        "Memory of the guest that holds copies of what is on disk, by its balloon driver.",
        "disk_caches_bytes",
    ),
    counter(
        "libvirt_domain_memory_stats_swap_in_bytes_total",
        "Data that the guest read from its swap, by its balloon driver.",
        "swap_in_bytes",
    ),
    counter(
        "libvirt_domain_memory_stats_swap_out_bytes_total",
        "Data that the guest wrote to its swap, by its balloon driver.",
        "swap_out_bytes",
    ),
    counter(
        "libvirt_domain_memory_stats_major_fault_total",
        "Page faults of the guest that had to wait for a disk, by its balloon driver.",
        "major_faults",
    ),
    counter(
        "libvirt_domain_memory_stats_minor_fault_total",
        "Page faults of the guest that did not wait for a disk, by its balloon driver.",
        "minor_faults",
    ),
    counter(
        "libvirt_domain_memory_stats_hugetlb_pgalloc_total",
        "Huge pages that the guest got when it asked for them, by its balloon driver.",
        "hugetlb_allocations",
    ),
    counter(
        "libvirt_domain_memory_stats_hugetlb_pgfail_total",
        "Huge pages that the guest asked for and did not get, by its balloon driver.",
        "hugetlb_failures",
    ),
    gauge(
        "libvirt_domain_memory_stats_last_update_timestamp_seconds",
        "When the balloon driver last told of the guest's memory; without a stats period it never does.",
        "last_update_seconds",
    ),
)

VCPU_STATE: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_vcpu_state", "1 for the state that the virtual CPU is in, 0 for the others."),
)

VCPU: tuple[Metric[VcpuStats], ...] = (
    counter("libvirt_domain_vcpu_time_seconds_total", "CPU time that the virtual CPU has used.", "time_seconds"),
    counter(
        "libvirt_domain_vcpu_wait_seconds_total",
        "Time the virtual CPU waited while the host ran something else; 0 unless the host keeps schedstats.",
        "wait_seconds",
    ),
    counter(
        "libvirt_domain_vcpu_delay_seconds_total",
        "Time the virtual CPU was ready and queued behind something else: what its guest sees as steal.",
        "delay_seconds",
    ),
)

VCPU_HALTED: tuple[Metric[int], ...] = (
    gauge(
        "libvirt_domain_vcpu_halted",
        "1 while the virtual CPU is halted: mostly idle, on some architectures switched off.",
    ),
)


_DOMAIN_STATES = tuple(((state.value,), state) for state in DomainState)  # an enum's value is slow to ask for
_CONTROL_STATES = tuple(((state.value,), state) for state in ControlState)


def _info(facts: DomainFacts) -> Iterable[tuple[tuple[str, ...], float]]:
    machine = (facts.os_type, facts.architecture, facts.machine, facts.emulator, facts.title)
    yield (*(text or "" for text in machine), "true" if facts.is_persistent else "false"), 1


def _states(facts: DomainFacts) -> Iterable[tuple[tuple[str, ...], float]]:
    for labels, state in _DOMAIN_STATES:
        yield labels, facts.state is state


def _reason(facts: DomainFacts) -> Iterable[tuple[tuple[str, ...], float]]:
    yield (facts.state.value, facts.reason), 1


def _control_states(of: ControlState) -> Iterable[tuple[tuple[str, ...], float]]:
    for labels, state in _CONTROL_STATES:
        yield labels, of is state


def _pressures(process: ProcessStats) -> Iterable[tuple[tuple[str, ...], Pressure]]:
    for pressure in process.pressures:
        yield (pressure.resource,), pressure


def _vcpus(stats: DomainStats) -> Iterable[tuple[tuple[str, ...], VcpuStats]]:
    return [((str(vcpu.number),), vcpu) for vcpu in stats.vcpus]


def _halted(stats: DomainStats) -> Iterable[tuple[tuple[str, ...], int]]:
    # as numbers, for a truth among numbers is written the slow way
    return [((str(vcpu.number),), int(vcpu.is_halted)) for vcpu in stats.vcpus if vcpu.is_halted is not None]


def _vcpu_states(stats: DomainStats) -> tuple[tuple[tuple[str, ...], float], ...]:
    return _items_of_vcpu_states(tuple([(vcpu.number, vcpu.state) for vcpu in stats.vcpus]))


@lru_cache(maxsize=4096)  # virtual CPUs are many and seldom change their state: the same again is the same object
def _items_of_vcpu_states(states: tuple[tuple[int, str | None], ...]) -> tuple[tuple[tuple[str, ...], float], ...]:
    return tuple(
        ((str(number), state), now == state) for number, now in states if now is not None for state in VCPU_STATES
    )


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope(("os_type", "arch", "machine", "emulator", "title", "persistent"), lambda d: d.facts, _info, INFO),
    Scope(("state",), lambda d: d.facts, _states, STATE),
    Scope(("state", "reason"), lambda d: d.facts, _reason, REASON),
    Scope((), whole, itself, DOMAIN),
    Scope(("state",), lambda d: d.control and d.control.state, _control_states, CONTROL_STATE),
    Scope((), lambda d: d.control, itself, CONTROL),
    Scope((), lambda d: d.process, itself, PROCESS),
    Scope(("resource",), lambda d: d.process, _pressures, PRESSURE),
    Scope((), lambda d: d.stats, itself, STATS),
    Scope((), lambda d: d.stats and d.stats.balloon, itself, BALLOON),
    Scope(("vcpu", "state"), lambda d: d.stats and _vcpu_states(d.stats), iter, VCPU_STATE),
    Scope(("vcpu",), lambda d: d.stats, _vcpus, VCPU),
    Scope(("vcpu",), lambda d: d.stats, _halted, VCPU_HALTED),
)
