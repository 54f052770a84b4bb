"""What libvirt says of the machine its domains run on, and of the connection to itself."""

from dataclasses import dataclass, field

from hostd.model.stats import Pressure


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """What is fixed while a connection lives."""

    driver: str  # as virConnectGetType names it: QEMU, Xen, LXC, Test
    libvirt_version: str  # of the daemon
    library_version: str  # of the library that speaks with it here
    hypervisor_version: str | None
    hostname: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The connection to libvirt as it is now."""

    uri: str
    name: str = ""  # the operator's, to tell several connections apart
    facts: ConnectionFacts | None = None  # None while it is down
    why_down: str = field(default="not connected yet")
    connects: int = 0
    losses: int = 0
    gap_seconds: float | None = None  # for how long nobody listened between the last loss and what followed

    @property
    def is_up(self) -> bool:
        """Whether libvirt answers."""
        return self.facts is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """How the machine's CPUs are arranged, in libvirt's counts: each is of one of what is above it."""

    numa_nodes: int | None = None
    sockets_per_node: int | None = None
    cores_per_socket: int | None = None
    threads_per_core: int | None = None
    frequency_hertz: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """One CPU, and what it has spent its time on since the machine booted."""

    number: int
    is_online: bool = True
    user_seconds: float | None = None  # guests and low priorities included
    system_seconds: float | None = None
    idle_seconds: float | None = None
    iowait_seconds: float | None = None
    intr_seconds: float | None = None  # told by BSDs alone; Linux counts it to `system`


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """A NUMA cell's memory in pages of one size."""

    page_bytes: int
    total: int | None = None
    free: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaCell:
    """CPUs and the memory that is near to them."""

    number: int
    cpus: int | None = None
    total_bytes: int | None = None
    free_bytes: int | None = None
    pages: tuple[Pages, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ksm:
    """What the kernel's merging of like pages does, in pages of the smallest size."""

    pages_shared: int | None = None
    pages_sharing: int | None = None
    pages_unshared: int | None = None
    pages_volatile: int | None = None
    pages_to_scan: int | None = None
    full_scans: int | None = None
    sleep_seconds: float | None = None
    is_across_nodes: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What this machine's kernel counts and libvirt does not tell; what grows does so since the machine booted."""

    read_at: float  # by a clock that nobody sets, for rates
    memory_available_bytes: int | None = None
    memory_reclaimable_bytes: int | None = None  # of the kernel's own, which `free` counts to what is cached
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    swap_cached_bytes: int | None = None
    swapped_in_bytes: int | None = None
    swapped_out_bytes: int | None = None
    paged_in_bytes: int | None = None
    paged_out_bytes: int | None = None
    cpu_seconds: float | None = None  # in user mode, low priorities included, and in the kernel; no interrupts


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the machine and its hypervisor can do; changes seldom."""

    architecture: str | None = None
    cpu_model: str | None = None
    cpu_vendor: str | None = None
    cpu_microcode: str | None = None
    has_iommu: bool | None = None
    can_migrate_live: bool | None = None
    migration_transports: tuple[str, ...] = ()
    security_models: tuple[str, ...] = ()
    domain_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine's size and how busy it is; `None` is not known."""

    cpus: int | None = None  # that are online
    cpus_present: int | None = None
    vcpus_maximum: int | None = None  # of one domain
    topology: Topology = Topology()
    each_cpu: tuple[Cpu, ...] = ()
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_available_bytes: int | None = None
    memory_buffers_bytes: int | None = None
    memory_cached_bytes: int | None = None
    cells: tuple[NumaCell, ...] = ()
    ksm: Ksm | None = None
    kernel: Kernel | None = None  # None of another machine
    capabilities: Capabilities | None = None
    load1: float | None = None
    load5: float | None = None
    load15: float | None = None
    pressures: tuple[Pressure, ...] = ()
