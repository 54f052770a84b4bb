"""A domain as the CPUs' own counters and the kernel's resource monitors see it. To add a metric here: one row.

There are none of these unless the domain's XML asks for them: perf events under `<perf>`, monitors under `<cputune>`.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

from hostd.metrics.row import Metric, Scope, counter, gauge, itself
from hostd.model.domain import Domain
from hostd.model.perf import BandwidthNode, CacheBank, EnergyReading, PerfStats

_Watched: TypeAlias = CacheBank | BandwidthNode


def _event(name: str, help_: str, path: str = "") -> Metric[PerfStats]:
    return counter(f"libvirt_domain_perf_{name}_total", f"{help_}, by the perf event.", path or name)


PERF: tuple[Metric[PerfStats], ...] = (
    gauge("libvirt_domain_perf_cmt_bytes", "Last-level cache that the domain occupies, by perf's cmt.", "cmt_bytes"),
    gauge(
        "libvirt_domain_perf_mbmt_bytes_per_second",
        "Memory bandwidth of the domain in all, by perf's mbmt.",
        "mbmt_bytes_per_second",
    ),
    gauge(
        "libvirt_domain_perf_mbml_bytes_per_second",
        "Memory bandwidth of the domain within its sockets, by perf's mbml.",
        "mbml_bytes_per_second",
    ),
    _event("cache_misses", "Accesses to the cache that had to go to memory"),
    _event("cache_references", "Accesses to the cache"),
    _event("instructions", "Instructions that were executed"),
    _event("cpu_cycles", "Cycles of the CPUs, whatever their frequency"),
    _event("branch_instructions", "Branches that were executed"),
    _event("branch_misses", "Branches that were foretold wrongly"),
    _event("bus_cycles", "Cycles of the bus"),
    _event("stalled_cycles_frontend", "Cycles without an instruction to begin"),
    _event("stalled_cycles_backend", "Cycles in which begun instructions waited"),
    _event("ref_cpu_cycles", "Cycles of the CPUs at their nominal frequency"),
    _event("cpu_clock_seconds", "Time on the CPUs' clock"),
    _event("task_clock_seconds", "Time on the tasks' clock"),
    _event("page_faults", "Page faults of the domain's process"),
    _event("context_switches", "Context switches of the domain's process"),
    _event("cpu_migrations", "Moves from one CPU to another"),
    _event("page_faults_min", "Page faults that did not need a disk", "page_faults_minor"),
    _event("page_faults_maj", "Page faults that needed a disk", "page_faults_major"),
    _event("alignment_faults", "Accesses to memory that was not aligned"),
    _event("emulation_faults", "Instructions that the kernel had to emulate"),
)

CACHE: tuple[Metric[CacheBank], ...] = (
    gauge(
        "libvirt_domain_cpu_cache_occupancy_bytes",
        "Part of the host's cache that the monitor's virtual CPUs occupy.",
        "occupied_bytes",
    ),
)

BANDWIDTH: tuple[Metric[BandwidthNode], ...] = (
    counter(
        "libvirt_domain_memory_bandwidth_bytes_total",
        "Data that the monitor's virtual CPUs moved through any memory controller.",
        "bytes",
    ),
    counter(
        "libvirt_domain_memory_bandwidth_local_bytes_total",
        "Data that the monitor's virtual CPUs moved through the controller of their own socket.",
        "local_bytes",
    ),
)

ENERGY: tuple[Metric[EnergyReading], ...] = (
    gauge(
        "libvirt_domain_cpu_energy_reading",
        "What an energy monitor reads at a package of the host, by libvirt's name of it and in libvirt's unit.",
        "value",
    ),
)


def _watched(items: Iterable[_Watched]) -> Iterable[tuple[tuple[str, ...], _Watched]]:
    return [((item.monitor.name, item.monitor.vcpus, str(item.number)), item) for item in items]


def _readings(readings: Iterable[EnergyReading]) -> Iterable[tuple[tuple[str, ...], EnergyReading]]:
    return [((each.monitor.name, each.monitor.vcpus, str(each.number), each.name), each) for each in readings]


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope((), lambda d: d.stats and d.stats.perf, itself, PERF),
    Scope(("monitor", "vcpus", "bank"), lambda d: (d.stats and d.stats.cache_banks) or None, _watched, CACHE),
    Scope(("monitor", "vcpus", "node"), lambda d: (d.stats and d.stats.bandwidth) or None, _watched, BANDWIDTH),
    Scope(
        ("monitor", "vcpus", "package", "reading"), lambda d: (d.stats and d.stats.energy) or None, _readings, ENERGY
    ),
)
