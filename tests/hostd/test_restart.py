"""A restart of hostd under a supervisor that keeps its sockets: a channel's other end sees nothing of it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from protocol.connection import Connection, Received
from protocol.messages import HelloRequest, Role
from tests.support.builders import UUID
from tests.support.running import GENEROUS_SECONDS
from tests.support.systemd import Message, Systemd, systemd_in

FORGETFUL = Path(__file__).parents[1] / "support" / "forgetful.toml"
NODE = """<node>
  <domain type='test'><name>alpha</name><uuid>{uuid}</uuid><memory unit='MiB'>512</memory><os><type>hvm</type></os>
    <devices><channel type='unix'><source mode='bind' path='{path}'/>
      <target type='virtio' name='io.virtwire.agent.0'/></channel></devices>
  </domain>
</node>
"""


class Host:
    """One domain of libvirt's test driver, a QEMU that listens for it, and hostd under a supervisor."""

    def __init__(self, folder: Path, systemd: Systemd) -> None:
        self.systemd = systemd
        path = folder / "alpha.sock"
        self.qemu = socket.socket(socket.AF_UNIX)
        self.qemu.bind(str(path))
        self.qemu.listen(1)
        self.qemu.settimeout(GENEROUS_SECONDS)
        self._node = folder / "node.xml"
        self._node.write_text(NODE.format(uuid=UUID, path=path))

    @contextmanager
    def hostd(self) -> Iterator[subprocess.Popen[str]]:
        uri = f"test://{self._node}"
        where = ("--listen", "127.0.0.1:0", "--connect", uri, "--config", str(FORGETFUL))
        command = (sys.executable, "-m", "hostd", "run", *where)
        with self.systemd.started(*command, environment={"WATCHDOG_USEC": "300000000"}) as process:
            yield process

    def accept(self) -> socket.socket:
        line, _ = self.qemu.accept()
        line.settimeout(GENEROUS_SECONDS)
        return line


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with systemd_in(tmp_path) as systemd:
        host = Host(tmp_path, systemd)
        yield host
        host.qemu.close()


def end(process: subprocess.Popen[str], number: int) -> None:
    process.send_signal(number)
    assert process.stderr is not None
    process.stderr.read()
    assert process.wait(GENEROUS_SECONDS) == (0 if number == signal.SIGTERM else -number)


def is_ready(message: Message) -> bool:
    return message.get("READY") == "1"


def is_stored(message: Message) -> bool:
    return "FDSTORE" in message


def drained(line: socket.socket) -> bytes:
    """What has come over it; that it is hung up fails the test."""
    said = b""
    line.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            data = line.recv(65536)
            assert data, "hung up"
            said += data
    line.settimeout(GENEROUS_SECONDS)
    return said


def asked(line: socket.socket, guest: Connection) -> HelloRequest:
    """The next message that the host says."""
    while True:
        data = line.recv(65536)
        assert data, "hung up"
        for item in guest.receive(data):
            if isinstance(item, Received):
                assert isinstance(item.message, HelloRequest)
                return item.message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_guest_is_asked_again_over_the_same_connection_however_hostd_ended(host: Host, number: int) -> None:
    guest = Connection(Role.GUEST)
    with host.hostd() as first:
        line = host.accept()
        stored = host.systemd.until(is_stored)["FDNAME"]
        asked(line, guest)
        end(first, number)
    list(guest.receive(drained(line)))
    line.sendall(b"\x07\x08 the second half of a frame \0")
    with host.hostd() as second:
        asked(line, guest)
        assert list(host.systemd.stored) == [stored]
        host.qemu.setblocking(False)
        with pytest.raises(BlockingIOError):
            host.qemu.accept()
        end(second, signal.SIGTERM)
    drained(line)
    line.close()


def test_a_supervisor_is_told_that_hostd_is_ready_alive_how_it_is_and_that_it_ends(host: Host) -> None:
    with host.hostd() as process:
        host.systemd.until(is_ready)
        beat = host.systemd.until(
            lambda message: "1 of 1 libvirt connections up; 1 domains" in message.get("STATUS", "")
        )
        assert beat["WATCHDOG"] == "1"
        end(process, signal.SIGTERM)
        host.systemd.until(lambda message: message.get("STOPPING") == "1")
    host.accept().close()


@pytest.mark.parametrize("name", [f"guest//{UUID}/0123456789abcdef", "guest//gone/0", "guest/other/gone/0", "whatever"])
def test_a_kept_socket_of_what_is_there_no_more_is_let_go(host: Host, name: str) -> None:
    ours, theirs = socket.socketpair()
    theirs.settimeout(GENEROUS_SECONDS)
    host.systemd.put(name, os.dup(ours.fileno()))
    ours.close()
    with host.hostd() as process:
        host.systemd.until(lambda message: message.get("FDSTOREREMOVE") == "1")
        assert theirs.recv(1) == b""
        end(process, signal.SIGTERM)
    assert name not in host.systemd.stored
    theirs.close()


def test_without_a_supervisor_the_channel_is_hung_up(host: Host) -> None:
    host.systemd.address = ""
    with host.hostd() as process:
        line = host.accept()
        asked(line, Connection(Role.GUEST))
        end(process, signal.SIGTERM)
    while line.recv(65536):
        pass
    line.close()
