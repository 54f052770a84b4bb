"""The devices in a domain's XML: pure."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from hostd.hypervisor.selection import ALL_DEVICES, Devices
from hostd.model.block import IoTune
from hostd.model.devices import Disk, Hardware, Interface

AGENT_CHANNEL = "org.qemu.guest_agent.0"

_COUNTED: Mapping[str, str] = {  # kind to the way there
    "hostdev": "devices/hostdev",
    "rng": "devices/rng",
    "tpm": "devices/tpm",
    "watchdog": "devices/watchdog",
    "guest_agent_channel": f"devices/channel/target[@name='{AGENT_CHANNEL}']",
}

_OPERATIONS = ("total", "read", "write")
_LIMITS: Mapping[str, str] = {  # of IoTune's fields, and the element of <iotune> with each
    **{
        f"{operation}_{field}": f"{operation}_{element}"
        for operation in _OPERATIONS
        for field, element in (
            ("bytes_per_second", "bytes_sec"),
            ("requests_per_second", "iops_sec"),
            ("burst_bytes_per_second", "bytes_sec_max"),
            ("burst_requests_per_second", "iops_sec_max"),
            ("burst_bytes_seconds", "bytes_sec_max_length"),
            ("burst_requests_seconds", "iops_sec_max_length"),
        )
    },
    "request_bytes": "size_iops_sec",
}
_BURST_SECONDS = 1  # how long a burst may be where the XML does not say: QEMU's own, which libvirt's call tells, too


def hardware_of(domain: ET.Element, wanted: Devices = ALL_DEVICES) -> Hardware:
    """All devices that are told of, disks and interfaces as far as they are wanted."""
    balloon = domain.find("devices/memballoon")
    has_balloon = balloon is not None and balloon.get("model") != "none"
    counts = {kind: len(domain.findall(path)) for kind, path in _COUNTED.items()}
    disks = [_disk(each) for each in domain.iterfind("devices/disk")]
    interfaces = [_interface(index, each) for index, each in enumerate(domain.iterfind("devices/interface"))]
    return Hardware(
        disks=tuple(disk for disk in disks if disk is not None and wanted.disks.has(disk.device)),
        interfaces=tuple(interface for interface in interfaces if wanted.interfaces.has(interface.device)),
        devices={"memballoon": int(has_balloon), **counts},
        balloon_period_seconds=_period(balloon) if balloon is not None and has_balloon else None,
    )


def _disk(disk: ET.Element) -> Disk | None:
    source = disk.find("source")
    device = _attribute(disk, "target", "dev")
    if not device:
        return None
    pool, volume = _of(source, "pool"), _of(source, "volume")
    return Disk(
        device=device,
        kind=disk.get("device", "disk"),
        bus=_attribute(disk, "target", "bus"),
        source_type=disk.get("type", ""),
        source_file=_of(source, "file") or _of(source, "dev") or _of(source, "dir"),
        source_protocol=_of(source, "protocol"),
        source_name=_of(source, "name") or (f"{pool}/{volume}" if volume else ""),
        driver_name=_attribute(disk, "driver", "name"),
        driver_type=_attribute(disk, "driver", "type"),
        cache=_attribute(disk, "driver", "cache"),
        discard=_attribute(disk, "driver", "discard"),
        io=_attribute(disk, "driver", "io"),
        serial=(disk.findtext("serial") or "").strip(),
        iotune=_iotune(disk.find("iotune")),
        backing_images=_backing_images(disk),
    )


def _iotune(element: ET.Element | None) -> IoTune | None:
    """The limits; 0 is libvirt's word for none."""
    if element is None:
        return None
    texts = {field: (element.findtext(name) or "").strip() for field, name in _LIMITS.items()}
    limits = {field: int(text) for field, text in texts.items() if text.isascii() and text.isdecimal() and int(text)}
    for burst in (f"{operation}_burst_{what}" for operation in _OPERATIONS for what in ("bytes", "requests")):
        if f"{burst}_per_second" in limits:
            limits.setdefault(f"{burst}_seconds", _BURST_SECONDS)
    group = (element.findtext("group_name") or "").strip()
    return IoTune(group=group, **limits) if limits else None


def _backing_images(disk: ET.Element) -> int | None:
    """How deep `<backingStore>` is nested; an empty one ends it. Without any libvirt has not looked."""
    image = disk.find("backingStore")
    if image is None:
        return None
    count = 0
    while image is not None and image.find("source") is not None:
        count += 1
        image = image.find("backingStore")
    return count


def _interface(index: int, interface: ET.Element) -> Interface:
    source = interface.find("source")
    return Interface(
        index=index,
        name=_attribute(interface, "target", "dev") or None,
        kind=interface.get("type", ""),
        mac_address=_attribute(interface, "mac", "address"),
        model=_attribute(interface, "model", "type"),
        source_bridge=_of(source, "bridge"),
        source_network=_of(source, "network"),
        source_device=_of(source, "dev"),
        virtual_interface=_attribute(interface, "virtualport/parameters", "interfaceid"),
        mtu=_attribute(interface, "mtu", "size"),
    )


def _period(balloon: ET.Element) -> int | None:
    period = _attribute(balloon, "stats", "period") or "0"
    return int(period) if period.isdecimal() else None


def _attribute(element: ET.Element, path: str, name: str) -> str:
    return _of(element.find(path), name)


def _of(element: ET.Element | None, name: str) -> str:
    return "" if element is None else element.get(name, "")
