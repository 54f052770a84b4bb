"""A virtio-serial port (`/dev/vportXpY`): not a tty, and stranger than a socket.

With nobody at the host's end the kernel answers every `read` with b"" and every `poll` with IN and HUP, for ever, so
waiting in the ordinary, level-triggered way costs a whole CPU. Therefore the port sits in an edge-triggered epoll of
its own and asyncio watches *that*: one wake-up when the host goes, one when it returns. The return shows only as an
OUT edge, never as IN. End of file is a state here, not an event: the same descriptor comes back to life. Only ENODEV
(hot-unplugged) is the end of it. (Linux, drivers/char/virtio_console.c.)
"""

from __future__ import annotations

import asyncio
import errno
import os
import select

from guestagent.ports.port import READ_BYTES, WRITE_SECONDS, HostAway, PortBusy, PortLost, unavailable

_EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET


async def open_port(path: str) -> VirtioPort:
    """The port at `path`. The kernel allows one opener at a time.

    Raises:
        PortBusy: another program has it open.
        PortUnavailable: it is not there, or may not be opened.

    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise PortBusy(f"{path}: held open by another program", path) from error
        raise unavailable(path, error.errno or 0) from error
    return VirtioPort(path, descriptor)


class VirtioPort:
    """An open virtio port; owns `descriptor`, which must not block."""

    sees_host = True

    def __init__(self, path: str, descriptor: int, *, write_seconds: float = WRITE_SECONDS) -> None:
        self.path = path
        self._descriptor = descriptor
        self._write_seconds = write_seconds
        self._edge = asyncio.Event()
        self._epoll = select.epoll()
        self._epoll.register(descriptor, _EDGES)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._on_edge)

    async def read(self) -> bytes:
        """Some bytes, or `b""` while the host is away; what was queued before it went comes first."""
        while True:
            self._edge.clear()
            data = self._take()
            if data is not None:
                return data
            await self._edge.wait()

    async def write(self, frame: bytes) -> None:
        """The frame, in one `write` where the kernel takes it whole: a reconnect never cuts such a frame in two."""
        try:
            await asyncio.wait_for(self._write_all(frame), self._write_seconds)
        except asyncio.TimeoutError:
            raise HostAway(f"{self.path}: the host has taken nothing for {self._write_seconds:g} s") from None

    async def wait_for_host(self) -> None:
        """Return when the host's end is open; no time passes on a CPU until then."""
        while True:
            self._edge.clear()
            events = self._events()
            if not events & select.POLLHUP:
                return
            if not events & select.POLLIN:  # what an unplugged port looks like: let read say so
                self._take()
            await self._edge.wait()

    def close(self) -> None:
        """Close the port; what the host sent and nobody read is thrown away by the kernel."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        os.close(self._descriptor)

    def _on_edge(self) -> None:
        self._epoll.poll(0)
        self._edge.set()

    def _events(self) -> int:
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN | select.POLLOUT)
        return next((events for _, events in poller.poll(0)), 0)

    def _take(self) -> bytes | None:
        try:
            return os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise PortLost(f"{self.path}: {error.strerror}") from error

    async def _write_all(self, frame: bytes) -> None:
        while frame:
            self._edge.clear()
            taken = self._give(frame)
            frame = frame[taken:]
            if not taken:
                if self._events() & select.POLLHUP:
                    raise HostAway(f"{self.path}: the host's end is closed")
                await self._edge.wait()

    def _give(self, frame: bytes) -> int:
        """How many bytes the kernel took: fewer than all when the ring fills, 0 when it has just filled."""
        try:
            return os.write(self._descriptor, frame)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PortLost(f"{self.path}: {error.strerror}") from error
