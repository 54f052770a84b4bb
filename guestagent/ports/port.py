"""What a way to the host must be able to do, and what can go wrong with it, named after what the caller can do.

A transport knows bytes and presence, nothing of frames' contents. Only a virtio port can tell whether somebody is at
the other end; the others answer "yes" for as long as they are open.
"""

from __future__ import annotations

from typing import Protocol

WRITE_SECONDS = 5.0
"""How long one frame may wait for room: a host that takes nothing for so long is not there in any useful sense."""

READ_BYTES = 64 * 1024


class PortError(Exception):
    """Anything a port can complain of; the message begins with which port."""


class PortUnavailable(PortError):  # noqa: N818 - named for what is so
    """It cannot be opened now: try again later."""


class PortBusy(PortUnavailable):
    """Somebody else in this guest holds it: try again later, and say so."""


class PortLost(PortError):  # noqa: N818
    """It is gone for good (unplugged, hung up): close it and open it anew."""


class HostAway(PortError):  # noqa: N818
    """Nobody takes what is written: wait for the host, the port itself is well."""


class TransportMissing(PortError):  # noqa: N818
    """This kind of port needs a library that is not installed: no waiting will help."""


class Port(Protocol):
    """An open way to the host. One task reads while another writes; a cancelled call loses no input."""

    @property
    def path(self) -> str:
        """What begins its messages."""

    async def read(self) -> bytes:
        """Some bytes, or `b""` when the host has gone away. Raises `PortLost`."""

    async def write(self, frame: bytes) -> None:
        """Hand over one whole frame. Raises `HostAway` or `PortLost`; then part of it may have gone out."""

    async def wait_for_host(self) -> None:
        """Return when there is somebody at the other end, as far as this port can tell. Raises `PortLost`."""

    def close(self) -> None:
        """Let go of it."""
