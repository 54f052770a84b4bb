"""What libvirt tells of by itself, made to happen for real, is on hostd's page: each kind of event as its counter.

Those of broken hardware and the like are in ``test_rarer_events.py``.
"""

import contextlib
import itertools
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.lab.conftest import shown
from tests.lab.daemon import Hostd
from tests.lab.devices import ARM_WATCHDOG, PANIC
from tests.lab.guest import Guest, GuestSpec, domain_xml
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.tiny import define_tiny

LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
PAUSED = libvirt.VIR_DOMAIN_START_PAUSED
CHANNEL = "<channel type='unix'><source mode='bind'/><target type='virtio' name='{name}'/></channel>"
AGENT_PORT = "org.qemu.guest_agent.0"
DISK = """<disk type='file' device='{device}'><driver name='qemu' type='raw'/>{source}
  <target dev='{target}' bus='{bus}'/></disk>"""
VOLUME_KEY = "<secret ephemeral='no' private='no'><usage type='volume'><volume>/none</volume></usage></secret>"
NETWORK = "<network><name>events</name><forward mode='bridge'/><bridge name='virbr98'/></network>"  # of somebody else
MORE_MEMORY = """<memory model='virtio-mem'><target><size unit='MiB'>128</size><node>0</node>
  <block unit='MiB'>2</block><requested unit='MiB'>0</requested></target></memory>"""
ROOM_FOR_IT = "<maxMemory slots='1' unit='MiB'>1024</maxMemory>"
NODE = "<cpu mode='maximum'><numa><cell id='0' cpus='0' memory='384' unit='MiB'/></numa></cpu>"
PM = "<pm><suspend-to-mem enabled='yes'/></pm>"
SOON = "(sleep 0.2; {what}) >/dev/null 2>&1 &"  # the guest first says that it was told so
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def small(libvirtd: PrivateLibvirt) -> Iterator[Path]:
    """A folder that is soon full, where the user may make one: else an ordinary one."""
    folder = libvirtd.subfolder("small")
    if os.geteuid() != 0:
        yield folder
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0777", "small", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def eventful(libvirtd: PrivateLibvirt, hostd: Hostd, small: Path, logs: list[Path]) -> Iterator[Guest]:
    """A guest to whom things happen: its disk is larger than the folder that holds it, its watchdog can bite."""
    image = libvirtd.file("small/disk.raw", size_bytes=64 << 20)
    disk = DISK.format(device="disk", source=f"<source file='{image}'/>", target="vda", bus="virtio")
    others = (CHANNEL.format(name=AGENT_PORT), "<watchdog model='i6300esb' action='pause'/>", "<panic model='isa'/>")
    xml = domain_xml(libvirtd, GuestSpec(name="eventful", extra_devices=(disk, MORE_MEMORY, *others)))
    for before, after in (
        ("<devices>", f"{PM}<devices>"),
        ("<memory ", f"{ROOM_FOR_IT}<memory "),
        ("<cpu mode='maximum'/>", NODE),
    ):
        xml = xml.replace(before, after, 1)
    libvirtd.connection.defineXML(xml)
    guest = Guest(libvirtd, "eventful")
    with shown(logs, guest.console):
        guest.start()
        guest.wait_ready()
        yield guest
    guest.remove()


@pytest.fixture
def tiny(libvirtd: PrivateLibvirt) -> Iterator[libvirt.virDomain]:
    """A domain of the test's own, paused, with a CD drive, a screen and a port for an agent that never comes."""
    name = f"t{next(_NUMBERS)}"  # short, as the path of its channel has to be
    devices = (
        DISK.format(device="cdrom", source=f"<source file='{_disc(libvirtd)}'/>", target="sdz", bus="sata"),
        f"<graphics type='vnc' socket='{libvirtd.folder}/screen.sock'/>",
        CHANNEL.format(name=AGENT_PORT),
    )
    xml = define_tiny(libvirtd, name).XMLDesc().replace("</devices>", "".join(devices) + "</devices>")
    domain = libvirtd.connection.defineXML(xml)
    domain.createWithFlags(PAUSED)
    yield domain
    with contextlib.suppress(libvirt.libvirtError):  # a test may have ended it
        domain.destroy()
    with contextlib.suppress(libvirt.libvirtError):
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)


def test_a_domains_life_is_told_in_libvirts_words(hostd: Hostd, tiny: libvirt.virDomain) -> None:
    tiny.resume()
    tiny.suspend()
    tiny.destroy()

    hostd.wait_for_events(
        tiny.name(),
        ("defined", "added"),
        ("started", "booted"),
        ("suspended", "paused"),
        ("resumed", "unpaused"),
        ("shutdown", "host"),
        ("stopped", "destroyed"),
    )


