"""What the CPUs' own counters and resource monitors tell of a domain, in base units; `None` is not known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfStats:
    """The kernel's perf events, as far as the domain's XML switches them on."""

    cmt_bytes: int | None = None
    mbmt_bytes_per_second: int | None = None
    mbml_bytes_per_second: int | None = None
    cache_misses: int | None = None
    cache_references: int | None = None
    instructions: int | None = None
    cpu_cycles: int | None = None
    branch_instructions: int | None = None
    branch_misses: int | None = None
    bus_cycles: int | None = None
    stalled_cycles_frontend: int | None = None
    stalled_cycles_backend: int | None = None
    ref_cpu_cycles: int | None = None
    cpu_clock_seconds: float | None = None
    task_clock_seconds: float | None = None
    page_faults: int | None = None
    context_switches: int | None = None
    cpu_migrations: int | None = None
    page_faults_minor: int | None = None
    page_faults_major: int | None = None
    alignment_faults: int | None = None
    emulation_faults: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Which virtual CPUs a resource monitor of the domain's XML watches."""

    name: str
    vcpus: str  # as libvirt writes lists of them: 0-3,6


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBank:
    """The part of one cache of the host that a monitor's virtual CPUs occupy."""

    monitor: Monitor
    number: int  # the kernel's
    occupied_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthNode:
    """What a monitor's virtual CPUs moved, counted at one memory controller of the host."""

    monitor: Monitor
    number: int  # the kernel's
    local_bytes: int | None = None  # by this controller for CPUs of its own socket
    bytes: int | None = None  # by this and all others


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyReading:
    """One reading of a monitor at one package of the host, by libvirt's name of it and in libvirt's unit."""

    monitor: Monitor
    number: int  # the kernel's, of the package
    name: str
    value: float
