"""Opens the history's file, or one in memory in its stead, and turns SQLite's errors into what to do about them.

Everything that touches the disk happens in the connection's own thread: a disk that hangs holds that thread, never the
event loop, and after a deadline nobody waits for it any more.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiosqlite

from hostd.history.schema import MIGRATIONS, PRAGMAS, VERSION, VERSION_PRAGMA

DEADLINE_SECONDS = 30.0  # for one transaction; a disk that takes longer is treated as one that fails
BUSY_SECONDS = 5.0  # for whoever else has the file open

REASONS = {
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_CANTOPEN: "unopenable",
    sqlite3.SQLITE_IOERR: "io_error",
}
DAMAGED, NEWER, SLOW, UNOPENABLE = "damaged", "newer", "slow", "unopenable"


class HistoryUnusable(Exception):  # noqa: N818 - named after what is so
    """The file cannot be used; `reason` is one of a few words, the message says the rest."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def opened(path: Path | None, *, is_damaged: bool = False) -> aiosqlite.Connection:
    """The database at `path`, in memory without one, in this version's layout.

    A file that is damaged, by what is known or by what it looks like, is set aside and a new one begun.

    Raises:
        HistoryUnusable: it cannot be used, which for one in memory does not happen.

    """
    connection = aiosqlite.Connection(lambda: _connect(path, is_damaged=is_damaged), 64)
    connection._thread.daemon = True  # noqa: SLF001 - a disk that hangs may not keep hostd from ending
    try:
        async with failures_of(path):
            return await connection
    except (HistoryUnusable, asyncio.CancelledError) as error:
        connection.stop()
        if not isinstance(error, HistoryUnusable) or error.reason != SLOW:
            await _ended(connection)
        raise
    raise AssertionError("the connection is returned or cannot be used")


@asynccontextmanager
async def failures_of(path: Path | None) -> AsyncIterator[None]:
    """Whatever goes wrong with the database within, in our words; one in memory may take its time.

    Raises:
        HistoryUnusable: it did.

    """
    try:
        async with asyncio.timeout(None if path is None else DEADLINE_SECONDS):
            yield
    except sqlite3.Error as error:
        raise HistoryUnusable(_reason(error), f"{path}: {error}") from error
    except OSError as error:  # which TimeoutError is, too
        is_slow = isinstance(error, TimeoutError)
        why = f"no answer within {DEADLINE_SECONDS:g} s" if is_slow else error.strerror or str(error)
        raise HistoryUnusable(SLOW if is_slow else UNOPENABLE, f"{path}: {why}") from error


async def closed(connection: aiosqlite.Connection) -> None:
    """Have it closed, without waiting for a disk that hangs, and whatever it says."""
    closing = connection.stop()  # `close` would go on waiting, even when it is cancelled
    if closing is not None:
        with suppress(sqlite3.Error, TimeoutError):
            async with asyncio.timeout(BUSY_SECONDS):
                await closing


async def _ended(connection: aiosqlite.Connection) -> None:
    """Until its thread has ended: it may be at work, and would answer a loop that is closed by then."""
    await asyncio.to_thread(connection._thread.join, BUSY_SECONDS)  # noqa: SLF001 - nothing else tells


def _connect(path: Path | None, *, is_damaged: bool) -> sqlite3.Connection:
    if path is None:
        return _prepared(":memory:")
    if is_damaged:
        _set_aside(path)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    try:
        return _prepared(str(path))
    except sqlite3.DatabaseError as error:
        if _reason(error) != DAMAGED:
            raise
        _set_aside(path)
        return _prepared(str(path))


def _prepared(place: str) -> sqlite3.Connection:
    with ExitStack() as undo:
        connection = sqlite3.connect(place, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        undo.callback(connection.close)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        (version,) = connection.execute(VERSION_PRAGMA).fetchone()
        if version > VERSION:
            raise HistoryUnusable(NEWER, f"{place}: written by a newer hostd (layout {version}); install that one")
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {script} {VERSION_PRAGMA}={number}; COMMIT;")
        undo.pop_all()
    return connection


def _set_aside(path: Path) -> None:
    """Keep a damaged file for whoever wants to look into it, one at most, and leave its place free."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    if path.exists():
        path.replace(f"{path}.damaged")


def _reason(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return REASONS.get(code & 0xFF, "other")
