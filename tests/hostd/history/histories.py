"""A history that runs beside a test, and events for it."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hostd import telemetry
from hostd.history.recorder import History, Limits
from protocol.backoff import Backoff
from protocol.messages import Detail, Event
from tests.support.running import running

DAY = 86_400.0


def limits(**changes: Any) -> Limits:  # noqa: ANN401 - as Limits takes them
    return Limits(**{"max_age_seconds": DAY, "max_bytes": 64 << 20, "events_at_once": 1_000_000, **changes})


def at_once() -> Backoff:
    return Backoff(first_seconds=0.0, most_seconds=0.0)


@asynccontextmanager
async def recording(path: Path | None, **changes: Any) -> AsyncIterator[History]:  # noqa: ANN401
    options = {name: changes.pop(name) for name in ("clock", "retry") if name in changes}
    history = History(path, limits(**changes), **options)
    async with running(history.run()):
        await history.highest("", 0)  # it is open
        yield history


def event(number: int, text: str = "", **details: str) -> Event:
    told = tuple(Detail(name=name, value=value) for name, value in details.items())
    return Event(number=number, kind="backup.failed", severity="warning", text=text, details=told)


def rows(path: Path, question: str = "SELECT number, text FROM event ORDER BY id") -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(question).fetchall()


def value(name: str, **labels: str) -> float:
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0.0
