"""Which of libvirt's groups of statistics are asked for when: a table, cut to what the operator wants.

A group that this library does not know yet is no bit, and one that the daemon does not know it leaves out by itself.
"""

from dataclasses import dataclass

import libvirt

from hostd.hypervisor.selection import ALL_DEVICES, Devices
from hostd.settings import SamplingSettings

# Those that libvirt answers out of its own and the kernel's memory, whatever the domain does (read in its source): a
# domain that is stuck keeps them.
SURVEY = ("interface", "perf", "memory")
# Those that speak with the domain's monitor.
NUMBERS = ("cpu_total", "balloon", "vcpu", "block")
# Those that do, too, each for a command of its own, and tell what seldom changes.
RARE = ("iothread", "dirtyrate", "vm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """What is asked for, as libvirt's bits. None of them is ever 0, which libvirt takes for all there are."""

    survey: int
    numbers: int
    rare: int  # with the numbers: a second call would only cost more
    names: frozenset[str]
    kvm_stats: tuple[str, ...]
    devices: Devices = ALL_DEVICES  # of what is told


def groups_of(settings: SamplingSettings, devices: Devices = ALL_DEVICES) -> Groups:
    """The state is asked for in any case, for without it nobody knows who is there.

    A group of which every device is left out is not asked for: it is all that libvirt can be spared, for it tells of
    all devices or of none.
    """
    idle = {"block": devices.disks.is_none, "interface": devices.interfaces.is_none}
    wanted = frozenset(name for name in settings.groups if not idle.get(name))
    numbers = _bits(NUMBERS, wanted)
    return Groups(
        survey=_bits(SURVEY, wanted),
        numbers=numbers,
        rare=numbers | _bits(RARE, wanted),
        names=wanted,
        kvm_stats=settings.kvm_stats,
        devices=devices,
    )


def _bits(names: tuple[str, ...], wanted: frozenset[str]) -> int:
    bits: int = libvirt.VIR_DOMAIN_STATS_STATE
    for name in names:
        if name in wanted:
            bits |= getattr(libvirt, f"VIR_DOMAIN_STATS_{name.upper()}", 0)
    return bits