def test_what_becomes_of_a_domain_that_is_gone_is_counted_over_all(hostd: Hostd, libvirtd: PrivateLibvirt) -> None:
    undefined = {"object": "domain", "event": "undefined", "detail": "removed"}
    before = hostd.value("libvirt_events_total", **undefined) or 0.0

    domain = define_tiny(libvirtd, "shortlived")
    libvirtd.connection.defineXML(domain.XMLDesc())
    domain.rename("renamed")
    domain.undefine()

    hostd.wait_for_sample("libvirt_events_total", undefined, lambda count: count == before + 1)
    for event, detail in (("defined", "updated"), ("undefined", "renamed"), ("defined", "renamed")):
        assert hostd.value("libvirt_events_total", object="domain", event=event, detail=detail)
    for name in ("shortlived", "renamed"):
        assert hostd.value("libvirt_domain_info", domain=name) is None


def test_what_is_changed_in_a_running_domain_is_told(hostd: Hostd, tiny: libvirt.virDomain) -> None:
    tiny.reset()
    tiny.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "a title", None, None, LIVE)
    tiny.setBlockIoTune("vda", {"total_bytes_sec": 1 << 20}, LIVE)
    tiny.attachDeviceFlags(CHANNEL.format(name="hot.1"), LIVE)
    tiny.updateDeviceFlags(DISK.format(device="cdrom", source="", target="sdz", bus="sata"), LIVE)

    hostd.wait_for_events(
        tiny.name(),
        ("agent_lifecycle", "disconnected_domain_started"),
        ("reboot", ""),
        ("metadata_change", "title"),
        ("tunable", "blkdeviotune"),
        ("device_added", ""),
        ("tray_change", "open"),
        ("tray_change", "close"),
    )


def test_who_looks_at_a_domains_screen_is_told(hostd: Hostd, libvirtd: PrivateLibvirt, tiny: libvirt.virDomain) -> None:
    with socket.socket(socket.AF_UNIX) as viewer:
        viewer.connect(str(libvirtd.folder / "screen.sock"))
        for said in (b"RFB 003.008\n", b"\x01", b"\x01"):  # version, security "none", shared
            assert viewer.recv(64)
            viewer.sendall(said)
        assert viewer.recv(64)

    hostd.wait_for_events(tiny.name(), ("graphics", "connect"), ("graphics", "initialize"), ("graphics", "disconnect"))


def test_a_block_job_is_told_by_its_kind_and_how_it_went(
    hostd: Hostd, libvirtd: PrivateLibvirt, tiny: libvirt.virDomain
) -> None:
    copy = libvirtd.file("copy.raw", size_bytes=1 << 20)
    target = f"<disk type='file'><driver type='raw'/><source file='{copy}'/></disk>"
    flags = libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT

    tiny.blockCopy("vda", target, None, flags)
    hostd.wait_for_events(tiny.name(), ("block_job", "copy_ready"))
    tiny.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)

    hostd.wait_for_events(tiny.name(), ("block_job", "copy_completed"))


def test_a_saved_domain_is_told_with_the_time_that_took(hostd: Hostd, tiny: libvirt.virDomain) -> None:
    done = {"operation": "save", "result": "completed"}
    before = hostd.value("libvirt_domain_job_duration_seconds_count", **done) or 0.0

    tiny.managedSave()
    tiny.create()

    hostd.wait_for_events(
        tiny.name(),
        ("migration_iteration", ""),
        ("job_completed", "save_completed"),
        ("stopped", "saved"),
        ("started", "restored"),
    )
    for what in ("duration", "downtime"):
        assert hostd.value(f"libvirt_domain_job_{what}_seconds_count", **done) == before + 1
    assert (hostd.value("libvirt_domain_job_duration_seconds_sum", **done) or 0.0) > 0


def test_other_objects_tell_of_themselves_too(hostd: Hostd, libvirtd: PrivateLibvirt) -> None:
    connection, folder = libvirtd.connection, libvirtd.subfolder("events-pool")
    network = connection.networkDefineXML(NETWORK)
    network.create()
    network.destroy()
    network.undefine()
    secret = connection.secretDefineXML(VOLUME_KEY)
    secret.setValue(b"x")
    secret.undefine()
    pool = connection.storagePoolDefineXML(
        f"<pool type='dir'><name>events</name><target><path>{folder}</path></target></pool>"
    )
    pool.build()
    pool.create()
    pool.refresh()
    pool.destroy()
    pool.delete()
    pool.undefine()

    for kind, events in {
        "network": ("defined", "started", "stopped", "undefined"),
        "secret": ("defined", "value_changed", "undefined"),
        "storage_pool": ("defined", "created", "started", "refresh", "stopped", "deleted", "undefined"),
    }.items():
        for event in events:
            labels = {"object": kind, "event": event}
            hostd.wait_for_sample("libvirt_events_total", labels, lambda count: count >= 1)
        assert hostd.value("hostd_collector_success", collector=f"{kind}_events") == 1


