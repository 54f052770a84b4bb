"""A relay between libvirt's clients and a libvirtd, which ends the daemon at a call of a test's choice.

A daemon that is killed "during a collection" by a timer is killed somewhere; here it is killed (SIGKILL) when
a client has just asked for one certain thing, before the daemon has heard of it. The relay reads no more of the
protocol than each message's header: its length, whose call it is, and which.
"""

import contextlib
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from enum import Enum

from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.waiting import wait_for


class Call(Enum):
    """Libvirt's numbers for the calls that a test may choose (``enum remote_procedure``)."""

    OPEN = 1
    LIST_DOMAINS = 273
    SUBSCRIBE = 316
    DOMAIN_STATS = 344


class Relay:
    """A socket beside libvirtd's own; ``uri`` leads through it. It goes on when the daemon is started anew."""

    def __init__(self, libvirtd: PrivateLibvirt) -> None:
        """Listen in the lab's folder."""
        self._libvirtd = libvirtd
        self._path = libvirtd.folder / "relay.sock"
        self.uri = f"qemu:///session?socket={self._path}"
        self._kill_at: Call | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        _in_thread(self._accept)

    def kill_libvirtd_at(self, call: Call) -> None:
        """Kill the daemon at the next call of this kind, once."""
        self._kill_at = call

    def wait_killed(self) -> None:
        """Wait until that has happened, and take note of the daemon's end."""
        what = f"a client asks libvirtd for {self._kill_at}"
        wait_for(what, lambda: self._kill_at is None, deadline=60, evidence=lambda: f"through {self.uri}")
        self._libvirtd.kill()

    def close(self) -> None:
        """Take no more clients; those who are there are let go when the daemon ends."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept(), which close() would not
        self._listener.close()
        self._path.unlink()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                _in_thread(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as daemon, contextlib.suppress(OSError):
            daemon.connect(str(self._libvirtd.socket))
            answers = _in_thread(_hand_on, daemon, client)
            with _ended_together(client, daemon):
                self._hand_on_calls(client, daemon)
            answers.join()

    def _hand_on_calls(self, client: socket.socket, daemon: socket.socket) -> None:
        while header := _receive(client, _HEADER.size):
            length, program, _, procedure, kind, *_ = _HEADER.unpack(header)
            body = _receive(client, length - _HEADER.size)
            if (program, kind) == (_REMOTE_PROGRAM, _CALL):
                self._look_at(procedure)
            daemon.sendall(header + body)

    def _look_at(self, procedure: int) -> None:
        if self._kill_at and procedure == self._kill_at.value:
            os.kill(self._libvirtd.pid, signal.SIGKILL)
            self._kill_at = None


_HEADER = struct.Struct(">7I")  # length with itself, program, version, procedure, type, serial, status
_REMOTE_PROGRAM = 0x20008086
_CALL = 0


def _hand_on(source: socket.socket, sink: socket.socket) -> None:
    with _ended_together(source, sink):
        while data := source.recv(65536):
            sink.sendall(data)


def _receive(source: socket.socket, size: int) -> bytes:
    data = source.recv(size, socket.MSG_WAITALL) if size else b""
    return data if len(data) == size else b""


@contextlib.contextmanager
def _ended_together(*sockets: socket.socket) -> Iterator[None]:
    try:
        with contextlib.suppress(OSError):
            yield
    finally:
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the other thread, too


def _in_thread(function: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread
