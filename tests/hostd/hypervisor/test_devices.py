"""Disks, interfaces and other devices in a domain's XML."""

from dataclasses import fields
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor.devices import hardware_of
from hostd.hypervisor.selection import Devices, Selection
from hostd.model.block import IoTune
from hostd.model.devices import Disk, Hardware, Interface
from tests.support.particulars import NO_DEVICES

DISKS = """
<disk type='file' device='disk' snapshot='external'>
  <driver name='qemu' type='qcow2' cache='none' io='native' discard='unmap' iothread='1'/>
  <source file='/var/lib/libvirt/images/a.snap2' index='3'/>
  <backingStore type='file' index='2'>
    <format type='qcow2'/><source file='/var/lib/libvirt/images/a.snap1'/>
    <backingStore type='file' index='1'>
      <format type='qcow2'/><source file='/var/lib/libvirt/images/a.qcow2'/><backingStore/>
    </backingStore>
  </backingStore>
  <target dev='vda' bus='virtio'/><serial>S3R1AL</serial><alias name='virtio-disk0'/>
</disk>
<disk type='network' device='disk'>
  <driver name='qemu' type='raw' cache='writeback' discard='unmap'/>
  <auth username='cinder'><secret type='ceph' uuid='c0ffee00-0000-4000-8000-000000000000'/></auth>
  <source protocol='rbd' name='volumes/volume-7e5f' index='1'><host name='10.0.0.1' port='6789'/></source>
  <backingStore/>
  <target dev='vdb' bus='virtio'/>
</disk>
<disk type='block' device='lun'>
  <driver name='qemu' type='raw'/><source dev='/dev/mapper/mpatha'/><target dev='sda' bus='scsi'/>
</disk>
<disk type='volume' device='disk'>
  <source pool='default' volume='data.img'/><target dev='sdb' bus='scsi'/>
</disk>
<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
<disk type='vhostuser'><source type='unix' path='/run/vhost.sock'/></disk>
"""

INTERFACES = """
<interface type='bridge'>
  <mac address='fa:16:3e:00:00:01'/><source bridge='br-int'/>
  <virtualport type='openvswitch'><parameters interfaceid='70e2a1a6-0000-4000-8000-000000000001'/></virtualport>
  <target dev='tap70e2a1a6-00'/><model type='virtio'/><mtu size='1450'/>
</interface>
<interface type='hostdev' managed='yes'>
  <mac address='fa:16:3e:00:00:02'/><source><address type='pci' domain='0' bus='3' slot='2' function='1'/></source>
</interface>
<interface type='network'>
  <mac address='52:54:00:00:00:03'/>
  <source network='default' portid='9f1e' bridge='virbr0'/><target dev='vnet7'/><model type='e1000'/>
</interface>
<interface type='direct'><source dev='eno1' mode='bridge'/><target dev='macvtap0'/></interface>
<interface type='user'/>
"""


def hardware(devices: str) -> Hardware:
    return hardware_of(ET.fromstring(f"<domain><devices>{devices}</devices></domain>"))


def test_every_disk_is_told_of_that_the_guest_can_name() -> None:
    snapshots, ceph, lun, volume, drive = hardware(DISKS).disks
    assert snapshots == Disk(
        device="vda",
        kind="disk",
        bus="virtio",
        source_type="file",
        source_file="/var/lib/libvirt/images/a.snap2",
        driver_name="qemu",
        driver_type="qcow2",
        cache="none",
        discard="unmap",
        io="native",
        serial="S3R1AL",
        backing_images=2,
    )
    assert (ceph.source_type, ceph.source_protocol, ceph.source_name) == ("network", "rbd", "volumes/volume-7e5f")
    assert (ceph.cache, ceph.backing_images) == ("writeback", 0)
    assert (lun.kind, lun.source_file, lun.backing_images) == ("lun", "/dev/mapper/mpatha", None)
    assert (volume.source_type, volume.source_name) == ("volume", "default/data.img")
    assert drive == Disk(device="hdc", kind="cdrom", bus="ide", source_type="file")


def test_every_interface_is_told_of_with_its_place_also_those_without_a_device() -> None:
    port, passed_through, network, direct, user = hardware(INTERFACES).interfaces
    assert port == Interface(
        index=0,
        name="tap70e2a1a6-00",
        kind="bridge",
        mac_address="fa:16:3e:00:00:01",
        model="virtio",
        source_bridge="br-int",
        virtual_interface="70e2a1a6-0000-4000-8000-000000000001",
        mtu="1450",
    )
    assert passed_through == Interface(index=1, kind="hostdev", mac_address="fa:16:3e:00:00:02")
    assert (network.index, network.source_network, network.source_bridge) == (2, "default", "virbr0")
    assert (direct.index, direct.name, direct.source_device) == (3, "macvtap0", "eno1")
    assert user == Interface(index=4, kind="user")


