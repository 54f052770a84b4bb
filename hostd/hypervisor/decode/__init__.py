"""Libvirt's flat statistics to model values: pure, in base units, and `None` for whatever is not there.

The keys are those of virConnectGetAllDomainStats. Any may be absent at any time (a busy domain, another driver, an
older libvirt) and arrays may have holes, so nothing here assumes one key from another. Each file has the keys of one
subject; `values` has what they share.
"""

from collections.abc import Sequence
from typing import TypeVar

from hostd.hypervisor.decode.block import block_of
from hostd.hypervisor.decode.cpu import cache_banks, cpu_of, energy_of, vcpu_of
from hostd.hypervisor.decode.interface import interface_of
from hostd.hypervisor.decode.memory import balloon_of, bandwidth_of
from hostd.hypervisor.decode.perf import perf_of
from hostd.hypervisor.decode.rare import rare_of
from hostd.hypervisor.decode.values import Params, count_of, each
from hostd.hypervisor.names import state_of
from hostd.hypervisor.selection import ALL_DEVICES, Devices, Selection
from hostd.model.block import BlockStats
from hostd.model.stats import DomainStats, InterfaceStats, Survey

__all__ = ["Params", "domain_stats", "survey"]

Device = TypeVar("Device", BlockStats, InterfaceStats)


def survey(params: Params, *, devices: Devices = ALL_DEVICES) -> Survey:
    """One domain's record of what libvirt knows without its help."""
    number, reason_number = count_of(params, "state.state"), count_of(params, "state.reason")
    state, reason = state_of(-1 if number is None else number, reason_number or 0)
    return Survey(
        state=state,
        reason=reason,
        interfaces=_interfaces(params, devices.interfaces),
        bandwidth=bandwidth_of(params),
        perf=perf_of(params),
    )


def domain_stats(params: Params, *, kvm_stats: Sequence[str] = (), devices: Devices = ALL_DEVICES) -> DomainStats:
    """One domain's numbers, of KVM's own those that `kvm_stats` names, of devices those that are wanted."""
    return DomainStats(
        cpu=cpu_of(params),
        balloon=balloon_of(params),
        vcpus_current=count_of(params, "vcpu.current"),
        vcpus_maximum=count_of(params, "vcpu.maximum"),
        vcpus=each(params, "vcpu.maximum", "vcpu", lambda p, number, prefix: vcpu_of(p, number, prefix, kvm_stats)),
        interfaces=_interfaces(params, devices.interfaces),
        blocks=_blocks(params, devices.disks),
        cache_banks=cache_banks(params),
        energy=energy_of(params),
        rare=rare_of(params, kvm_stats),
    )


def _interfaces(params: Params, wanted: Selection) -> tuple[InterfaceStats, ...]:
    return _of(wanted, each(params, "net.count", "net", interface_of))


def _blocks(params: Params, wanted: Selection) -> tuple[BlockStats, ...]:
    return _of(wanted, each(params, "block.count", "block", block_of))


def _of(wanted: Selection, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """After they have their numbers, so that one that is left out moves no other."""
    return devices if wanted.is_all else tuple(device for device in devices if wanted.has(device.device))
