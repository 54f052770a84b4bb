"""What a domain is, and what it is asked now and then, of a real QEMU."""

import libvirt
import pytest

from tests.lab.conftest import StartHostd
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.tiny import define_tiny
from tests.lab.waiting import wait_for

METADATA = """<title>The first</title>
<metadata><h:host xmlns:h='urn:inventory' team='blue'/></metadata>"""
DEVICES = "<interface type='user'><model type='virtio'/></interface><watchdog model='i6300esb' action='reset'/>"
RULE = "[[metadata]]\nlabel = 'team'\npath = '{urn:inventory}host/@team'\n"
DRIVE = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"
CHOSEN = """[disks]
exclude = ["sd*"]
[interfaces]
exclude = ["#0"]
[exposition]
compat = ["tinkoff"]
"""
ASKED_OFTEN = "details_interval_seconds = 1.0"  # a part is left out while hostd's own question is at the monitor
SNAPSHOT = "<domainsnapshot><name>before</name></domainsnapshot>"


@pytest.fixture
def alpha(private_libvirtd: PrivateLibvirt) -> libvirt.virDomain:
    """A tiny domain with something to tell, paused."""
    xml = define_tiny(private_libvirtd, "alpha").XMLDesc()
    xml = xml.replace("<memory ", f"{METADATA}<memory ", 1).replace("</devices>", f"{DEVICES}</devices>")
    domain = private_libvirtd.connection.defineXML(xml)
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    return domain


def test_its_parts_its_metadata_and_its_snapshots_are_told(
    private_libvirtd: PrivateLibvirt, alpha: libvirt.virDomain, start_hostd: StartHostd
) -> None:
    alpha.snapshotCreateXML(SNAPSHOT, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
    hostd = start_hostd(private_libvirtd.uri, sampling=ASKED_OFTEN, more=RULE)
    for name, labels, value in (
        ("libvirt_domain_info", {"title": "The first"}, 1),
        ("libvirt_domain_metadata_info", {"team": "blue"}, 1),
        ("libvirt_domain_block_backing_images", {"target_device": "vda"}, 1),
        ("libvirt_domain_block_stats_info", {"target_device": "vda", "driver_type": "qcow2"}, 1),
        ("libvirt_domain_interface_stats_info", {"target_device": "#0", "interface_type": "user"}, 1),
        ("libvirt_domain_devices", {"kind": "watchdog"}, 1),
        ("libvirt_domain_memory_stats_period_seconds", {}, 0),
        ("libvirt_domain_autostart", {}, 0),
        ("libvirt_domain_disk_errors", {}, 0),
        ("libvirt_domain_snapshots", {}, 1),
    ):
        assert hostd.wait_for_sample(name, {"domain": "alpha", **labels}) == value
    for name in ("libvirt_domain_snapshot_newest_timestamp_seconds", "hostd_domain_process_start_time_seconds"):
        assert hostd.wait_for_sample(name, {"domain": "alpha"}) > 1_700_000_000


def test_a_backup_is_told_while_it_runs(
    private_libvirtd: PrivateLibvirt, alpha: libvirt.virDomain, start_hostd: StartHostd
) -> None:
    socket = private_libvirtd.file("backup.sock", size_bytes=0)
    socket.unlink()
    alpha.backupBegin(f"<domainbackup mode='pull'><server transport='unix' socket='{socket}'/></domainbackup>", None)
    hostd = start_hostd(private_libvirtd.uri)
    assert hostd.wait_for_sample("libvirt_domain_job_info", {"domain": "alpha", "operation": "backup"}) == 1
    assert hostd.wait_for_sample("libvirt_domain_job_info_time_elapsed_seconds", {"domain": "alpha"}) > 0
    alpha.abortJob()
    is_over = lambda: hostd.value("libvirt_domain_job_info", domain="alpha") is None  # noqa: E731
    wait_for("the job to be told no more", is_over, deadline=30)


def test_limits_that_somebody_sets_on_a_disk_are_those_that_libvirt_says(
    private_libvirtd: PrivateLibvirt, alpha: libvirt.virDomain, start_hostd: StartHostd
) -> None:
    """Out of the XML: the call would be a round to the monitor for each disk, and fails for an empty drive."""
    hostd = start_hostd(private_libvirtd.uri, more=CHOSEN)
    hostd.wait_for_sample("libvirt_domain_block_stats_limit_total_bytes", {"domain": "alpha"}, lambda value: value == 0)
    assert hostd.value("libvirt_domain_block_iotune_total_bytes_per_second", domain="alpha") is None

    alpha.setBlockIoTune("vda", {"total_bytes_sec": 1_000_000, "total_bytes_sec_max": 2_000_000, "read_iops_sec": 100})
    disk = {"domain": "alpha", "target_device": "vda"}
    says = alpha.blockIoTune("vda")
    for ours, theirs, libvirts in (
        ("total_bytes_per_second", "limit_total_bytes", "total_bytes_sec"),
        ("total_burst_bytes_per_second", "limit_burst_total_bytes", "total_bytes_sec_max"),
        ("total_burst_bytes_length_seconds", "limit_burst_total_bytes_length_seconds", "total_bytes_sec_max_length"),
        ("read_requests_per_second", "limit_read_requests", "read_iops_sec"),
        ("write_bytes_per_second", "limit_write_bytes", "write_bytes_sec"),
    ):
        limit = says[libvirts]
        hostd.wait_for_sample(f"libvirt_domain_block_stats_{theirs}", disk, float(limit).__eq__)
        assert hostd.value(f"libvirt_domain_block_iotune_{ours}", **disk) == (limit or None)


def test_devices_that_are_left_out_are_nowhere_and_each_virtual_cpu_is_somewhere(
    private_libvirtd: PrivateLibvirt, alpha: libvirt.virDomain, start_hostd: StartHostd
) -> None:
    alpha.destroy()
    xml = alpha.XMLDesc().replace("</devices>", f"{DRIVE}<interface type='user'/></devices>")
    alpha = private_libvirtd.connection.defineXML(xml)
    alpha.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    hostd = start_hostd(private_libvirtd.uri, more=CHOSEN)
    hostd.wait_for_sample("libvirt_domain_block_stats_capacity_bytes", {"target_device": "vda"})
    hostd.wait_for_sample("libvirt_domain_disk_errors", {"domain": "alpha"})
    assert hostd.wait_for_sample("libvirt_domain_vcpu_cpu", {"domain": "alpha", "vcpu": "0"}) >= 0
    devices = {sample.labels["target_device"] for sample in hostd.samples() if "target_device" in sample.labels}
    assert devices == {"vda", "#1"}
