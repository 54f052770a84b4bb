"""The unix socket on which the guest's own programs hand in events: `guestagent emit` writes to it.

What is handed in reaches the host, so by default only root and the agent's own user may: the socket's mode says so, and
the kernel's word for who connected is asked as well. A request is one JSON line, so is the answer, and then the
connection is over; every part of that has a limit, for a script that has gone wild is no reason for a guest to fall
silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from guestagent import local
from guestagent.event import BadEvent
from guestagent.journal import JournalBusy
from protocol.bucket import full

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guestagent.journal import Journal
    from protocol.bucket import Bucket

MAX_REQUEST_BYTES = 64 * 1024
MAX_CLIENTS = 16
REQUEST_SECONDS = 5.0
APPEND_SECONDS = 10.0

EVENTS_PER_SECOND = 5.0
EVENTS_AT_ONCE = 100
"""A user may hand in so many at once, and so many a second from then on."""

MAX_USERS = 64

BAD, BUSY, RATE, DENIED = "bad", "busy", "rate", "denied"

_CREDENTIALS = struct.Struct("3i")


class _Refused(Exception):  # noqa: N818 - named for what is so
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Rate:
    """How much each user may still hand in."""

    def __init__(self, per_second: float, at_once: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._clock = clock
        self._users: dict[int, Bucket] = {}

    def takes(self, user: int) -> bool:
        """Whether one more is within it; it is used up then."""
        now = self._clock()
        known = self._users.pop(user, None)
        if known is None and len(self._users) >= MAX_USERS:
            self._users.pop(next(iter(self._users)))  # who has not come for longest has most of it back
        self._users[user] = known or full(self._per_second, self._at_once, now)
        return self._users[user].take(now, 1)


class Intake:
    """Takes events into `journal`; `group` may hand them in as well, by its number."""

    def __init__(
        self,
        journal: Journal,
        *,
        group: int | None = None,
        per_second: float = EVENTS_PER_SECOND,
        at_once: int = EVENTS_AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._group = group
        self._rate = Rate(per_second, at_once, clock)
        self._clients = 0

    async def serve(self, path: Path) -> asyncio.AbstractServer:
        """Answer on `path` until the server is closed.

        Raises:
            SocketUnusable: another agent answers there, or it cannot be made.

        """
        mode = 0o600 if self._group is None else 0o660
        listening = local.listen(path, mode, self._group)
        return await asyncio.start_unix_server(self._meet, sock=listening, limit=MAX_REQUEST_BYTES)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            answer = await self._answer(reader, _user(writer))
            writer.write(json.dumps(answer).encode() + b"\n")
            if writer.transport.get_write_buffer_size():  # a fresh socket takes it whole; whatever this is may not wait
                writer.transport.abort()
        finally:
            self._clients -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, user: int) -> dict[str, Any]:
        try:
            request = await self._request(reader, user)
            receipt = await asyncio.wait_for(self._journal.append(**request), APPEND_SECONDS)
        except _Refused as error:
            return {"error": error.code, "message": str(error)}
        except BadEvent as error:
            return {"error": BAD, "message": str(error)}
        except JournalBusy as error:
            return {"error": BUSY, "message": str(error)}
        except asyncio.TimeoutError:
            told = f"the journal's disk has not answered for {APPEND_SECONDS:g} s; the event may still be told"
            return {"error": BUSY, "message": told}
        return {"number": receipt.number, "durable": receipt.is_durable}

    async def _request(self, reader: asyncio.StreamReader, user: int) -> dict[str, Any]:
        if self._group is None and user not in (0, os.geteuid()):
            raise _Refused(DENIED, f"user {user} may not hand in events; see guestagent run --emit-group")
        if self._clients > MAX_CLIENTS:
            self._journal.count_lost(BUSY)
            raise _Refused(BUSY, f"{MAX_CLIENTS} others are handing in events; try again")
        try:
            line = await asyncio.wait_for(reader.readline(), REQUEST_SECONDS)
        except asyncio.TimeoutError:
            raise _Refused(BAD, f"the request did not end within {REQUEST_SECONDS:g} s") from None
        except ValueError:
            raise _Refused(BAD, f"the request is longer than {MAX_REQUEST_BYTES} bytes") from None
        except OSError as error:
            raise _Refused(BAD, str(error)) from error
        request = _parsed(line)
        if not self._rate.takes(user):
            self._journal.count_lost(RATE)
            raise _Refused(RATE, f"user {user} hands in too many events; the event is dropped, wait a second")
        return request


def _user(writer: asyncio.StreamWriter) -> int:
    """Who connected, by the kernel; -1, which is nobody, if it does not tell."""
    try:
        told = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return -1
    user: int = _CREDENTIALS.unpack(told)[1]
    return user


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise _Refused(BAD, "the request is not a line of JSON in UTF-8") from None
    fields = ("kind", "severity", "text")
    is_right = isinstance(request, dict) and set(request) == {*fields, "details"}
    if not (is_right and all(isinstance(request[name], str) for name in fields) and _are_pairs(request["details"])):
        raise _Refused(BAD, "the request is not {kind, severity, text: texts, details: [[name, value], …]}")
    return {**request, "details": [(name, value) for name, value in request["details"]]}


def _are_pairs(details: object) -> bool:
    return isinstance(details, list) and all(
        isinstance(pair, list) and [type(part) for part in pair] == [str, str] for pair in details
    )
