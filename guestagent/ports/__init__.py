"""The ways to the host. To add one: a module with `open_port(path)`, and its row in `TRANSPORTS`."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from guestagent.ports import find, tty, unix, virtio
from guestagent.ports.port import PortUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guestagent.ports.port import Port

    Opener = Callable[[], Awaitable[Port]]


@dataclass(frozen=True)
class Transport:
    """One kind of port: what its path looks like, and how it is opened."""

    name: str
    fits: Callable[[str], bool]
    open_port: Callable[[str], Awaitable[Port]]


def _mode(path: str) -> int:
    try:
        return Path(path).stat().st_mode
    except OSError:
        return 0


TRANSPORTS: tuple[Transport, ...] = (
    Transport("url", lambda path: "://" in path, tty.open_port),
    Transport("unix", lambda path: stat.S_ISSOCK(_mode(path)), unix.open_port),
    Transport("virtio", lambda path: stat.S_ISCHR(_mode(path)) and find.is_virtio(Path(path)), virtio.open_port),
    Transport("tty", lambda path: stat.S_ISCHR(_mode(path)), tty.open_port),
)
"""The first that fits is taken."""


async def open_at(path: str) -> Port:
    """The port at `path`, of whatever kind that is.

    Raises:
        PortUnavailable: it cannot be opened now.
        TransportMissing: it never will be, with what is installed.

    """
    for transport in TRANSPORTS:
        if transport.fits(path):
            return await transport.open_port(path)
    raise PortUnavailable(f"{path}: {'no socket, virtio port or serial line' if _mode(path) else 'not there'}")


async def open_named(name: str) -> Port:
    """The virtio port that the domain's XML calls `name`.

    Raises:
        PortUnavailable: there is none yet, or it cannot be opened now.

    """
    path = find.by_name(name)
    if path is None:
        raise PortUnavailable(f"no virtio port is named {name}: has the domain such a channel?")
    return await virtio.open_port(str(path))
