"""The journal's file: a ring in SQLite, changed in one transaction at a time, each on the disk when it returns.

Locked for as long as it is open, so that a second agent cannot give the same numbers to other events; which also makes
SQLite's write-ahead log work on file systems that share no memory. `sqlite3` is imported when a file is opened: a guest
without that module (Debian's python3-minimal) has an agent that remembers.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from typing import TYPE_CHECKING, Any

from guestagent.event import event as checked
from guestagent.event import size_bytes
from guestagent.ring import Entry, Ring

if TYPE_CHECKING:
    from pathlib import Path

MISSING, LOCKED, FULL, DAMAGED, UNUSABLE = "no_sqlite", "locked", "disk_full", "damaged", "unusable"

_REASONS = (  # what SQLite says, for it tells codes only since Python 3.11
    ("malformed", DAMAGED),
    ("not a database", DAMAGED),
    ("locked", LOCKED),
    ("full", FULL),
)

_PREPARE = (
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=64",  # pages: the log stays about as small as the ring
    "PRAGMA cache_size=-128",  # kB
    "PRAGMA secure_delete=OFF",
)

_LAYOUTS = (  # to change it: one more; what is there is never edited
    (
        "CREATE TABLE state (id INTEGER, last INTEGER, acknowledged INTEGER, announced INTEGER, lost TEXT)",
        """CREATE TABLE event (
            number INTEGER PRIMARY KEY, kind TEXT, severity TEXT, text TEXT, details TEXT, boot_id TEXT, at_seconds REAL
        )""",
    ),
    ("ALTER TABLE event ADD COLUMN token INTEGER",),
)
_LAYOUT = len(_LAYOUTS)


class ShelfUnusable(Exception):  # noqa: N818 - named for what is so
    """The file cannot be used; `reason` is one of a few words, the message says the rest."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Shelf:
    """An open file. All its methods belong to the thread that opened it.

    Raises:
        ShelfUnusable: from every method; the file is closed then.

    """

    def __init__(self, path: Path) -> None:
        try:
            import sqlite3  # noqa: PLC0415 - see above
        except ImportError as error:
            raise ShelfUnusable(
                MISSING, "this Python has no sqlite3; install the distribution's whole python3"
            ) from error
        self._failure = sqlite3.Error
        self._path = path
        self._connection: Any = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(str(path), timeout=0, isolation_level=None)
            for pragma in _PREPARE:
                self._connection.execute(pragma)
            self._lay_out()
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def load(self) -> Ring | None:
        """What is in the file; `None` if nothing ever was."""
        try:
            state = self._connection.execute("SELECT id, last, acknowledged, announced, lost FROM state").fetchone()
            rows = self._connection.execute(
                "SELECT number, kind, severity, text, details, boot_id, at_seconds, token FROM event ORDER BY number"
            ).fetchall()
            return state and _ring(state, rows)
        except self._failure as error:
            raise self._unusable(error) from error
        except (ValueError, TypeError, KeyError) as error:
            self.close()
            raise ShelfUnusable(DAMAGED, f"{self._path}: {error}") from error

    def save(self, before: Ring | None, after: Ring) -> None:
        """Make the file hold `after`, on the disk; it holds `before` now (`None`: anything)."""
        is_other = before is None or before.id != after.id
        known = 0 if is_other or before is None else before.last
        first = after.entries[0].event.number if after.entries else after.last + 1
        fresh = [_row(entry) for entry in after.entries if entry.event.number > known]
        state = (after.id, after.last, after.acknowledged, after.announced, json.dumps(dict(after.lost)))
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DELETE FROM event WHERE number < ? OR ?", (first, is_other))
            self._connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", fresh)
            self._connection.execute("DELETE FROM state")
            self._connection.execute("INSERT INTO state VALUES (?, ?, ?, ?, ?)", state)
            self._connection.execute("COMMIT")
        except self._failure as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """What was saved stays; what was not is not there."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lay_out(self) -> None:
        (layout,) = self._connection.execute("PRAGMA user_version").fetchone()
        if layout > _LAYOUT:
            self.close()
            raise ShelfUnusable(UNUSABLE, f"{self._path}: written by a newer agent (layout {layout}); install that")
        self._connection.execute("BEGIN EXCLUSIVE")
        for statement in itertools.chain(*_LAYOUTS[layout:]):
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA user_version={_LAYOUT}")
        self._connection.execute("COMMIT")

    def _unusable(self, error: Exception) -> ShelfUnusable:
        words = str(error)
        reason = next((reason for part, reason in _REASONS if part in words), UNUSABLE)
        if isinstance(error, self._failure):
            words = f"{self._path}: {words}"
        try:
            self.close()
        except self._failure as second:  # a disk that took nothing before takes no last checkpoint either
            words += f"; {second}"
        return ShelfUnusable(reason, words)


def set_aside(path: Path) -> None:
    """Keep a damaged file for whoever wants to look into it, one at most, and leave its place free.

    Raises:
        OSError: that did not work.

    """
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.replace(path.with_name(path.name + ".damaged"))


def _row(entry: Entry) -> tuple[object, ...]:
    event = entry.event
    details = json.dumps([[detail.name, detail.value] for detail in event.details])
    return (event.number, event.kind, event.severity, event.text, details, entry.boot_id, entry.at_seconds, event.token)


def _ring(state: tuple[Any, ...], rows: list[tuple[Any, ...]]) -> Ring:
    journal, last, acknowledged, announced, lost = state
    entries = []
    for number, kind, severity, text, details, boot_id, at_seconds, token in rows:
        event = checked(number, kind, severity, text, [(name, value) for name, value in json.loads(details)])
        known = dataclasses.replace(event, token=None if token is None else int(token))
        entries.append(Entry(known, boot_id, float(at_seconds), size_bytes(event)))
    counts = {str(reason): int(count) for reason, count in json.loads(lost).items()}
    return Ring(
        id=int(journal),
        last=int(last),
        acknowledged=int(acknowledged),
        announced=int(announced),
        entries=tuple(entries),
        lost=counts,
    )
