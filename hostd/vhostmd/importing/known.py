"""The metrics that vhostmd's configurations have come with, by which hostd knows what it can tell without a program.

Names, types and units are what guests look for; the programs and files are what an action has to do with to be about
what its name says: one of the same name that does something else is not replaced.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hostd.vhostmd.importing.definitions import Definition
from hostd.vhostmd.importing.remark import shown
from hostd.vhostmd.importing.shell import rewritten


@dataclass(frozen=True, slots=True)
class Known:
    """One metric of a set, or a group of several; `evidence` is a pattern of what its action has."""

    names: tuple[str, ...]
    context: str
    types: tuple[str, ...]
    evidence: str
    units: tuple[str, ...] = ("",)
    metric: str = ""  # a family on /metrics that is the same number exactly

    def __str__(self) -> str:
        """As it is told to people."""
        return f"{'/'.join(self.names)} ({self.context})"


def _known(name: str, type_: str, evidence: str, *, context: str = "host", unit: str = "", metric: str = "") -> Known:
    return Known((name,), context, (type_,), evidence, (unit,), metric)


_XEN = r"|\bx[lm]\b|\bxentop\b"
_HOST_NAME = r"\bhostname\b|\bhostnamectl\b|\buname\b|/etc/hostname"
_VENDOR = r"\brpm\b|\bdpkg(-query)?\b|os-release|\blsb_release\b"
_CPUS = r"\bnodeinfo\b|\bnproc\b|\blscpu\b|/proc/cpuinfo" + _XEN
_MEMORY = r"\bfree\b|/proc/meminfo|\bnodememstats\b|\bnodeinfo\b" + _XEN
_CPU_TIME = r"/proc/stat\b|\bnodecpustats\b" + _XEN
_DOMAIN = r"\bvirsh\b.*\b(dominfo|domstats|domcpustats|cpu-stats)\b" + _XEN
_VCPUS = r"\bvirsh\b.*\b(dominfo|domstats|vcpucount)\b" + _XEN
_DOMAIN_MEMORY = r"\bvirsh\b.*\b(dominfo|domstats|dommemstat)\b" + _XEN
_VM_CPU_TIME = _known("TotalCPUTime", "real64", _DOMAIN, context="vm")

SETS: Mapping[str, tuple[Known, ...]] = {
    "sap": (
        _known("HostName", "string", _HOST_NAME),
        _known("Time", "uint64", r"\bdate\b|\btime\b|EPOCHSECONDS"),
        _known("VirtualizationVendor", "string", _VENDOR),
        _known("VirtProductInfo", "string", r"\bvirsh\b.*\bversion\b" + _XEN),
        _known("HostSystemInfo", "string", _HOST_NAME),
        _known("NumberOfPhysicalCPUs", "uint32", _CPUS, metric="libvirt_host_cpus"),
        _known("MemoryAllocatedToVirtualServers", "uint64", _MEMORY),
        _known("FreePhysicalMemory", "uint64", _MEMORY),
        _known("FreeVirtualMemory", "uint64", _MEMORY),
        _known("UsedVirtualMemory", "uint64", _MEMORY),
        _known("PagedInMemory", "uint64", r"swapped|\bpswpin\b"),
        _known("PagedOutMemory", "uint64", r"swapped|\bpswpout\b"),
        _known("TotalCPUTime", "real64", _CPU_TIME),
        _VM_CPU_TIME,
        _known("ResourceProcessorLimit", "uint32", _VCPUS, context="vm", metric="libvirt_domain_vcpu_current"),
        _known("ResourceMemoryLimit", "uint64", _DOMAIN_MEMORY, context="vm"),
        _known("PhysicalMemoryAllocatedToVirtualSystem", "uint64", _DOMAIN_MEMORY, context="vm"),
    ),
    "vhostmd": (
        _known("HostName", "string", _HOST_NAME),
        _known("VirtualizationVendor", "string", _VENDOR),
        _known("VirtualizationProductInfo", "string", r"\bvirsh\b.*\bversion\b" + _XEN),
        _known("TotalPhyCPUs", "uint32", _CPUS, metric="libvirt_host_cpus"),
        _known("NumCPUs", "uint32", _CPUS, metric="libvirt_host_cpus"),
        _known("TotalPhyMem", "uint64", _MEMORY, unit="MiB"),
        _known("UsedMem", "uint64", _MEMORY),
        _known("FreeMem", "uint64", _MEMORY),
        _known("PagedInMemory", "uint64", r"\bpaged in\b|\bpgpgin\b"),
        _known("PagedOutMemory", "uint64", r"\bpaged out\b|\bpgpgout\b"),
        Known(("PageInRate", "PageFaultRate"), "host", ("uint64",) * 2, r"pagerate|\bpgpg", ("", "")),
        _known("TotalCPUTime", "real64", _CPU_TIME, unit="s"),
        _known("TotalCPUTime", "real64", _DOMAIN, context="vm", unit="s"),
    ),
}

_ORDINARY = re.compile(
    r"virsh|free|vmstat|hostname|hostnamectl|uname|date|rpm|dpkg|dpkg-query|lsb_release|getconf|nproc|lscpu|xl|xm"
    r"|xentop|pagerate\.pl|[gm]?awk|sed|[ef]?grep|cut|tr|head|tail|cat|tac|echo|printf|expr|bc|test|\[|wc|sort|uniq"
    r"|column|paste|tee|xargs|perl|python[23]?|sh|bash|true|false|:|read|case|for|set|export|exit"
)
"""Programs that take numbers out of others' output; with any but these an action may do whatever it likes."""


def difference(known: Known, metric: Definition) -> str | None:
    """Why `metric`, which has the name and context of `known`, is something else all the same; None if it is not."""
    types = tuple(variable.type for variable in metric.variables) or (metric.type,)
    if types != known.types:
        return f"its type is {'/'.join(types)}, and the set's {'/'.join(known.types)}"
    if not re.search(known.evidence, metric.action):
        return "its action does not look like what the name says"
    runs = rewritten(metric.action, is_vm=metric.context == "vm", has_connect=False).programs
    others = {program for program in runs if not ("$" in program or _ORDINARY.fullmatch(program))}
    return f"its action runs {shown(min(others))}, which may do anything" if others else None


def named(metric: Definition, name_of_set: str) -> Known | None:
    """The one of the set that has the name and the context of `metric`."""
    wanted = metric.names, metric.context
    return next((known for known in SETS[name_of_set] if (known.names, known.context) == wanted), None)
