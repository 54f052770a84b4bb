"""The one writer of the history: what many guests send at a time goes to the disk in one transaction.

`take` returns when that is done, so what a guest is told is taken is on the disk. A disk that fails costs durability,
not events: they go on into a database in memory, of the same layout and with a bound, and from there into the file as
soon as it can be used again. Nothing here ever ends hostd for what a disk does.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import aiosqlite
import msgspec

from hostd import telemetry
from hostd.history import database, retention
from hostd.history.database import HistoryUnusable
from hostd.history.taking import NOTHING, Allowance, Mark, Marks, Taken, sort_out
from protocol.backoff import Backoff
from protocol.messages import Event

_log = logging.getLogger(__name__)

GUEST = "guest"
MAX_REQUESTS = 1000  # in one transaction
TIDY_SECONDS = 60.0
MOST_PARTS = 16  # it is tidied after so small a part of its size as well
RETRY_FIRST_SECONDS = 1.0
RETRY_MOST_SECONDS = 300.0
MEMORY_BYTES = 16 << 20
ROW_BYTES = 250  # of a row without what a guest says: numbers, the UUID thrice, two indexes

_COLUMNS = "id, at, age_seconds, source, domain, domain_name, kind, severity, text, data, journal, number, token, bytes"
_ALL = f"SELECT {_COLUMNS} FROM event ORDER BY id"  # noqa: S608 - our own words, as below
_INSERT = f"INSERT OR IGNORE INTO event ({_COLUMNS}) VALUES ({', '.join('?' * 14)})"  # noqa: S608
_RAISE = """INSERT INTO journal (domain, journal, highest, token, at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (domain, journal) DO UPDATE SET
        token = CASE WHEN excluded.highest > highest THEN excluded.token ELSE token END,
        highest = max(highest, excluded.highest),
        at = excluded.at"""

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept, and how much one domain may send."""

    max_age_seconds: float
    max_bytes: int
    events_per_domain: int = 10_000
    events_per_second: float = 5.0
    events_at_once: int = 1_000  # what a guest's journal holds, by default


@dataclass(slots=True)
class _Request:
    uuid: str
    name: str | None
    journal: int
    events: Sequence[Event]
    at: float
    answer: asyncio.Future[Taken] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(slots=True)
class _Batch:
    """What one transaction writes, and what is said when it is done."""

    rows: list[Row] = field(default_factory=list)
    raised: list[Row] = field(default_factory=list)
    forgotten: list[tuple[str, int]] = field(default_factory=list)
    answers: list[tuple[_Request, Taken]] = field(default_factory=list)


class History:
    """The history at `path`; without one it is in memory. `run` has to run beside whoever calls the rest."""

    def __init__(
        self,
        path: Path | None,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        retry: Backoff | None = None,
    ) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock
        self._retry = retry or Backoff(first_seconds=RETRY_FIRST_SECONDS, most_seconds=RETRY_MOST_SECONDS)
        self._marks = Marks()
        self._allowance = Allowance(limits.events_per_second, limits.events_at_once)
        self._requests: list[_Request] = []
        self._has_requests = asyncio.Event()
        self._is_open = asyncio.Event()
        self._last_id = 0
        self._place: Path | None = None  # what the connection is to: the file, or memory
        self._written_bytes = 0  # since it was tidied
        self._retry_at: float | None = None  # not None while memory stands in for the file
        self._is_damaged = False
        self._told = ""

    @property
    def is_durable(self) -> bool:
        """Whether what is taken outlives hostd just now."""
        return self._place is not None

    async def highest(self, uuid: str, journal: int) -> Mark | None:
        """Up to where all of a guest's journal was taken; `None` if nothing of it is known."""
        await self._is_open.wait()
        return self._marks.highest(uuid, journal)

    async def take(
        self, uuid: str, journal: int, events: Sequence[Event], at: float, *, name: str | None = None
    ) -> Taken:
        """Take what a guest sent, at `at` by the host's clock; returns when it is written."""
        request = _Request(uuid, name, journal, events, at)
        self._requests.append(request)
        self._has_requests.set()
        try:
            return await request.answer
        except asyncio.CancelledError:
            request.events = ()  # while a disk stands still, guests that come and go would leave all of theirs here
            raise

    async def run(self) -> NoReturn:
        """Write until cancelled."""
        connection = await self._first()
        tidy_at = self._clock()
        try:
            while True:
                if self._clock() >= tidy_at or self._written_bytes * MOST_PARTS > self._most_bytes():
                    connection = await self._tidied(connection)
                    tidy_at = self._clock() + TIDY_SECONDS
                if self._retry_at is not None and self._clock() >= self._retry_at:
                    connection = await self._again(connection)
                if self._requests:
                    requests = self._requests[:MAX_REQUESTS]
                    connection = await self._written(connection, requests)
                    del self._requests[: len(requests)]
                else:
                    await self._wait(min(tidy_at, self._retry_at or tidy_at))
        finally:
            for request in self._requests:
                request.answer.cancel()
            await database.closed(connection)

    async def _wait(self, until: float) -> None:
        self._has_requests.clear()
        try:
            async with asyncio.timeout(max(0.0, until - self._clock())):
                await self._has_requests.wait()
        except TimeoutError:
            return

    async def _written(self, connection: aiosqlite.Connection, requests: list[_Request]) -> aiosqlite.Connection:
        batch = self._batch(requests)
        try:
            if batch.rows or batch.raised:
                await self._commit(connection, batch)
        except HistoryUnusable as error:
            connection = await self._degraded(connection, error)
            await self._commit(connection, batch)
        self._last_id += len(batch.rows)
        for request, taken in batch.answers:
            _count(taken)
            if not request.answer.done():  # whoever asked may be gone
                request.answer.set_result(taken)
        return connection

    def _batch(self, requests: list[_Request]) -> _Batch:
        batch = _Batch()
        now = self._clock()
        for request in requests:
            known = self._marks.highest(request.uuid, request.journal)
            fresh = sum(event.number > (known or NOTHING).number for event in request.events)
            taken = sort_out(request.events, known, self._allowance.take(request.uuid, fresh, now))
            batch.answers.append((request, taken))
            if taken.new:
                first_id = self._last_id + len(batch.rows) + 1
                for id_, event in enumerate(taken.new, start=first_id):
                    batch.rows.append(_row(request, event, id_))
                    self._written_bytes += _size(event)
                forgotten = self._marks.raise_to(request.uuid, request.journal, taken.highest)
                batch.raised.append((request.uuid, request.journal, *taken.highest, request.at))
                batch.forgotten += [(request.uuid, journal) for journal in forgotten]
        return batch

    async def _commit(self, connection: aiosqlite.Connection, batch: _Batch) -> None:
        began = time.perf_counter()
        async with database.failures_of(self._place):
            await _write(connection, batch)
        telemetry.HISTORY_COMMIT_SECONDS.observe(time.perf_counter() - began)

    async def _first(self) -> aiosqlite.Connection:
        """The file, or memory until it can be used."""
        connection = None
        try:
            connection = await database.opened(self._path)
            self._place = self._path
            await self._know(connection, self._path)
        except HistoryUnusable as error:
            connection = await self._degraded(connection, error)
        except asyncio.CancelledError:  # hostd ends before it has begun
            if connection is not None:
                await database.closed(connection)
            raise
        telemetry.HISTORY_DURABLE.set(self.is_durable)
        self._is_open.set()
        return connection

    async def _know(self, connection: aiosqlite.Connection, place: Path | None) -> int:
        """Take up what is in the file; its newest id."""
        async with database.failures_of(place):
            marks = await connection.execute_fetchall("SELECT domain, journal, highest, token FROM journal ORDER BY at")
            ids = await connection.execute_fetchall("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
        for uuid, journal, highest, token in marks:
            self._marks.raise_to(uuid, journal, Mark(highest, token))
        newest = max([0, *(int(id_) for (id_,) in ids)])
        self._last_id = max(self._last_id, newest)
        return newest

    async def _degraded(self, old: aiosqlite.Connection | None, error: HistoryUnusable) -> aiosqlite.Connection:
        """Memory, in place of the file."""
        self._place = None
        self._failed(error)
        if old is not None:
            await database.closed(old)
        return await database.opened(None)

    def _failed(self, error: HistoryUnusable) -> None:
        telemetry.HISTORY_FAILURES.labels(error.reason).inc()
        telemetry.HISTORY_DURABLE.set(0)
        self._is_damaged = self._is_damaged or error.reason == database.DAMAGED
        self._retry_at = self._clock() + self._retry.wait_seconds()
        if error.reason != self._told:
            self._told = error.reason
            _log.warning("history: %s: guests' events are kept in memory alone until that is mended", error)

    async def _again(self, memory: aiosqlite.Connection) -> aiosqlite.Connection:
        """The file, with all that memory holds; or memory still."""
        file = None
        try:
            file = await database.opened(self._path, is_damaged=self._is_damaged)
            self._is_damaged = False
            await self._moved(memory, file)
        except HistoryUnusable as error:
            self._failed(error)
            if file is not None:
                await database.closed(file)
            return memory
        except asyncio.CancelledError:
            if file is not None:
                await database.closed(file)
            raise
        self._place, self._retry_at, self._told = self._path, None, ""
        self._retry.reset()
        telemetry.HISTORY_DURABLE.set(1)
        _log.info("history: %s is in use again", self._path)
        await database.closed(memory)
        return file

    async def _moved(self, memory: aiosqlite.Connection, file: aiosqlite.Connection) -> None:
        rows = list(await memory.execute_fetchall(_ALL))
        before = self._last_id
        newest = await self._know(file, self._path)
        shift = max(0, newest - rows[0][0] + 1) if rows else 0  # in case that it has got those ids meanwhile
        now = time.time()
        batch = _Batch(
            rows=[(id_ + shift, *rest) for id_, *rest in rows],
            raised=[(uuid, journal, *mark, now) for uuid, journal, mark in self._marks.all()],
        )
        async with database.failures_of(self._path):
            await _write(file, batch)
        self._last_id = max(newest, before + shift)

    async def _tidied(self, connection: aiosqlite.Connection) -> aiosqlite.Connection:
        """Without what is too old or too much."""
        self._allowance.forget_full(self._clock())
        self._written_bytes = 0
        oldest = time.time() - self._limits.max_age_seconds
        try:
            async with database.failures_of(self._place):
                size = await retention.tidy(connection, oldest, self._most_bytes(), self._limits.events_per_domain)
                known = await connection.execute_fetchall("SELECT domain, journal FROM journal")
        except HistoryUnusable as error:
            return await self._degraded(connection, error)
        if self.is_durable:  # memory's table has only what came since
            self._marks.keep({(uuid, journal) for uuid, journal in known})
        telemetry.HISTORY_BYTES.set(size)
        return connection

    def _most_bytes(self) -> int:
        return self._limits.max_bytes if self.is_durable else min(self._limits.max_bytes, MEMORY_BYTES)


async def _write(connection: aiosqlite.Connection, batch: _Batch) -> None:
    await connection.execute_fetchall("BEGIN IMMEDIATE")
    await connection.executemany(_INSERT, batch.rows)
    await connection.executemany(_RAISE, batch.raised)
    await connection.executemany("DELETE FROM journal WHERE domain = ? AND journal = ?", batch.forgotten)
    await connection.execute_fetchall("COMMIT")


def _row(request: _Request, event: Event, id_: int) -> Row:
    known = (id_, request.at, event.age_seconds, GUEST, request.uuid, request.name)
    said = (event.kind, event.severity, event.text, _data(event))
    return (*known, *said, request.journal, event.number, event.token, _size(event))


def _data(event: Event) -> str:
    return msgspec.json.encode({detail.name: detail.value for detail in event.details}).decode()


def _size(event: Event) -> int:
    return ROW_BYTES + sum(len(text.encode()) for text in (event.kind, event.severity, event.text, _data(event)))


def _count(taken: Taken) -> None:
    for result, count in (
        ("taken", len(taken.new)),
        ("duplicate", taken.duplicates),
        ("skipped", taken.skipped),
        ("reverted", taken.reverted),
        ("held_back", taken.held_back),
    ):
        telemetry.HISTORY_GUEST_EVENTS.labels(result).inc(count)
