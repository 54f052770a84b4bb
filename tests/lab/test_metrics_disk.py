"""vhostmd's metrics in a real guest: read from its own disk and over its channel, by our tools and by hand."""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from protocol.mdisk import SIGNATURE
from protocol.vhostmd import CHANNEL, Metric, metrics_in
from tests.lab.conftest import shown
from tests.lab.daemon import Hostd
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.waiting import wait_for

SAP = {
    "HostName",
    "Time",
    "VirtualizationVendor",
    "VirtProductInfo",
    "HostSystemInfo",
    "NumberOfPhysicalCPUs",
    "MemoryAllocatedToVirtualServers",
    "FreePhysicalMemory",
    "FreeVirtualMemory",
    "UsedVirtualMemory",
    "PagedInMemory",
    "PagedOutMemory",
    "TotalCPUTime",
    "ResourceProcessorLimit",
    "ResourceMemoryLimit",
    "PhysicalMemoryAllocatedToVirtualSystem",
}
_DEVICES = (
    f"<channel type='unix'><source mode='bind'/><target type='virtio' name='{CHANNEL}'/></channel>",
    """<disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/><source file='{disk}'/><target dev='vda' bus='virtio'/><readonly/>
    </disk>""",
)
_NOBODY_ANSWERS = ["--socket", "/run/nobody.sock"]


@pytest.fixture(scope="module")
def hostd(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[Hostd]:
    folder = libvirtd.folder / "metrics"
    vhostmd = f'[vhostmd]\nperiod_seconds = 0.5\nhost_name = "rack7.example"\ndisk_folder = "{folder}"'
    hostd = Hostd(libvirtd.uri, libvirtd.folder / "hostd", more=vhostmd)
    with shown(logs, hostd.log):
        hostd.start()
        yield hostd
        hostd.stop()


@pytest.fixture(scope="module")
def guest(libvirtd: PrivateLibvirt, hostd: Hostd, logs: list[Path]) -> Iterator[Guest]:
    """One with a disk that hostd makes when it hears of the domain, which is before it starts."""
    name = str(uuid.uuid4())
    disk = libvirtd.folder / "metrics" / f"{name}.vhostmd"
    devices = [device.format(disk=disk) for device in _DEVICES]
    with ExitStack() as down:
        guest = Guest.define(libvirtd, GuestSpec(name="metered", uuid=name, extra_devices=devices))
        down.callback(guest.remove)
        down.enter_context(shown(logs, guest.console))
        wait_for("the domain's disk", disk.exists, deadline=30, evidence=hostd.evidence)
        guest.start()
        guest.wait_ready()
        hostd.wait_until_sampled(domain="metered")
        yield guest


def dumped(guest: Guest, *options: str) -> list[Metric]:
    return metrics_in(guest.run(["guestagent", "dump", *options]).stdout)


def told(metrics: list[Metric], context: str = "host") -> Mapping[str, str]:
    return {metric.name: metric.value for metric in metrics if metric.context == context}


def test_a_guest_reads_the_hosts_metrics_and_its_own_from_its_disk(guest: Guest) -> None:
    metrics = dumped(guest, "-b")
    assert {metric.name for metric in metrics} == SAP
    assert {metric.uuid for metric in metrics if metric.context == "vm"} == {guest.uuid}
    assert told(metrics)["HostName"] == "rack7.example"
    assert told(metrics, "vm")["ResourceMemoryLimit"] == "384"


def test_a_disk_is_read_live(guest: Guest) -> None:
    before = int(told(dumped(guest, "-b"))["Time"])
    wait_for("a later Time on the disk", lambda: int(told(dumped(guest, "-b"))["Time"]) > before, deadline=60)


def test_whoever_reads_the_raw_device_finds_vhostmds_layout(guest: Guest) -> None:
    script = "import sys; data = open('/dev/vda', 'rb').read(64); print(data[:4].decode(), data[16:25].decode())"
    assert guest.run(["python3", "-c", script]).stdout.split() == [SIGNATURE.decode(), "<metrics>"]
    assert guest.shell("cat /sys/block/vda/ro /sys/block/vda/size").stdout.split() == ["1", str(256 * 2)]


def test_the_channel_tells_the_same_and_later(guest: Guest) -> None:
    disk, channel = dumped(guest, "-b"), dumped(guest, "-i")
    assert [metric.name for metric in channel] == [metric.name for metric in disk]
    assert abs(int(told(channel)["Time"]) - time.time()) < 60


def test_both_tools_have_vhostmds_name_for_scripts(guest: Guest) -> None:
    guest.shell("ln -sf /opt/virtwire/guestagent.pyz /tmp/vm-dump-metrics")
    done = guest.run(["/tmp/vm-dump-metrics", "-i", "--dest=/tmp/metrics.xml"])
    assert done.stdout == ""
    assert told(metrics_in(guest.shell("cat /tmp/metrics.xml").stdout))["HostName"] == "rack7.example"


def test_get_asks_vhostmd_where_no_agent_has_heard_of_hostd(guest: Guest) -> None:
    done = guest.run(["guestagent", "get", *_NOBODY_ANSWERS, "host_cpus", "domain_memory_limit_bytes"])
    cpus, limit = done.stdout.split()
    assert cpus == told(dumped(guest, "-b"))["NumberOfPhysicalCPUs"]
    assert int(limit) == 384 << 20


def test_a_hostd_that_is_killed_leaves_the_disk_whole_and_the_next_goes_on(guest: Guest, hostd: Hostd) -> None:
    hostd.kill()
    left = told(dumped(guest, "-b"))
    hostd.start()

    def goes_on() -> bool:
        return int(told(dumped(guest, "-b"))["Time"]) > int(left["Time"])

    wait_for("a later Time on the same disk", goes_on, deadline=60, evidence=hostd.evidence)
