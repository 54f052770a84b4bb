"""The unix socket on which the agent tells the guest's own programs what the host said: `guestagent get` reads it.

Whoever connects is told everything there is, in one JSON document, and the connection is closed: there is no request,
so nothing to parse, and nothing that a client could hold. The document carries the names' meaning as well, so that
the reading side needs neither msgpack nor the message classes and starts quickly.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import socket
import stat
import time
from typing import TYPE_CHECKING, Any, cast

from guestagent import __version__
from protocol.messages import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guestagent.conversation import Conversation

SOCKET_MODE = 0o666
"""Connecting to a unix socket takes write permission; all that a connection can do is read."""


class SocketUnusable(Exception):  # noqa: N818 - named for what is so
    """The local socket cannot be made; the message says why."""


def document(conversation: Conversation, now: float) -> dict[str, Any]:
    """What the host said last and how old that is; `metrics` is `None` if it never said anything."""
    metrics, arrived_at = conversation.metrics, conversation.metrics_at
    return {
        "version": __version__,
        "connected": conversation.is_open,
        "age_seconds": None if arrived_at is None else round(now - arrived_at, 3),
        "metrics": None if metrics is None else dataclasses.asdict(metrics),
        "about": {field.name: field.metadata["about"] for field in dataclasses.fields(Metrics)},
    }


async def serve(path: Path, conversation: Conversation) -> asyncio.AbstractServer:
    """Answer on `path` until the server is closed.

    Raises:
        SocketUnusable: another agent answers there, or it cannot be made.

    """
    loop = asyncio.get_running_loop()
    listening = listen(path, SOCKET_MODE)
    return await loop.create_unix_server(lambda: _Teller(conversation, time.monotonic), sock=listening)


def remove(path: Path) -> None:
    """Take the socket away after the server was closed."""
    path.unlink(missing_ok=True)


class _Teller(asyncio.Protocol):
    """One client: told, and closed."""

    def __init__(self, conversation: Conversation, clock: Callable[[], float]) -> None:
        self._conversation = conversation
        self._clock = clock

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writing = cast("asyncio.WriteTransport", transport)
        writing.write(json.dumps(document(self._conversation, self._clock())).encode())
        if writing.get_write_buffer_size():  # a fresh socket takes it whole; whatever this is may not wait here
            writing.abort()
        else:
            writing.close()


def listen(path: Path, mode: int, group: int | None = None) -> socket.socket:
    """A listening socket at `path` that nobody but those of `mode` can ever have connected to.

    Raises:
        SocketUnusable: another agent answers there, or it cannot be made.

    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _clear(path)
        listening.bind(str(path))  # nobody can connect before the server listens
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(mode)
    except OSError as error:
        listening.close()
        raise SocketUnusable(f"{path}: {error.strerror or error}") from error
    except SocketUnusable:
        listening.close()
        raise
    return listening


def _clear(path: Path) -> None:
    """Remove the socket of an agent that died; never that of one that lives."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise SocketUnusable(f"{path}: there is something that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as trial:
        try:
            trial.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except BlockingIOError:
            raise SocketUnusable(f"{path}: another agent answers here") from None
        else:
            raise SocketUnusable(f"{path}: another agent answers here")
