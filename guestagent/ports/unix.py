"""A unix socket that the host's side listens on: tests, containers, and any proxy in between."""

from __future__ import annotations

import asyncio

from guestagent.ports.port import PortUnavailable
from guestagent.ports.streams import StreamPort


async def open_port(path: str) -> StreamPort:
    """A connection to the socket at `path`.

    Raises:
        PortUnavailable: nobody listens there now.

    """
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise PortUnavailable(f"{path}: {error.strerror or error}") from error
    return StreamPort(path, reader, writer)