def test_other_devices_are_counted() -> None:
    channel = "<channel type='unix'><target type='virtio' name='{}'/></channel>".format
    devices = "<hostdev/><hostdev/><watchdog model='i6300esb' action='reset'/><rng model='virtio'/><memballoon/>"
    found = hardware(devices + channel("org.qemu.guest_agent.0") + channel("com.redhat.spice.0"))
    assert found.devices == {
        "memballoon": 1,
        "hostdev": 2,
        "rng": 1,
        "tpm": 0,
        "watchdog": 1,
        "guest_agent_channel": 1,
    }


@pytest.mark.parametrize(
    ("balloon", "count", "period"),
    [
        ("<memballoon model='virtio'><stats period='10'/></memballoon>", 1, 10),
        ("<memballoon model='virtio'/>", 1, 0),
        ("<memballoon model='none'/>", 0, None),
        ("", 0, None),
        ("<memballoon><stats period='often'/></memballoon>", 1, None),
        ("<memballoon><stats period='-1'/></memballoon>", 1, None),
    ],
)
def test_a_balloon_that_tells_nothing_has_a_period_of_0_and_no_balloon_has_none(
    balloon: str, count: int, period: int | None
) -> None:
    found = hardware(balloon)
    assert (found.devices["memballoon"], found.balloon_period_seconds) == (count, period)


def test_a_domain_without_devices_has_none() -> None:
    assert hardware_of(ET.fromstring("<domain/>")) == Hardware(devices=NO_DEVICES)


def limited(limits: str) -> IoTune | None:
    (disk,) = hardware(f"<disk><target dev='vda'/><iotune>{limits}</iotune></disk>").disks
    return disk.iotune


def test_limits_of_a_disk_are_told_and_0_is_none() -> None:
    """As libvirt 9.0 writes it while the domain runs, with the elements in any order."""
    found = limited(
        "<total_bytes_sec>1000000</total_bytes_sec><read_iops_sec>100</read_iops_sec><write_iops_sec>0</write_iops_sec>"
        "<total_bytes_sec_max>2000000</total_bytes_sec_max><size_iops_sec>4096</size_iops_sec>"
        "<group_name>gold</group_name><total_bytes_sec_max_length>5</total_bytes_sec_max_length>"
    )
    assert found == IoTune(
        group="gold",
        total_bytes_per_second=1_000_000,
        read_requests_per_second=100,
        total_burst_bytes_per_second=2_000_000,
        total_burst_bytes_seconds=5,
        request_bytes=4096,
    )


def test_a_burst_of_which_nobody_says_how_long_lasts_a_second() -> None:
    found = limited("<write_iops_sec>1</write_iops_sec><write_iops_sec_max>2</write_iops_sec_max>")
    assert found == IoTune(
        write_requests_per_second=1, write_burst_requests_per_second=2, write_burst_requests_seconds=1
    )


@pytest.mark.parametrize(
    "limits",
    [
        "",
        "<read_bytes_sec>0</read_bytes_sec>",
        "<group_name>gold</group_name>",
        "<read_bytes_sec>-1</read_bytes_sec>",
        "<read_bytes_sec>much</read_bytes_sec>",
        "<read_bytes_sec>٣</read_bytes_sec>",
        "<swimming>1</swimming>",
    ],
)
def test_what_is_no_limit_is_none(limits: str) -> None:
    assert limited(limits) is None


def test_every_limit_of_libvirts_is_read() -> None:
    kinds = ("bytes_sec", "iops_sec", "bytes_sec_max", "iops_sec_max", "bytes_sec_max_length", "iops_sec_max_length")
    names = [f"{operation}_{kind}" for operation in ("total", "read", "write") for kind in kinds] + ["size_iops_sec"]
    found = limited("".join(f"<{name}>{number}</{name}>" for number, name in enumerate(names, 1)))
    assert found is not None
    numbers = [getattr(found, field.name) for field in fields(found) if field.name != "group"]
    assert sorted(numbers) == list(range(1, len(names) + 1))


def test_disks_and_interfaces_that_are_left_out_move_no_other() -> None:
    wanted = Devices(disks=Selection(exclude=("hd*", "vdb")), interfaces=Selection(include=("tap*", "#*")))
    document = ET.fromstring(f"<domain><devices>{DISKS}{INTERFACES}</devices></domain>")
    found = hardware_of(document, wanted)
    assert [disk.device for disk in found.disks] == ["vda", "sda", "sdb"]
    assert [interface.device for interface in found.interfaces] == ["tap70e2a1a6-00", "#1", "#4"]
    assert found.interfaces == tuple(each for each in hardware(INTERFACES).interfaces if each.index in {0, 1, 4})


@given(st.integers(min_value=0, max_value=300))
def test_a_chain_is_as_long_as_its_images(depth: int) -> None:
    chain = "<backingStore type='file'><source file='/a'/>" * depth + "<backingStore/>" + "</backingStore>" * depth
    (disk,) = hardware(f"<disk><target dev='vda'/>{chain}</disk>").disks
    assert disk.backing_images == depth
