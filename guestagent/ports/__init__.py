"""The ways to the host. To add one: a module with `open_port(path)`, and its row in `TRANSPORTS`."""

from __future__ import annotations

import functools
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from guestagent import find
from guestagent.ports import sockets, tty, virtio
from guestagent.ports.port import PortAbsent, PortUnavailable, PortUnusable
from guestagent.ports.search import Search, Way
from protocol import vhostmd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guestagent.ports.port import Port

    Opener = Callable[[], Awaitable[Port]]

AUTO = "auto"

LESSER_SECONDS = 10.0
"""For so long each way that the operator allows waits for the better ones before it."""


@dataclass(frozen=True)
class Transport:
    """One kind of port: what its path looks like, and how it is opened."""

    name: str
    fits: Callable[[str], bool]
    open_port: Callable[[str], Awaitable[Port]]


@dataclass(frozen=True)
class Wanted:
    """What the operator says of the way to the host: one path, or by itself (`AUTO`).

    By itself the agent takes the virtio port `name`. It speaks over vsock, to whoever listens there, and writes to a
    serial line, which may be anybody's console, only where it was told which one: the last resorts, in this order.
    """

    name: str
    port: str = AUTO
    vsock: str | None = None
    serial: str | None = None


def _mode(path: str) -> int:
    try:
        return Path(path).stat().st_mode
    except OSError:
        return 0


TRANSPORTS: tuple[Transport, ...] = (
    Transport("vsock", lambda path: path.startswith("vsock:"), sockets.open_vsock),
    Transport("tcp", lambda path: "://" in path, sockets.open_tcp),
    Transport("unix", lambda path: stat.S_ISSOCK(_mode(path)), sockets.open_unix),
    Transport("virtio", lambda path: stat.S_ISCHR(_mode(path)) and find.is_virtio(Path(path)), virtio.open_port),
    Transport("tty", lambda path: stat.S_ISCHR(_mode(path)), tty.open_port),
)
"""The first that fits is taken."""


def opener(wanted: Wanted) -> Search:
    """What opens the port that is wanted, or the best that there is.

    Raises:
        PortUnusable: it is not ours to hold.

    """
    _leave_to_others(wanted.name if wanted.port == AUTO else find.name_at(Path(wanted.port)))
    if wanted.port != AUTO:
        return Search([Way(functools.partial(open_at, wanted.port))])
    ways = [Way(functools.partial(open_named, wanted.name))]
    for path in (wanted.vsock, wanted.serial):
        if path is not None:
            ways.append(Way(functools.partial(open_at, path), after_seconds=LESSER_SECONDS * len(ways)))
    return Search(ways)


async def open_at(path: str) -> Port:
    """The port at `path`, of whatever kind that is.

    Raises:
        PortUnavailable: it cannot be opened now.
        PortUnusable: it never will be: not so called, or not with what is installed.

    """
    _leave_to_others(find.name_at(Path(path)))  # a link may lead elsewhere by now
    for transport in TRANSPORTS:
        if transport.fits(path):
            return await transport.open_port(path)
    if _mode(path):
        raise PortUnavailable(f"{path}: no socket, virtio port or serial line")
    missing = PortAbsent if path.startswith("/dev/") else PortUnavailable  # the kernel announces no unix socket
    raise missing(f"{path}: not there")


async def open_named(name: str) -> Port:
    """The virtio port that the domain's XML calls `name`.

    Raises:
        PortUnavailable: there is none yet, or it cannot be opened now.

    """
    path = find.by_name(name)
    if path is None:
        raise PortAbsent(f"no virtio port is named {name}: has the domain such a channel?")
    return await virtio.open_port(str(path))


def _leave_to_others(name: str) -> None:
    """Only one program can have a port open, and vhostmd's is for those that read its metrics."""
    if name == vhostmd.CHANNEL:
        raise PortUnusable(
            f"{name}: this is vhostmd's port, for vm-dump-metrics and `guestagent get` to read; give the domain a"
            " channel of ours (io.virtwire.agent.0), and name that or none"
        )
