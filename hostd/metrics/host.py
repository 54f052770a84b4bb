"""The machine that domains run on, as libvirt counts it. To add a metric here: one row.

Names end as node_exporter's do, where it has the same. The pressure and what the kernel counts are not
libvirt's, and so have names of hostd's.
"""

from collections.abc import Iterable
from typing import Any

from hostd.metrics.row import Metric, Scope, counter, gauge, itself
from hostd.model.host import Capabilities, Cpu, Host, Kernel, Ksm, NumaCell, Pages, Topology
from hostd.model.stats import Pressure
from hostd.model.world import World

HOST: tuple[Metric[Host], ...] = (
    gauge("libvirt_host_cpus", "CPUs of the host that are online.", "cpus"),
    gauge("libvirt_host_cpus_present", "CPUs of the host, online or not.", "cpus_present"),
    gauge(
        "libvirt_host_vcpus_maximum",
        "Virtual CPUs that one domain may have here, by the best type of domain there is.",
        "vcpus_maximum",
    ),
    gauge("libvirt_host_memory_total_bytes", "Memory of the host.", "memory_total_bytes"),
    gauge("libvirt_host_memory_free_bytes", "Memory of the host that nobody uses.", "memory_free_bytes"),
    gauge(
        "libvirt_host_memory_available_bytes",
        "Memory of the host that could be used without swapping; told since libvirt 12.3.",
        "memory_available_bytes",
    ),
    gauge(
        "libvirt_host_memory_buffers_bytes",
        "Memory of the host that holds blocks on their way from and to disks.",
        "memory_buffers_bytes",
    ),
    gauge(
        "libvirt_host_memory_cached_bytes",
        "Memory of the host that holds copies of what is in files.",
        "memory_cached_bytes",
    ),
    gauge("libvirt_host_load1", "Load of the host over 1 minute.", "load1"),
    gauge("libvirt_host_load5", "Load of the host over 5 minutes.", "load5"),
    gauge("libvirt_host_load15", "Load of the host over 15 minutes.", "load15"),
)

TOPOLOGY: tuple[Metric[Topology], ...] = (
    gauge("libvirt_host_numa_nodes", "NUMA nodes of the host.", "numa_nodes"),
    gauge("libvirt_host_sockets_per_numa_node", "CPU sockets of each NUMA node.", "sockets_per_node"),
    gauge("libvirt_host_cores_per_socket", "Cores of each CPU socket.", "cores_per_socket"),
    gauge("libvirt_host_threads_per_core", "Threads of each core.", "threads_per_core"),
    gauge(
        "libvirt_host_cpu_frequency_hertz",
        "Frequency of the host's CPUs when libvirt was asked, one for all of them.",
        "frequency_hertz",
    ),
)

CPU: tuple[Metric[Cpu], ...] = (
    gauge("libvirt_host_cpu_online", "1 if the CPU runs, 0 if it has been taken offline.", "is_online"),
)

CPU_SECONDS: tuple[Metric[float], ...] = (
    counter(
        "libvirt_host_cpu_seconds_total",
        "What the CPU has spent its time on since the host booted; time for guests counts as user.",
    ),
)

CELL: tuple[Metric[NumaCell], ...] = (
    gauge("libvirt_host_numa_cpus", "CPUs of the NUMA cell.", "cpus"),
    gauge("libvirt_host_numa_memory_total_bytes", "Memory of the NUMA cell.", "total_bytes"),
    gauge("libvirt_host_numa_memory_free_bytes", "Memory of the NUMA cell that nobody uses.", "free_bytes"),
)

PAGES: tuple[Metric[Pages], ...] = (
    gauge(
        "libvirt_host_numa_pages",
        "Pages of that size that the NUMA cell's memory is divided into; read every ten minutes.",
        "total",
    ),
    gauge("libvirt_host_numa_pages_free", "Pages of that size of the NUMA cell's that nobody uses.", "free"),
)

KSM: tuple[Metric[Ksm], ...] = (
    gauge("libvirt_host_ksm_pages_shared", "Pages that stand for several like ones.", "pages_shared"),
    gauge(
        "libvirt_host_ksm_pages_sharing",
        "Pages that others stand for, and so how many are saved.",
        "pages_sharing",
    ),
    gauge(
        "libvirt_host_ksm_pages_unshared",
        "Pages that were looked at again and again and are like no other.",
        "pages_unshared",
    ),
    gauge("libvirt_host_ksm_pages_volatile", "Pages that change too fast to be shared.", "pages_volatile"),
    gauge(
        "libvirt_host_ksm_pages_to_scan",
        "Pages that the kernel looks at for like ones before each rest.",
        "pages_to_scan",
    ),
    counter(
        "libvirt_host_ksm_full_scans_total",
        "How often the kernel has looked at all memory that may be shared.",
        "full_scans",
    ),
    gauge(
        "libvirt_host_ksm_sleep_seconds",
        "How long the kernel rests between its looks for like pages.",
        "sleep_seconds",
    ),
    gauge(
        "libvirt_host_ksm_merge_across_nodes",
        "1 if pages of several NUMA nodes may be merged, else 0.",
        "is_across_nodes",
    ),
)

CPU_INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_host_cpu_info", "What the host's CPUs are, as libvirt names them."),
)

CAPABILITIES: tuple[Metric[Capabilities], ...] = (
    gauge(
        "libvirt_host_iommu",
        "1 if the host's devices can be given to domains safely (it has an IOMMU), else 0.",
        "has_iommu",
    ),
    gauge(
        "libvirt_host_live_migration",
        "1 if domains of this host can be migrated while they run, else 0.",
        "can_migrate_live",
    ),
)

