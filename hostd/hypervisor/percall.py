"""One domain's numbers call by call, for drivers that have no bulk call: in the bulk call's own keys.

Libxl and LXC are such, and the test driver's bulk call knows states only. To add a call: a row in `CALLS`, whose
function gives what the bulk call would have said.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import libvirt

from hostd.hypervisor.support import Support

Params: TypeAlias = Mapping[str, object]
_Domain: TypeAlias = Any  # the binding has no types


GROUPS: Mapping[str, str] = {
    "cpu_total": "cpu.",
    "balloon": "balloon.",
    "vcpu": "vcpu.",
    "interface": "net.",
    "block": "block.",
}
"""The groups that can be stood in for, and how their keys begin."""


def params_of(
    domain: _Domain, support: Support, groups: frozenset[str], *, disks: Sequence[str], interfaces: Sequence[str]
) -> Params:
    """What the driver's calls tell in these groups of a domain with these disks and interfaces (target devices).

    Raises:
        libvirt.libvirtError: the domain is gone, or its driver failed.

    """
    known: dict[str, object] = {}
    for name, served, call in CALLS:
        if groups.isdisjoint(served):
            continue
        known |= support.ask(name, lambda call=call: call(domain)) or {}  # type: ignore[misc]  # bound at once
    for name, served_by, group, devices, each in (
        ("interface_stats", "interface", "net", interfaces, _interface),
        ("block_stats", "block", "block", disks, _block),
    ):
        if served_by not in groups:
            continue
        known |= support.ask(name, lambda g=group, d=devices, e=each: _devices(domain, g, d, e)) or {}  # type: ignore[misc]
    wanted = tuple(start for group, start in GROUPS.items() if group in groups)
    return {key: value for key, value in known.items() if key.startswith(wanted)}


def _info(domain: _Domain) -> Params:
    _state, maximum_kib, current_kib, vcpus, time_ns = domain.info()
    return {
        "cpu.time": time_ns,
        "balloon.current": current_kib,
        "balloon.maximum": maximum_kib,
        "vcpu.current": vcpus,
        "vcpu.maximum": vcpus,
    }


def _cpu(domain: _Domain) -> Params:
    (total,) = domain.getCPUStats(True)
    return _renamed(total, (("cpu_time", "cpu.time"), ("user_time", "cpu.user"), ("system_time", "cpu.system")))


def _memory(domain: _Domain) -> Params:
    """Without swap: LXC tells the process's resident size as `swap_in`, and a gauge must not pass for a counter."""
    return _renamed(
        domain.memoryStats(),
        (
            ("actual", "balloon.current"),
            ("rss", "balloon.rss"),
            ("available", "balloon.available"),
            ("usable", "balloon.usable"),
            ("unused", "balloon.unused"),
            ("disk_caches", "balloon.disk_caches"),
            ("major_fault", "balloon.major_fault"),
            ("minor_fault", "balloon.minor_fault"),
            ("last_update", "balloon.last-update"),
        ),
    )


def vcpu_places(domain: _Domain) -> Params:
    """The host's CPU that each virtual CPU is on. The bulk call has no key for it: this one is ours.

    Raises:
        libvirt.libvirtError: also where a domain is only emulated, and its virtual CPUs have no thread each.

    """
    vcpus, _affinities = domain.vcpus()
    return {f"vcpu.{number}.cpu": cpu for number, _state, _time_ns, cpu in vcpus}  # negative where it is on none


def _vcpus(domain: _Domain) -> Params:
    vcpus, _affinities = domain.vcpus()
    known: dict[str, object] = {}
    for number, state, time_ns, cpu in vcpus:
        known |= {f"vcpu.{number}.state": state, f"vcpu.{number}.time": time_ns, f"vcpu.{number}.cpu": cpu}
    return known


CALLS: tuple[tuple[str, frozenset[str], Callable[[_Domain], Params]], ...] = (  # each with the groups that it serves
    ("domain_info", frozenset({"cpu_total", "balloon", "vcpu"}), _info),
    ("cpu_stats", frozenset({"cpu_total"}), _cpu),
    ("memory_stats", frozenset({"balloon"}), _memory),
    ("vcpus", frozenset({"vcpu"}), _vcpus),
)


def _devices(domain: _Domain, group: str, devices: Iterable[str], each: Callable[[_Domain, str], Params]) -> Params:
    known: dict[str, object] = {}
    count = 0
    for device in devices:
        try:
            told = each(domain, device)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                raise
            continue  # unplugged since the XML was read, or a device that this driver does not count
        known |= {f"{group}.{count}.{key}": value for key, value in {"name": device, **told}.items()}
        count += 1
    return {**known, f"{group}.count": count}


def _interface(domain: _Domain, device: str) -> Params:
    keys = ("rx.bytes", "rx.pkts", "rx.errs", "rx.drop", "tx.bytes", "tx.pkts", "tx.errs", "tx.drop")
    return dict(zip(keys, domain.interfaceStats(device), strict=True))  # -1 for what is not counted; decode drops it


def _block(domain: _Domain, device: str) -> Params:
    read_requests, read_bytes, write_requests, write_bytes, errors = domain.blockStats(device)
    return {
        "rd.reqs": read_requests,
        "rd.bytes": read_bytes,
        "wr.reqs": write_requests,
        "wr.bytes": write_bytes,
        "errors": errors,
    }


def _renamed(told: Mapping[str, object], names: Iterable[tuple[str, str]]) -> Params:
    return {ours: told[theirs] for theirs, ours in names if theirs in told}
