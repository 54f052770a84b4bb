"""The unix socket on which the guest's own programs follow the host's notices: `guestagent notices` reads it.

Whoever connects is told how many notices there are, then those, then each new one when it comes: a JSON line each. What
a client sends is not read. One that does not read, and one too many, is let go and counted.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, cast

from guestagent import document, local
from guestagent.clock import boot_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guestagent.conversation import Conversation
    from guestagent.notices import KeptNotice

MAX_FOLLOWERS = 32
MAX_UNREAD_BYTES = 64 * 1024


class Board:
    """Tells every follower of every notice."""

    def __init__(self, conversation: Conversation, clock: Callable[[], float] = boot_seconds) -> None:
        self._conversation = conversation
        self._clock = clock
        self._followers: set[_Follower] = set()
        conversation.notices.listeners.append(self.tell)

    async def serve(self, path: Path) -> asyncio.AbstractServer:
        """Answer on `path` until the server is closed.

        Raises:
            SocketUnusable: another agent answers there, or it cannot be made.

        """
        listening = local.listen(path, local.SOCKET_MODE)
        return await asyncio.get_running_loop().create_unix_server(lambda: _Follower(self), sock=listening)

    def close(self) -> None:
        """Let all followers go."""
        for follower in tuple(self._followers):
            follower.let_go()

    def tell(self, kept: KeptNotice) -> None:
        """A notice has come."""
        line = _line(document.notice(kept, self._clock()))
        for follower in tuple(self._followers):
            follower.write(line)

    def add(self, follower: _Follower) -> None:
        """Somebody has connected."""
        if len(self._followers) >= MAX_FOLLOWERS:
            self.drop(follower)
            return
        self._followers.add(follower)
        known = document.newest(self._conversation.notices.kept, self._clock())
        follower.write(_line({"notices": len(known)}) + b"".join(_line(told) for told in known))

    def drop(self, follower: _Follower) -> None:
        """This one costs too much."""
        self._conversation.counters.add("followers_dropped")
        follower.let_go()

    def remove(self, follower: _Follower) -> None:
        """This one is gone."""
        self._followers.discard(follower)


class _Follower(asyncio.Protocol):
    def __init__(self, board: Board) -> None:
        self._board = board
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._board.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._board.remove(self)

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._board.drop(self)

    def let_go(self) -> None:
        assert self._transport is not None
        self._board.remove(self)
        self._transport.abort()


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