def test_what_a_guest_does_is_told(hostd: Hostd, eventful: Guest) -> None:
    domain = eventful.domain
    domain.setMemory(300 << 10)
    eventful.shell(f"exec 3<>/dev/$(basename $(dirname $(grep -l {AGENT_PORT} /sys/class/virtio-ports/*/name)))")
    eventful.shell("date -s 2031-01-01 && hwclock -w -u")

    hostd.wait_for_events(
        domain.name(),
        ("balloon_change", ""),
        ("agent_lifecycle", "connected_channel"),
        ("agent_lifecycle", "disconnected_channel"),
        ("rtc_change", ""),
    )


def test_a_guest_that_sleeps_and_is_woken_is_told(hostd: Hostd, eventful: Guest) -> None:
    domain = eventful.domain
    eventful.shell(SOON.format(what="echo mem >/sys/power/state"))
    hostd.wait_for_events(domain.name(), ("pmsuspend", ""), ("pmsuspended", "memory"))

    domain.pMWakeup()

    hostd.wait_for_events(domain.name(), ("pmwakeup", ""), ("started", "wakeup"))
    eventful.shell("true")


def test_a_guest_that_takes_more_memory_is_told(hostd: Hostd, eventful: Guest) -> None:
    eventful.shell("modprobe virtio_mem")  # with which a guest does not sleep any more
    memory = ET.fromstring(eventful.domain.XMLDesc()).find("devices/memory")
    assert memory is not None
    requested = memory.find("target/requested")
    assert requested is not None
    requested.text = str(64 << 10)

    eventful.domain.updateDeviceFlags(ET.tostring(memory, encoding="unicode"), LIVE)

    hostd.wait_for_events(eventful.name, ("memory_device_size_change", ""))


def test_a_watchdog_that_nobody_strokes_is_told(hostd: Hostd, eventful: Guest) -> None:
    eventful.shell(f"python3 -c '{ARM_WATCHDOG}' >/tmp/log 2>&1 || cat /tmp/log")

    hostd.wait_for_events(eventful.name, ("watchdog", "pause"), ("suspended", "watchdog"))
    eventful.domain.resume()


def test_a_device_that_a_guest_lets_go_is_told(hostd: Hostd, eventful: Guest) -> None:
    domain = eventful.domain
    domain.attachDeviceFlags(CHANNEL.format(name="hot.2"), LIVE)
    domain.detachDeviceAlias(_alias_of(domain, "hot.2"), LIVE)

    hostd.wait_for_events(domain.name(), ("device_added", ""), ("device_removed", ""))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file system that is soon full")
def test_a_disk_that_is_full_is_told_as_such_and_so_is_its_threshold(
    hostd: Hostd, eventful: Guest, small: Path
) -> None:
    domain = eventful.domain
    domain.setBlockThreshold("vda", 1 << 20)

    eventful.shell("dd if=/dev/urandom of=/dev/vda bs=1M count=8 >/dev/null 2>&1 &")

    hostd.wait_for_events(
        domain.name(), ("block_threshold", ""), ("io_error", "pause_enospc"), ("suspended", "ioerror")
    )
    subprocess.run(["mount", "-o", "remount,size=96m", small], check=True)
    domain.resume()


def test_a_guest_that_panics_is_told_and_how_it_ends(hostd: Hostd, eventful: Guest) -> None:
    eventful.shell(SOON.format(what=f"python3 -c '{PANIC}'"))

    hostd.wait_for_events(eventful.name, ("crashed", "panicked"), ("stopped", "crashed"))


def _disc(libvirtd: PrivateLibvirt) -> Path:
    return libvirtd.file("disc.iso", size_bytes=1 << 20)


def _alias_of(domain: libvirt.virDomain, port: str) -> str:
    channels = ET.fromstring(domain.XMLDesc()).iterfind("devices/channel")
    (channel,) = (each for each in channels if each.find(f"target[@name='{port}']") is not None)
    alias = channel.find("alias")
    assert alias is not None
    return alias.attrib["name"]
