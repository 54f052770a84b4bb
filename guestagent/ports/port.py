"""What a way to the host must be able to do, and what can go wrong with it, named after what the caller can do.

A transport knows bytes and presence, nothing of frames' contents. A virtio port tells whether somebody is at the other
end, and a socket is open only while somebody is; a serial line never tells (`sees_host`): what is written to nobody
there is gone, and only an answer shows that there was a host.
"""

from __future__ import annotations

import errno
import os
from typing import Protocol

WRITE_SECONDS = 5.0
"""How long one frame may wait for room: a host that takes nothing for so long is not there in any useful sense."""

READ_BYTES = 64 * 1024

_ADVICE = {
    errno.EACCES: "run the agent as root, or let its group have the node by a udev rule",
    errno.ENXIO: "a console's port (that is /dev/hvcN), or it is being unplugged",
    errno.EIO: "no line is behind this node: has the domain such a serial device?",
    errno.ENOTTY: "no serial line",
    errno.EAFNOSUPPORT: "this guest's kernel has no such sockets: load the module vsock",
    errno.ENODEV: "has the domain such a device?",
}


class PortError(Exception):
    """Anything a port can complain of; the message begins with which port."""


class PortUnavailable(PortError):  # noqa: N818 - named for what is so
    """It cannot be opened now: try again later."""


class PortAbsent(PortUnavailable):
    """There is none: the kernel announces it when there is."""


class PortBusy(PortUnavailable):
    """Somebody else in this guest holds it: try again later, and say so. `node` is the device that they hold."""

    def __init__(self, message: str, node: str | None = None) -> None:
        super().__init__(message)
        self.node = node


class PortLost(PortError):  # noqa: N818
    """It is gone for good (unplugged, hung up): close it and open it anew."""


class HostAway(PortError):  # noqa: N818
    """Nobody takes what is written: wait for the host, the port itself is well."""


class PortUnusable(PortError):  # noqa: N818
    """No waiting will help: it is not called so, or not with what is installed."""


class TransportMissing(PortUnusable):
    """This kind of port needs a library that is not installed."""


class Port(Protocol):
    """An open way to the host. One task reads while another writes; a cancelled call loses no input."""

    @property
    def path(self) -> str:
        """What begins its messages."""

    @property
    def sees_host(self) -> bool:
        """Whether it tells that nobody is at the other end; if not, only silence does."""

    async def read(self) -> bytes:
        """Some bytes, or `b""` when the host has gone away. Raises `PortLost`."""

    async def write(self, frame: bytes) -> None:
        """Hand over one whole frame. Raises `HostAway` or `PortLost`; then part of it may have gone out."""

    async def wait_for_host(self) -> None:
        """Return when there is somebody at the other end, as far as this port can tell. Raises `PortLost`."""

    def close(self) -> None:
        """Let go of it."""


def unavailable(path: str, number: int) -> PortUnavailable:
    """What `errno` says of opening the node at `path`, with what to do about it where we know."""
    kind = PortAbsent if number == errno.ENOENT else PortUnavailable
    advice = f" ({_ADVICE[number]})" if number in _ADVICE else ""
    return kind(f"{path}: {os.strerror(number)}{advice}")
