"""A domain's XML to what hostd tells of it: pure. `devices` and `metadata` read their parts of it.

The paths of channels' sockets are taken from the *live* XML and from nowhere else: libvirt has moved it between
releases, cuts long names in it, and gives it a new number at every start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from hostd.hypervisor.devices import hardware_of
from hostd.hypervisor.metadata import Labels, labels_of, limited
from hostd.hypervisor.selection import ALL_DEVICES, Devices
from hostd.labels import Rules
from hostd.model.devices import Hardware
from hostd.model.domain import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the XML says."""

    os_type: str | None = None
    machine: str | None = None
    architecture: str | None = None
    emulator: str | None = None
    title: str | None = None
    memory_maximum_bytes: int | None = None
    vcpus: int | None = None
    channel: Channel | None = None
    vhostmd_channel: Channel | None = None
    vsock_cid: int | None = None
    hardware: Hardware = field(default_factory=Hardware)
    labels: Labels = field(default_factory=lambda: Labels(managers={}))

    @property
    def disks(self) -> tuple[str, ...]:
        """Target devices, as the guest's bus names them."""
        return tuple(disk.device for disk in self.hardware.disks)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Target devices, as the host names them."""
        return tuple(interface.name for interface in self.hardware.interfaces if interface.name)


_UNITS = {  # libvirt's documentation of <memory unit='…'>; no unit means KiB
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "k": 2**10,
    "KiB": 2**10,
    "MB": 10**6,
    "M": 2**20,
    "MiB": 2**20,
    "GB": 10**9,
    "G": 2**30,
    "GiB": 2**30,
    "TB": 10**12,
    "T": 2**40,
    "TiB": 2**40,
}


def describe(
    xml: str,
    *,
    channel_name: str,
    vhostmd_channel_name: str = "",
    serial_aliases: Sequence[str] = (),
    rules: Rules = Rules(),  # noqa: B008 - frozen
    devices: Devices = ALL_DEVICES,
) -> Description:
    """The facts in a domain's XML; what is not there is `None`.

    The line to its agent is the channel of that name, or else the serial line or console of the first of those aliases
    that is a unix socket.

    Raises:
        ValueError: it is not XML.

    """
    try:
        domain = ET.fromstring(xml)  # noqa: S314 - libvirt's own serialisation, without a document type
    except ET.ParseError as error:
        raise ValueError(f"domain XML: {error}") from error
    os_type = domain.find("os/type")
    title = (domain.findtext("title") or "").strip()
    return Description(
        os_type=None if os_type is None else os_type.text,
        machine=None if os_type is None else os_type.get("machine"),
        architecture=None if os_type is None else os_type.get("arch"),
        emulator=domain.findtext("devices/emulator"),
        title=limited(title) or None,
        memory_maximum_bytes=_memory(domain.find("memory")),
        vcpus=_vcpus(domain.find("vcpu")),
        channel=_channel(domain, channel_name) or _serial(domain, serial_aliases),
        vhostmd_channel=_channel(domain, vhostmd_channel_name),
        vsock_cid=_vsock_cid(domain),
        hardware=hardware_of(domain, devices),
        labels=labels_of(domain, rules),
    )


def _memory(element: ET.Element | None) -> int | None:
    unit = None if element is None else _UNITS.get(element.get("unit", "KiB"))
    if element is None or unit is None or not (element.text or "").strip().isdecimal():
        return None
    return int(element.text or "") * unit


def _vcpus(element: ET.Element | None) -> int | None:
    """Those that are there now; without `current` that is all."""
    count = "" if element is None else (element.get("current") or element.text or "").strip()
    return int(count) if count.isascii() and count.isdecimal() else None


def _vsock_cid(domain: ET.Element) -> int | None:
    cid = domain.find("devices/vsock/cid")
    address = "" if cid is None else cid.get("address", "")
    return (
        int(address) if address.isascii() and address.isdecimal() else None
    )  # only the live XML has one for auto='yes'


def _channel(domain: ET.Element, name: str) -> Channel | None:
    if not name:
        return None
    for channel in domain.iterfind("devices/channel[@type='unix']"):
        source, target = channel.find("source"), channel.find("target")
        if source is None or target is None or target.get("name") != name:
            continue
        path, state = source.get("path"), target.get("state")
        if path is not None:
            return Channel(path=path, is_open_in_guest=None if state is None else state == "connected")
    return None


def _serial(domain: ET.Element, aliases: Sequence[str]) -> Channel | None:
    paths: dict[str, str] = {}
    for line in (*domain.iterfind("devices/serial[@type='unix']"), *domain.iterfind("devices/console[@type='unix']")):
        source, alias = line.find("source"), line.find("alias")
        if source is not None and alias is not None and source.get("mode") != "connect":
            paths.setdefault(alias.get("name", ""), source.get("path", ""))
    path = next(filter(None, map(paths.get, aliases)), None)
    return None if path is None else Channel(path=path, is_open_in_guest=None)  # no line tells who is at its end
