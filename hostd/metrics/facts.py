"""What a domain is, by its XML: its parts, and what those who manage it wrote there. To add a metric here: one row.

Names of families and labels are inovex's where it has them. The labels of an interface or a disk are those of its
numbers, so that the two can be joined.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from hostd.labels import PRESETS, names_of
from hostd.metrics.row import Metric, Scope, gauge, itself
from hostd.model.devices import Disk, Hardware
from hostd.model.domain import Domain

HARDWARE: tuple[Metric[Hardware], ...] = (
    gauge(
        "libvirt_domain_memory_stats_period_seconds",
        "How often the balloon driver tells of the guest's memory; at 0 it never does.",
        "balloon_period_seconds",
    ),
)

DEVICES: tuple[Metric[float], ...] = (gauge("libvirt_domain_devices", "Devices of the kind that the domain has."),)

DISK: tuple[Metric[Disk], ...] = (
    gauge(
        "libvirt_domain_block_backing_images",
        "Images below the disk's own in its backing chain; a chain that grows makes each read slower.",
        "backing_images",
    ),
)

DISK_INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_block_stats_info", "What the disk is, where its data is, and how it is cached."),
)

INTERFACE_INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_interface_stats_info", "What the interface is and what it is plugged into."),
)

METADATA: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_metadata_info", "What the rules of [[metadata]] find in the domain's metadata."),
)


def _manager(name: str, whose: str) -> tuple[Metric[float], ...]:
    return (gauge(name, f"What {whose} wrote into the domain's metadata."),)


MANAGERS: tuple[tuple[str, tuple[Metric[float], ...]], ...] = (
    ("nova", _manager("libvirt_domain_openstack_info", "OpenStack's Nova")),
    ("ovirt", _manager("libvirt_domain_ovirt_info", "oVirt")),
    ("libosinfo", _manager("libvirt_domain_libosinfo_info", "whoever installed it")),
)
"""Each preset's own family, there without any setting."""


def _devices(counts: Mapping[str, int]) -> Iterable[tuple[tuple[str, ...], float]]:
    for kind, count in counts.items():
        yield (kind,), count


def _disks(hardware: Hardware) -> Iterable[tuple[tuple[str, ...], Disk]]:
    for disk in hardware.disks:
        yield (disk.device,), disk


def _disk_infos(hardware: Hardware) -> Iterable[tuple[tuple[str, ...], float]]:
    for disk in hardware.disks:
        source = (disk.source_file, disk.source_protocol, disk.source_name)
        driver = (disk.driver_name, disk.driver_type, disk.cache, disk.discard, disk.io)
        yield (disk.device, disk.bus, disk.kind, disk.source_type, *source, *driver, disk.serial), 1


def _interface_infos(hardware: Hardware) -> Iterable[tuple[tuple[str, ...], float]]:
    for interface in hardware.interfaces:
        source = (interface.source_bridge, interface.source_network, interface.source_device)
        kind = (interface.kind, interface.mac_address, interface.model)
        yield (interface.device, *kind, *source, interface.virtual_interface, interface.mtu), 1


def _metadata(pairs: tuple[tuple[str, str], ...]) -> Iterable[tuple[tuple[tuple[str, str], ...], float]]:
    yield pairs, 1


def _managed(values: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], float]]:
    yield values, 1


def _of_preset(preset: str, metrics: tuple[Metric[float], ...]) -> Scope[Domain, Any, Any]:
    return Scope(names_of(PRESETS[preset]), lambda d: d.facts.managers.get(preset), _managed, metrics)


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope((), lambda d: d.facts.hardware, itself, HARDWARE),
    Scope(("kind",), lambda d: d.facts.hardware.devices, _devices, DEVICES),
    Scope(("target_device",), lambda d: d.facts.hardware, _disks, DISK),
    Scope(
        (
            *("target_device", "target_bus", "device", "disk_type"),
            *("source_file", "source_protocol", "source_name"),
            *("driver_name", "driver_type", "driver_cache", "driver_discard", "driver_io", "serial"),
        ),
        lambda d: d.facts.hardware,
        _disk_infos,
        DISK_INFO,
    ),
    Scope(
        (
            *("target_device", "interface_type", "mac_address", "model_type"),
            *("source_bridge", "source_network", "source_device", "virtual_interface", "mtu_size"),
        ),
        lambda d: d.facts.hardware,
        _interface_infos,
        INTERFACE_INFO,
    ),
    *(_of_preset(preset, metrics) for preset, metrics in MANAGERS),
    Scope(None, lambda d: d.facts.metadata or None, _metadata, METADATA),
)
