"""Events of broken hardware, lost media, a broken-off command and the like, made to happen without a guest's system.

The monitor or 510 bytes of boot sector do what is needed, so a domain here is up in half a second. What else libvirt
tells of is in ``test_events.py``; what cannot be made to happen on this machine is in the lab's README.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import libvirt
import libvirt_qemu
import pytest

from tests.lab.bootsector import HIBERNATE, POWER_OFF, REFUSE_TO_EJECT_MEMORY, boots
from tests.lab.daemon import Hostd
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.processes import frozen, kill_and_wait
from tests.lab.tiny import define_tiny
from tests.lab.waiting import wait_for

NAME = "rare"
HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
LONG_SENT_MILLISECONDS = 300
PAUSED = libvirt.VIR_DOMAIN_START_PAUSED
UNCORRECTED = "mce 0 9 0xbd000000000000c0 0xd 0x62000000 0x8d"  # processor, bank, its status, and where in memory
CORRECTED = "mce 0 9 0x9d000000000000c0 0xd 0x62000000 0x8d"
LOST = """<disk type='file' device='{device}'><driver name='qemu' type='raw'/>
  <source file='/lost/{target}' startupPolicy='optional'/><target dev='{target}' bus='{bus}'/></disk>"""
MODULE = "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"
ROOM_FOR_IT = """<maxMemory slots='1' unit='MiB'>512</maxMemory>
  <cpu><numa><cell id='0' cpus='0' memory='16' unit='MiB'/></numa></cpu>"""
TO_DISK = "<pm><suspend-to-disk enabled='yes'/></pm>"
OVERLAY = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA


@pytest.fixture
def rare(libvirtd: PrivateLibvirt, hostd: Hostd) -> Iterator[libvirt.virDomain]:
    """A tiny domain, which does not run yet and is gone with the test."""
    assert hostd.value("libvirt_up") == 1
    domain = define_tiny(libvirtd, NAME)
    yield domain
    with contextlib.suppress(libvirt.libvirtError):  # it may have ended by itself
        domain.destroy()
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)


def test_memory_that_fails_is_told_with_what_became_of_it(hostd: Hostd, rare: libvirt.virDomain) -> None:
    rare.createWithFlags(PAUSED)

    libvirt_qemu.qemuMonitorCommand(rare, CORRECTED, HMP)
    libvirt_qemu.qemuMonitorCommand(rare, UNCORRECTED, HMP)

    hostd.wait_for_events(NAME, ("memory_failure", "guest_inject"), ("memory_failure", "guest_reset"), ("reboot", ""))


def test_a_qemu_that_is_gone_in_the_middle_of_a_command_is_told(
    hostd: Hostd, libvirtd: PrivateLibvirt, rare: libvirt.virDomain
) -> None:
    rare.createWithFlags(PAUSED)
    pid = libvirtd.qemu_pid(NAME)

    with ThreadPoolExecutor(1) as thread, frozen(pid):
        asked = thread.submit(rare.blockStats, "vda")
        wait_for("a command that QEMU has not read", lambda: _is_waiting(rare), deadline=60)
        kill_and_wait(pid)
        assert isinstance(asked.exception(60), libvirt.libvirtError)

    hostd.wait_for_events(NAME, ("control_error", ""))


def test_a_killed_qemu_is_a_failed_domain(hostd: Hostd, libvirtd: PrivateLibvirt, rare: libvirt.virDomain) -> None:
    failed = {"domain": NAME, "event": "stopped", "detail": "failed"}
    rare.createWithFlags(PAUSED)
    hostd.wait_for_sample("libvirt_domain_events_total", failed, lambda count: count == 0)  # there before the first

    kill_and_wait(libvirtd.qemu_pid(NAME))

    hostd.wait_for_events(NAME, ("stopped", "failed"))


def test_media_that_are_lost_when_a_domain_starts_are_told(
    hostd: Hostd, libvirtd: PrivateLibvirt, rare: libvirt.virDomain
) -> None:
    lost = LOST.format(device="cdrom", target="sdb", bus="sata") + LOST.format(
        device="disk", target="vdb", bus="virtio"
    )
    libvirtd.connection.defineXML(rare.XMLDesc().replace("</devices>", f"{lost}</devices>"))

    rare.createWithFlags(PAUSED)

    hostd.wait_for_events(NAME, ("disk_change", "change_missing_on_start"), ("disk_change", "drop_missing_on_start"))


def test_a_domain_that_goes_back_to_a_snapshot_is_told(hostd: Hostd, rare: libvirt.virDomain) -> None:
    rare.create()
    rare.snapshotCreateXML("<domainsnapshot/>", OVERLAY)  # is QCOW2, as the next needs it
    snapshot = rare.snapshotCreateXML("<domainsnapshot/>")

    rare.revertToSnapshot(snapshot)

    hostd.wait_for_events(
        NAME,
        ("stopped", "from_snapshot"),
        ("started", "from_snapshot"),
        ("resumed", "from_snapshot"),
        ("defined", "from_snapshot"),
    )


def test_a_guest_that_ends_by_itself_is_told(hostd: Hostd, libvirtd: PrivateLibvirt, rare: libvirt.virDomain) -> None:
    boots(libvirtd, rare, POWER_OFF)

    rare.create()

    hostd.wait_for_events(NAME, ("shutdown", "guest"), ("stopped", "shutdown"))


def test_a_guest_that_sleeps_on_its_disk_is_told(
    hostd: Hostd, libvirtd: PrivateLibvirt, rare: libvirt.virDomain
) -> None:
    boots(libvirtd, rare, HIBERNATE, TO_DISK)

    rare.create()

    hostd.wait_for_events(NAME, ("pmsuspend_disk", ""), ("pmsuspended", "disk"), ("stopped", "shutdown"))


def test_a_guest_that_does_not_let_go_of_a_device_is_told(
    hostd: Hostd, libvirtd: PrivateLibvirt, rare: libvirt.virDomain
) -> None:
    boots(libvirtd, rare, REFUSE_TO_EJECT_MEMORY, ROOM_FOR_IT, MODULE)

    rare.create()

    hostd.wait_for_events(NAME, ("device_removal_failed", ""))


def _is_waiting(domain: libvirt.virDomain) -> bool:
    state, _, milliseconds = domain.controlInfo()
    return bool(state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED and milliseconds > LONG_SENT_MILLISECONDS)
