"""Sockets that the host's side listens on: unix (tests, containers, proxies), TCP, and vsock.

A socket is open only while somebody is at the other end, so the end of one is the end of the port. Who listens is
another matter: on a vsock port below 1024 it is root of the host, above it anybody there. So the agent speaks over
vsock only where it has been told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import re
import socket
from typing import TYPE_CHECKING

from guestagent.ports.port import PortUnavailable, PortUnusable, unavailable
from guestagent.ports.streams import StreamPort

if TYPE_CHECKING:
    from collections.abc import Awaitable

CONNECT_SECONDS = 5.0

VSOCK_HOST = 2
"""The CID under which every guest finds its host (VMADDR_CID_HOST)."""

_VSOCK_MOST = 0xFFFF_FFFF
_PRIVILEGED_FROM, _PRIVILEGED_BELOW = 512, 1024
_VSOCK = re.compile(r"vsock:(?://)?(?:(?P<cid>\d{1,10}|host):)?(?P<port>\d{1,10})")
_TCP = re.compile(r"socket://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/]+)):(?P<port>\d{1,5})")
_SAID_BY_SOCKETS = {
    errno.ENODEV: "this machine has no vsock device: has the domain a <vsock>?",
    errno.ECONNRESET: "nobody listens there",
    errno.EACCES: "this user may not connect to it",
}


async def open_unix(path: str) -> StreamPort:
    """A connection to the unix socket at `path`.

    Raises:
        PortUnavailable: nobody listens there now.

    """
    return await _open(path, asyncio.open_unix_connection(path))


async def open_tcp(url: str) -> StreamPort:
    """A connection to `socket://HOST:PORT`.

    Raises:
        PortUnusable: that is no such address.
        PortUnavailable: nobody listens there now.

    """
    found = _TCP.fullmatch(url)
    if found is None:
        raise PortUnusable(f"{url}: no address like socket://HOST:PORT")
    return await _open(url, asyncio.open_connection(found["v6"] or found["host"], int(found["port"])))


async def open_vsock(address: str) -> StreamPort:
    """A connection to `vsock:CID:PORT`, `vsock://CID:PORT`, or `vsock:PORT` of the host.

    Raises:
        PortUnusable: that is no such address, or this Python knows no vsock.
        PortUnavailable: nobody listens there now, or this machine has no vsock yet.

    """
    found = _VSOCK.fullmatch(address)
    if found is None:
        raise PortUnusable(f"{address}: no address like vsock:CID:PORT")
    if not hasattr(socket, "AF_VSOCK"):
        raise PortUnusable(f"{address}: this Python was built without vsock")
    cid = VSOCK_HOST if found["cid"] in (None, "host") else int(found["cid"])
    port = int(found["port"])
    if max(cid, port) > _VSOCK_MOST:  # Python would take these modulo 2**32
        raise PortUnusable(f"{address}: a number of it is too large")
    return await _open(address, _connect_vsock(cid, port))


async def _connect_vsock(cid: int, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    family: int = socket.AF_VSOCK  # type: ignore[attr-defined, unused-ignore]
    with contextlib.ExitStack() as on_failure:
        connection = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
        connection.setblocking(False)
        _show_privilege(connection)
        await asyncio.get_running_loop().sock_connect(connection, (cid, port))
        streams = await asyncio.open_connection(sock=connection)
        on_failure.pop_all()  # the streams have it now
    return streams


def _show_privilege(connection: socket.socket) -> None:
    """Come from a port that only root may have, if we may: hostd hears nobody else."""
    first = random.randrange(_PRIVILEGED_FROM, _PRIVILEGED_BELOW)  # noqa: S311 - any that is free will do
    for port in (*range(first, _PRIVILEGED_BELOW), *range(_PRIVILEGED_FROM, first)):
        try:
            connection.bind((socket.VMADDR_CID_ANY, port))  # type: ignore[attr-defined, unused-ignore]
        except PermissionError:
            return
        except OSError:  # somebody else has it
            continue
        else:
            return


async def _open(path: str, connecting: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> StreamPort:
    try:
        reader, writer = await asyncio.wait_for(connecting, CONNECT_SECONDS)
    except asyncio.TimeoutError:  # the same as TimeoutError, and thus an OSError, from Python 3.11 on
        raise PortUnavailable(f"{path}: no answer within {CONNECT_SECONDS:g} s") from None
    except OverflowError as error:
        raise PortUnusable(f"{path}: a number of it is too large") from error
    except OSError as error:
        if error.errno in _SAID_BY_SOCKETS:
            raise PortUnavailable(f"{path}: {error.strerror} ({_SAID_BY_SOCKETS[error.errno]})") from error
        if error.errno is None or error.errno < 0:  # of name resolution
            raise PortUnavailable(f"{path}: {error.strerror or error}") from error
        raise unavailable(path, error.errno) from error
    return StreamPort(path, reader, writer)
