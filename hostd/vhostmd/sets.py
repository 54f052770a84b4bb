"""The sets of metrics that guests know, a row each: RHEL's (which SAP asks for), KubeVirt's, and vhostmd's own.

The rows are in the order of those programs' configurations; vhostmd's documents have them the other way round. Names,
types and units are theirs, whatever they may mean: readers look for them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hostd.model.domain import Domain
from hostd.model.host import ConnectionFacts, Host, Kernel

Context: TypeAlias = Literal["host", "vm"]
Value: TypeAlias = str | float | None

_KIB = 1 << 10
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the host's metrics are made of."""

    host: Host
    facts: ConnectionFacts | None
    now: float
    host_name: str | None
    vendor: str | None
    before: Kernel | None  # the sample of the kernel before the host's


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. `value` is given a `Machine`, or the `Domain` for those of a VM; None is not known."""

    name: str
    type: str
    unit: str
    context: Context
    value: Callable[[Any], Value]
    ends_its_line: bool = True  # whether vhostmd's value ends in a newline: its command printed one


def _scaled(value: int | None, unit: int) -> int | None:
    return None if value is None else value // unit


def _sum(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _less(first: int | None, *others: int | None) -> int | None:
    less = _sum(*others)
    return None if first is None or less is None else first - less


def _short_name(machine: Machine) -> str | None:
    return None if machine.host_name is None else machine.host_name.partition(".")[0]


def _api(machine: Machine) -> str | None:
    """`Using API` of virsh."""
    return None if machine.facts is None else f"{machine.facts.driver} {machine.facts.library_version}"


def _hypervisor(machine: Machine) -> str | None:
    """`Running hypervisor` of virsh."""
    facts = machine.facts
    return None if facts is None or facts.hypervisor_version is None else f"{facts.driver} {facts.hypervisor_version}"


def _bytes(machine: Machine, name: str) -> int | None:
    count: int | None = None if machine.host.kernel is None else getattr(machine.host.kernel, name)
    return count


def _busy_seconds(machine: Machine) -> float | None:
    return None if machine.host.kernel is None else machine.host.kernel.cpu_seconds


def _sockets(machine: Machine) -> int | None:
    nodes, each = machine.host.topology.numa_nodes, machine.host.topology.sockets_per_node
    return None if nodes is None or each is None else nodes * each


def _free(machine: Machine) -> int | None:
    return machine.host.memory_free_bytes


def _available(machine: Machine) -> int | None:
    by_libvirt = machine.host.memory_available_bytes
    return _bytes(machine, "memory_available_bytes") if by_libvirt is None else by_libvirt


def _used_without_cached(machine: Machine) -> int | None:
    host = machine.host
    return _less(host.memory_total_bytes, host.memory_free_bytes, host.memory_buffers_bytes, host.memory_cached_bytes)


def _used(machine: Machine) -> int | None:
    """As `free` counts it: what the kernel could give back is not used."""
    return _less(_used_without_cached(machine), _bytes(machine, "memory_reclaimable_bytes"))


def _free_virtual(machine: Machine) -> int | None:
    return _sum(_free(machine), _bytes(machine, "swap_free_bytes"))


def _used_virtual(machine: Machine) -> int | None:
    swap = _less(_bytes(machine, "swap_total_bytes"), _bytes(machine, "swap_free_bytes"))
    return _sum(_used(machine), swap)


def _kubevirts_used_virtual(machine: Machine) -> int | None:
    """Its own sum, which has the free swap among what is used."""
    swap = _less(_bytes(machine, "swap_total_bytes"), _bytes(machine, "swap_cached_bytes"))
    return _sum(_used_without_cached(machine), swap)


def _rate(name: str) -> Callable[[Machine], float | None]:
    """KiB a second between the last two samples."""

    def rate(machine: Machine) -> float | None:
        before, kernel = machine.before, machine.host.kernel
        if before is None or kernel is None or kernel.read_at <= before.read_at:
            return None
        more = _less(getattr(kernel, name), getattr(before, name))
        return None if more is None or more < 0 else more / _KIB / (kernel.read_at - before.read_at)

    return rate


def _cpu_seconds(domain: Domain) -> float | None:
    return None if domain.stats is None else domain.stats.cpu.time_seconds


def _vcpu_seconds(domain: Domain) -> float | None:
    vcpus = () if domain.stats is None else domain.stats.vcpus
    known = [vcpu.time_seconds for vcpu in vcpus if vcpu.time_seconds is not None]
    return sum(known) if known else None


def _vcpus(domain: Domain) -> int | None:
    counted = None if domain.stats is None else domain.stats.vcpus_current
    return domain.facts.vcpus if counted is None else counted


def _memory(domain: Domain) -> int | None:
    return None if domain.stats is None else domain.stats.balloon.current_bytes


def _memory_limit(domain: Domain) -> int | None:
    counted = None if domain.stats is None else domain.stats.balloon.maximum_bytes
    return counted if domain.facts.memory_maximum_bytes is None else domain.facts.memory_maximum_bytes


def _in(unit: int, value: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
    return lambda subject: _scaled(value(subject), unit)


def _counted_in(unit: int, name: str) -> Callable[[Machine], int | None]:
    return lambda machine: _scaled(_bytes(machine, name), unit)


SAP = (
    Row("HostName", "string", "", "host", lambda m: m.host_name),
    Row("Time", "uint64", "", "host", lambda m: int(m.now)),
    Row("VirtualizationVendor", "string", "", "host", lambda m: m.vendor),
    Row("VirtProductInfo", "string", "", "host", _api),
    Row("HostSystemInfo", "string", "", "host", _short_name),
    Row("NumberOfPhysicalCPUs", "uint32", "", "host", lambda m: m.host.cpus),
    Row("MemoryAllocatedToVirtualServers", "uint64", "", "host", _in(_MIB, _used)),
    Row("FreePhysicalMemory", "uint64", "", "host", _in(_MIB, _free)),
    Row("FreeVirtualMemory", "uint64", "", "host", _in(_MIB, _free_virtual)),
    Row("UsedVirtualMemory", "uint64", "", "host", _in(_MIB, _used_virtual)),
    Row("PagedInMemory", "uint64", "", "host", _counted_in(_MIB, "swapped_in_bytes")),
    Row("PagedOutMemory", "uint64", "", "host", _counted_in(_MIB, "swapped_out_bytes")),
    Row("TotalCPUTime", "real64", "", "host", _busy_seconds),
    Row("TotalCPUTime", "real64", "", "vm", _cpu_seconds),
    Row("ResourceProcessorLimit", "uint32", "", "vm", _vcpus),
    Row("ResourceMemoryLimit", "uint64", "", "vm", _in(_MIB, _memory_limit)),
    Row("PhysicalMemoryAllocatedToVirtualSystem", "uint64", "", "vm", _in(_MIB, _memory)),
)

KUBEVIRT = (
    Row("HostName", "string", "", "host", lambda m: m.host_name),
    Row("HostSystemInfo", "string", "", "host", lambda _: "linux"),
    Row("VirtualizationVendor", "string", "", "host", lambda m: m.vendor),
    Row("VirtProductInfo", "string", "", "host", _hypervisor),
    Row("TotalCPUTime", "real64", "s", "vm", _vcpu_seconds),
    Row("ResourceProcessorLimit", "uint64", "", "vm", _vcpus),
    Row("PhysicalMemoryAllocatedToVirtualSystem", "uint64", "KiB", "vm", _in(_KIB, _memory)),
    Row("ResourceMemoryLimit", "uint64", "KiB", "vm", _in(_KIB, _memory_limit)),
    Row("NumberOfPhysicalCPUs", "int64", "", "host", _sockets),
    Row("TotalCPUTime", "real64", "s", "host", _busy_seconds),
    Row("FreePhysicalMemory", "uint64", "KiB", "host", _in(_KIB, _free)),
    Row("FreeVirtualMemory", "uint64", "KiB", "host", _in(_KIB, _free_virtual)),
    Row("MemoryAllocatedToVirtualServers", "uint64", "KiB", "host", _in(_KIB, _used_without_cached)),
    Row("UsedVirtualMemory", "uint64", "KiB", "host", _in(_KIB, _kubevirts_used_virtual)),
    Row("PagedInMemory", "uint64", "KiB", "host", _counted_in(_KIB, "swapped_in_bytes")),
    Row("PagedOutMemory", "uint64", "KiB", "host", _counted_in(_KIB, "swapped_out_bytes")),
    Row("Time", "int64", "s", "host", lambda m: int(m.now)),
)

VHOSTMD = (
    Row("HostName", "string", "", "host", lambda m: m.host_name, ends_its_line=False),
    Row("VirtualizationVendor", "string", "", "host", lambda m: m.vendor),
    Row("VirtualizationProductInfo", "string", "", "host", _hypervisor),
    Row("TotalPhyCPUs", "uint32", "", "host", lambda m: m.host.cpus),
    Row("NumCPUs", "uint32", "", "host", lambda m: m.host.cpus),
    Row("TotalPhyMem", "uint64", "MiB", "host", _in(_MIB, lambda m: m.host.memory_total_bytes)),
    Row("UsedMem", "uint64", "", "host", _in(_MIB, _used)),
    Row("FreeMem", "uint64", "", "host", _in(_MIB, _available)),
    Row("PagedInMemory", "uint64", "", "host", _counted_in(_KIB, "paged_in_bytes")),
    Row("PagedOutMemory", "uint64", "", "host", _counted_in(_KIB, "paged_out_bytes")),
    # two of one command, which stay in their order where the rest is turned round; the first is what is written
    Row("PageFaultRate", "uint64", "", "host", _rate("paged_out_bytes"), ends_its_line=False),
    Row("PageInRate", "uint64", "", "host", _rate("paged_in_bytes"), ends_its_line=False),
    Row("TotalCPUTime", "real64", "s", "host", _busy_seconds),
    Row("TotalCPUTime", "real64", "s", "vm", _cpu_seconds),
)

SETS: Mapping[str, tuple[Row, ...]] = {"sap": SAP, "kubevirt": KUBEVIRT, "vhostmd": VHOSTMD, "none": ()}
"""By the setting's names."""
