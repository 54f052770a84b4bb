"""The host's end of a channel at a real QEMU: who is connected, who waits, and what a restart of hostd does to it.

The domain has nothing to boot: all of this is between hostd and QEMU.
"""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import libvirt_qemu
import pytest

from tests.lab.conftest import StartHostd
from tests.lab.daemon import find_value, parse_samples
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.loopback import fetch, free_port
from tests.lab.waiting import wait_for
from tests.support.systemd import systemd_in

NAME = "bare"
CHANNEL = """
<channel type='unix'><source mode='bind'/><target type='virtio' name='io.virtwire.agent.0'/></channel>
"""
DOMAIN = f"""
<domain type='qemu'>
  <name>{NAME}</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices><controller type='virtio-serial' index='0'/></devices>
</domain>
"""


@pytest.fixture
def domain(libvirtd: PrivateLibvirt) -> Iterator[libvirt.virDomain]:
    domain = libvirtd.connection.createXML(DOMAIN)
    yield domain
    domain.destroy()


def attach(domain: libvirt.virDomain) -> ET.Element:
    """Give it the channel while it runs; what that is in its XML."""
    domain.attachDeviceFlags(CHANNEL, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    channel = ET.fromstring(domain.XMLDesc()).find("devices/channel")
    assert channel is not None
    return channel


def is_connected(domain: libvirt.virDomain) -> bool:
    """Whether QEMU has a client on the channel, by its own word."""
    said = libvirt_qemu.qemuMonitorCommand(domain, "info chardev", libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    (ours,) = (line for line in said.splitlines() if line.startswith("charchannel0"))
    return "disconnected" not in ours


def test_a_channel_that_is_attached_to_a_running_domain_is_connected_to_and_let_go_with_it(
    domain: libvirt.virDomain, start_hostd: StartHostd
) -> None:
    hostd = start_hostd()
    hostd.wait_for_sample("libvirt_domain_state", {"domain": NAME, "state": "running"}, lambda value: value == 1)

    others = hostd.wait_for_sample("hostd_guest_channels", {})  # guests of other tests

    channel = attach(domain)
    hostd.wait_for_sample("hostd_guest_channels", {}, lambda value: value == others + 1)
    wait_for("QEMU has a client", lambda: is_connected(domain), deadline=60)

    domain.detachDeviceFlags(ET.tostring(channel, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    hostd.wait_for_sample("hostd_guest_channels", {}, lambda value: value == others)


def test_whoever_has_the_channel_already_is_named(domain: libvirt.virDomain, start_hostd: StartHostd) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        source = attach(domain).find("source")
        assert source is not None
        other.connect(source.attrib["path"])
        hostd = start_hostd()
        hostd.wait_for_sample("hostd_guest_connects_total", {"outcome": "occupied"})
        assert re.search(rf"process {os.getpid()} \(.*\) is connected", hostd.log.read_text())
    hostd.wait_for_sample("hostd_guest_connects_total", {"outcome": "connected"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_qemu_sees_nothing_of_a_restart_under_systemd(
    domain: libvirt.virDomain, libvirtd: PrivateLibvirt, tmp_path: Path, number: int
) -> None:
    attach(domain)
    port = free_port()
    file = tmp_path / "hostd.toml"
    file.write_text('[history]\npath = ""\n[[connection]]\ninclude = ["bare"]\n')  # the session's guest may be there
    where = ("--connect", libvirtd.uri, "--listen", f"127.0.0.1:{port}", "--config", str(file))
    command = (sys.executable, "-m", "hostd", "run", *where)
    with systemd_in(tmp_path) as systemd:
        with systemd.started(*command) as first:
            name = systemd.until(lambda message: "FDSTORE" in message)["FDNAME"]
            first.send_signal(number)
            assert first.stderr is not None
            first.stderr.read()
            first.wait()
        assert is_connected(domain)
        with systemd.started(*command):
            wait_for("the second hostd has the socket of the first", lambda: reused(port), deadline=60)
            assert is_connected(domain)
            assert list(systemd.stored) == [name]
            assert not any("FDSTOREREMOVE" in message for message in systemd.messages)
    wait_for("QEMU sees that nobody has the socket any more", lambda: not is_connected(domain), deadline=60)


def reused(port: int) -> bool:
    """Whether that hostd says that it took a socket over."""
    try:
        page = fetch(f"http://127.0.0.1:{port}/metrics", headers={"Accept": "text/plain"})
    except OSError:
        return False
    return find_value(parse_samples(page), "hostd_guest_connects_total", {"outcome": "reused"}) == 1
