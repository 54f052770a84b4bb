"""Lists what is in the history's file, while hostd writes it or after it has ended: `hostd events`."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import msgspec

from hostd import log
from hostd.history.schema import VERSION, VERSION_PRAGMA

BUSY_SECONDS = 5.0


class CannotRead(Exception):  # noqa: N818 - named after what is so
    """There is no history to read; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One event as it was taken."""

    id: int
    at: float
    age_seconds: float | None
    source: str
    domain: str | None
    domain_name: str | None
    kind: str
    severity: str
    text: str
    data: dict[str, object]
    journal: int | None
    number: int | None


_COLUMNS = ", ".join(Recorded.__dataclass_fields__)


def newest(path: Path, *, domain: str | None = None, limit: int) -> list[Recorded]:
    """The last `limit` events, of one domain by its UUID or name or of all, the newest at the end.

    Raises:
        CannotRead: there is no file, or it is not a history of this version.

    """
    if not path.exists():
        raise CannotRead(f"{path}: there is no history; see history.path, and whether hostd has run")
    chosen = "" if domain is None else "WHERE domain = :domain OR domain_name = :domain"
    question = f"SELECT {_COLUMNS} FROM event {chosen} ORDER BY id DESC LIMIT :limit"  # noqa: S608 - our own words
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
            (version,) = connection.execute(VERSION_PRAGMA).fetchone()
            if version != VERSION:
                raise CannotRead(f"{path}: its layout is {version}, not {VERSION}; ask the hostd that writes it")
            rows = connection.execute(question, {"domain": domain, "limit": limit}).fetchall()
    except sqlite3.Error as error:
        raise CannotRead(f"{path}: {error}; see who may read it, and the log of hostd") from error
    return [_recorded(row) for row in reversed(rows)]


def as_json(events: list[Recorded]) -> Iterator[str]:
    """One object a line, in ASCII: what a terminal would obey is escaped as JSON does it."""
    return (json.dumps(msgspec.to_builtins(event)) for event in events)


def as_table(events: list[Recorded]) -> Iterator[str]:
    """One line an event for people, times in UTC; nothing that a terminal would obey."""
    rows = [("TIME", "DOMAIN", "SEVERITY", "KIND", "TEXT"), *(tuple(map(log.harmless, _cells(e))) for e in events)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[4]]).rstrip()


FORMS = {"table": as_table, "json": as_json}


def _cells(event: Recorded) -> tuple[str, str, str, str, str]:
    at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    details = "".join(f" {name}={value}" for name, value in event.data.items())
    return at, event.domain_name or event.domain or "", event.severity, event.kind, f"{event.text}{details}".strip()


def _recorded(row: tuple[object, ...]) -> Recorded:
    values = dict(zip(Recorded.__dataclass_fields__, row, strict=True))
    return Recorded(**{**values, "data": msgspec.json.decode(str(values["data"]))})
