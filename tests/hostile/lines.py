"""The two ends that an attacker can hold: QEMU's, a socket that hostd connects to, and the guest's, a port or a tty."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

READ_BYTES = 64 * 1024
LOOK_SECONDS = 0.1
PORTS = Path("/sys/class/virtio-ports")


class Gone(Exception):  # noqa: N818 - named after the state of the line
    """The host is not there, or not any more."""


class Line(Protocol):
    """Where hosts come and go."""

    def connected(self) -> int | None:
        """A file that does not block, with a host at its other end; `None` if there is none within a moment."""

    def hung_up(self, fd: int) -> None:
        """That host has gone."""


class Listening:
    """QEMU's end: listens at a path, for one at a time."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(1)
        self._socket.settimeout(LOOK_SECONDS)

    def connected(self) -> int | None:
        """The next client."""
        try:
            client, _ = self._socket.accept()
        except socket.timeout:
            return None
        client.setblocking(False)
        return client.detach()

    def hung_up(self, fd: int) -> None:
        """Wait for the next one."""
        os.close(fd)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


class Port:
    """The guest's end: one file, whoever is at the other."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)

    def connected(self) -> int | None:
        """The port, once it does not say that the host has hung up."""
        if _events_of(self._fd, select.POLLOUT, 0) & select.POLLHUP:
            pause(LOOK_SECONDS)
            return None
        return self._fd

    def hung_up(self, fd: int) -> None:
        """The port stays open."""

    def close(self) -> None:
        """Let go of the port."""
        os.close(self._fd)


def read(fd: int) -> bytes:
    """What has come, if anything.

    Raises:
        Gone: there is no host.

    """
    try:
        data = os.read(fd, READ_BYTES)
    except BlockingIOError:
        return b""
    except OSError as error:
        raise Gone from error
    if not data:
        raise Gone
    return data


def write(fd: int, data: bytes) -> int:
    """How much of `data` was taken.

    Raises:
        Gone: there is no host.

    """
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise Gone from error


def wait(fd: int, seconds: float, *, reads: bool, writes: bool) -> None:
    """Until something can be read or written, but not for longer.

    Raises:
        Gone: there is no host.

    """
    wanted = (select.POLLIN if reads else 0) | (select.POLLOUT if writes else 0)
    came = _events_of(fd, wanted, seconds)
    if came & (select.POLLHUP | select.POLLERR) and not came & select.POLLIN:
        raise Gone


def pause(seconds: float) -> None:
    """Do nothing for so long."""
    select.select([], [], [], seconds)


def device(name: str) -> Path:
    """The path of a port that is given by its path, or by the name that the domain's XML has for it."""
    if name.startswith("/"):
        return Path(name)
    for each in PORTS.glob("*/name"):
        if each.read_text().strip() == name:
            return Path("/dev", each.parent.name)
    raise SystemExit(f"{name}: no virtio port of that name in {PORTS}; name a device, such as /dev/vport1p1")


@contextmanager
def listening_at(path: Path) -> Iterator[Listening]:
    """As QEMU does, and nothing is left of it."""
    if path.is_socket():
        path.unlink()
    line = Listening(path)
    try:
        yield line
    finally:
        line.close()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


@contextmanager
def port_at(path: Path) -> Iterator[Port]:
    """An open port."""
    line = Port(path)
    try:
        yield line
    finally:
        line.close()


def _events_of(fd: int, wanted: int, seconds: float) -> int:
    poll = select.poll()
    poll.register(fd, wanted)
    return sum(events for _, events in poll.poll(max(0.0, seconds) * 1000))