MIGRATION_INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_host_migration_transport_info", "A transport that domains can be migrated over."),
)

SECURITY_INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_host_security_model_info", "A security model that domains are confined by."),
)

DOMAIN_TYPE_INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_host_domain_type_info", "A type of domain that can run here; without kvm, QEMU only emulates."),
)

PRESSURE: tuple[Metric[Pressure], ...] = (
    counter(
        "hostd_host_pressure_waiting_seconds_total",
        "Time that some task of the host could not go on for want of the resource (PSI of its kernel).",
        "waiting_seconds",
    ),
    counter(
        "hostd_host_pressure_stalled_seconds_total",
        "Time that no task of the host could go on for want of the resource (PSI of its kernel).",
        "stalled_seconds",
    ),
)

KERNEL: tuple[Metric[Kernel], ...] = (
    gauge(
        "hostd_host_memory_available_bytes",
        "Memory of the host that could be used without swapping, by its own kernel.",
        "memory_available_bytes",
    ),
    gauge(
        "hostd_host_memory_reclaimable_bytes",
        "Memory that the host's kernel uses itself and could give back.",
        "memory_reclaimable_bytes",
    ),
    gauge("hostd_host_swap_total_bytes", "Swap space of the host.", "swap_total_bytes"),
    gauge("hostd_host_swap_free_bytes", "Swap space of the host that nothing is in.", "swap_free_bytes"),
    gauge(
        "hostd_host_swap_cached_bytes",
        "Memory of the host that is in its swap space as well, and need not be written there again.",
        "swap_cached_bytes",
    ),
    counter(
        "hostd_host_swapped_in_bytes_total",
        "Memory that the host has read back from its swap space.",
        "swapped_in_bytes",
    ),
    counter(
        "hostd_host_swapped_out_bytes_total",
        "Memory that the host has written to its swap space.",
        "swapped_out_bytes",
    ),
    counter(
        "hostd_host_paged_in_bytes_total",
        "Data that the host has read from its disks, files and swap alike.",
        "paged_in_bytes",
    ),
    counter(
        "hostd_host_paged_out_bytes_total",
        "Data that the host has written to its disks, files and swap alike.",
        "paged_out_bytes",
    ),
    counter(
        "hostd_host_cpu_seconds_total",
        "Time that the host's CPUs together were in user mode (for guests, too) or in its kernel, interrupts aside.",
        "cpu_seconds",
    ),
)


def _cpus(cpus: tuple[Cpu, ...]) -> Iterable[tuple[tuple[str, ...], Cpu]]:
    for cpu in cpus:
        yield (str(cpu.number),), cpu


def _cpu_seconds(cpus: tuple[Cpu, ...]) -> Iterable[tuple[tuple[str, ...], float]]:
    for cpu in cpus:
        number = str(cpu.number)
        for mode, seconds in (
            ("user", cpu.user_seconds),
            ("system", cpu.system_seconds),
            ("idle", cpu.idle_seconds),
            ("iowait", cpu.iowait_seconds),
            ("intr", cpu.intr_seconds),
        ):
            if seconds is not None:
                yield (number, mode), seconds


def _cells(cells: tuple[NumaCell, ...]) -> Iterable[tuple[tuple[str, ...], NumaCell]]:
    for cell in cells:
        yield (str(cell.number),), cell


def _pages(cells: tuple[NumaCell, ...]) -> Iterable[tuple[tuple[str, ...], Pages]]:
    for cell in cells:
        for pages in cell.pages:
            yield (str(cell.number), str(pages.page_bytes)), pages


def _cpu_info(of: Capabilities) -> Iterable[tuple[tuple[str, ...], float]]:
    yield (of.architecture or "", of.cpu_model or "", of.cpu_vendor or "", of.cpu_microcode or ""), 1


def _each(names: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], float]]:
    for name in names:
        yield (name,), 1


def _pressures(pressures: tuple[Pressure, ...]) -> Iterable[tuple[tuple[str, ...], Pressure]]:
    for pressure in pressures:
        yield (pressure.resource,), pressure


SCOPES: tuple[Scope[World, Any, Any], ...] = (
    Scope((), lambda w: w.host, itself, HOST),
    Scope((), lambda w: w.host.topology, itself, TOPOLOGY),
    Scope(("cpu",), lambda w: w.host.each_cpu, _cpus, CPU),
    Scope(("cpu", "mode"), lambda w: w.host.each_cpu, _cpu_seconds, CPU_SECONDS),
    Scope(("cell",), lambda w: w.host.cells, _cells, CELL),
    Scope(("cell", "page_bytes"), lambda w: w.host.cells, _pages, PAGES),
    Scope((), lambda w: w.host.ksm, itself, KSM),
    Scope((), lambda w: w.host.kernel, itself, KERNEL),
    Scope(
        ("arch", "model", "vendor", "microcode"),
        lambda w: w.host.capabilities,
        _cpu_info,
        CPU_INFO,
    ),
    Scope((), lambda w: w.host.capabilities, itself, CAPABILITIES),
    Scope(
        ("transport",),
        lambda w: w.host.capabilities and w.host.capabilities.migration_transports,
        _each,
        MIGRATION_INFO,
    ),
    Scope(("model",), lambda w: w.host.capabilities and w.host.capabilities.security_models, _each, SECURITY_INFO),
    Scope(
        ("domain_type",), lambda w: w.host.capabilities and w.host.capabilities.domain_types, _each, DOMAIN_TYPE_INFO
    ),
    Scope(("resource",), lambda w: w.host.pressures, _pressures, PRESSURE),
)
