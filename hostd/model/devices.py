"""What a domain is made of, as its XML says. Text that is not there is empty, as the label that it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hostd.model.block import IoTune


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One disk and where its data is."""

    device: str  # as the guest's bus names it: vda
    kind: str = ""  # disk, cdrom, floppy or lun
    bus: str = ""
    source_type: str = ""  # file, block, network, volume …
    source_file: str = ""  # a path on the host, of a file or a block device
    source_protocol: str = ""  # rbd, iscsi, nbd …
    source_name: str = ""  # what the protocol knows it by, or POOL/VOLUME
    driver_name: str = ""
    driver_type: str = ""
    cache: str = ""
    discard: str = ""
    io: str = ""
    serial: str = ""
    iotune: IoTune | None = None  # None where nothing is limited
    backing_images: int | None = None  # below the one that is written to; libvirt tells it of live domains only


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One network interface and what it is plugged into. `index` is its place, as for its numbers."""

    index: int
    name: str | None = None  # the host's device; SR-IOV and user-mode interfaces have none
    kind: str = ""  # bridge, network, direct, hostdev, user …
    mac_address: str = ""
    model: str = ""
    source_bridge: str = ""
    source_network: str = ""
    source_device: str = ""
    virtual_interface: str = ""  # the id of its port in Open vSwitch or the like
    mtu: str = ""

    @property
    def device(self) -> str:
        """What its series are labelled with: an interface that the host has no device of is known by its place."""
        return self.name or f"#{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The virtual machine's parts."""

    disks: tuple[Disk, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    devices: Mapping[str, int] = field(default_factory=dict)  # how many there are of kinds that are not above
    balloon_period_seconds: int | None = None  # how often the balloon tells of the guest's memory; 0 is never
