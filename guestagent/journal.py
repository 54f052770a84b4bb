"""The guest's events until the host has them: what `append` has returned survives the agent, whatever ends it.

One thread of its own does everything in order: the next ring is made, put on the shelf, and only then seen by anybody.
So the host is never told of an event that a crash could take back. A disk that is slow holds up whoever waits for it,
never the agent's loop; one that fails costs durability, not events: the ring goes on in memory, the reason is logged
and counted, and the file is tried again later.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import logging
import math
import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from guestagent import shelf
from guestagent.event import event as checked
from guestagent.ring import Limits, Ring
from guestagent.shelf import DAMAGED, MISSING, Shelf, ShelfUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from protocol.messages import Event

RETRY_SECONDS = 60.0
"""After a failure the file is let be for so long."""

MAX_WAITING = 256
"""So many changes may wait for a disk that does not answer; more are refused."""

BUSY = "disk_busy"

_logger = logging.getLogger(__name__)

_Change = Callable[[Ring], Ring]
_Job = tuple["concurrent.futures.Future[bool]", _Change]


class JournalBusy(Exception):  # noqa: N818 - named for what is so
    """Too much waits for the disk; try later."""


@dataclass(frozen=True)
class Receipt:
    """What became of an event."""

    number: int
    is_durable: bool  # else it is in memory alone, and lost if the agent ends before the host has it


def boot_seconds() -> float:
    """The kernel's clock since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Journal:
    """Use `open` and `close` around everything else; all in one event loop.

    `on_ready` is called in the loop whenever `unacknowledged` may give more than before.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        limits: Limits | None = None,
        boot_id: str | None = None,
        boot_clock: Callable[[], float] = boot_seconds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._limits = limits or Limits()
        self._boot_id = boot_id
        self._boot_clock = boot_clock
        self._clock = clock
        self._ring = Ring()
        self._shelf: Shelf | None = None
        self._retry_at: float | None = None  # never, if there is no file or no way to use one
        self._refused: Counter[str] = Counter()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._work, name="journal", daemon=True
        )  # a stuck disk may not hold exit
        self.failures: Counter[str] = Counter()
        self.on_ready: Callable[[], None] = lambda: None

    @property
    def id(self) -> int:
        """Which journal the numbers belong to; changes when what the host has shows that the guest was reverted."""
        return self._ring.id

    @property
    def last(self) -> int:
        """The newest number."""
        return self._ring.last

    @property
    def acknowledged(self) -> int:
        """Up to here the host has everything."""
        return self._ring.acknowledged

    @property
    def waiting(self) -> int:
        """How many events the host does not have yet."""
        return len(self._ring.entries)

    @property
    def is_durable(self) -> bool:
        """Whether events outlive the agent just now."""
        return self._shelf is not None

    @property
    def lost(self) -> Mapping[str, int]:
        """How many events were lost, by reason."""
        return Counter(self._ring.lost) + self._refused

    def count_lost(self, reason: str) -> None:
        """One that never got here."""
        self._refused[reason] += 1

    async def open(self) -> None:
        """Take up what the file holds."""
        self._thread.start()
        await self._done(lambda ring: self._loaded() or ring)

    async def append(self, kind: str, severity: str, text: str, details: Sequence[tuple[str, str]] = ()) -> Receipt:
        """Keep an event for the host.

        Raises:
            BadEvent: it cannot be one; the message says why.
            JournalBusy: the disk does not answer.

        """
        event = checked(1, kind, severity, text, details)
        at_seconds = self._boot_clock()
        numbers: list[int] = []

        def change(ring: Ring) -> Ring:
            after = ring.append(event, self._boot_id, at_seconds, self._limits)
            numbers.append(after.last)
            return after

        if self._jobs.qsize() > MAX_WAITING:
            self._refused[BUSY] += 1
            raise JournalBusy("the journal's disk does not answer; try again later")
        is_durable = await self._done(change)
        return Receipt(numbers[0], is_durable=is_durable)

    def is_ours(self, number: int, token: int | None) -> bool:
        """Whether the host can have that event from this guest's present past; if not, tell it all the same."""
        return self._ring.is_ours(number, token)

    def welcomed(self, taken: int | None, token: int | None = None) -> None:
        """A session began; the host has taken up to `taken` of this journal, or does not know it (`None`)."""
        self._soon(lambda ring: ring.meet(taken, token))

    def acknowledge(self, number: int, token: int | None = None) -> None:
        """The host has everything up to `number`, the event of that `token`."""
        meant = self.id  # the thread may be about to find that the guest was reverted: those numbers are others'
        self._soon(lambda ring: ring.acknowledge(number, token) if ring.id == meant else ring)

    def parted(self) -> None:
        """The session is over."""
        self._soon(Ring.part)

    def unacknowledged(self, after: int = 0, *, limit: int, max_bytes: int) -> list[Event]:
        """The next to send, oldest first, each with its age now; to be sent in this order, again until acknowledged."""
        now = self._boot_clock()
        return [
            dataclasses.replace(entry.event, age_seconds=self._age(entry.boot_id, now - entry.at_seconds))
            for entry in self._ring.unacknowledged(after, limit, max_bytes)
        ]

    async def close(self, patience_seconds: float = 2.0) -> None:
        """End when what waits is written, or after `patience_seconds`."""
        if self._thread.ident is None:
            return
        self._jobs.put(None)
        deadline = self._clock() + patience_seconds
        while self._thread.is_alive() and self._clock() < deadline:  # noqa: ASYNC110 - a thread's end sets no Event
            await asyncio.sleep(0.005)

    def _age(self, boot_id: str | None, seconds: float) -> float | None:
        return round(seconds, 3) if boot_id is not None and boot_id == self._boot_id and seconds >= 0 else None

    async def _done(self, change: _Change) -> bool:
        return await asyncio.shield(asyncio.wrap_future(self._soon(change)))

    def _soon(self, change: _Change) -> concurrent.futures.Future[bool]:
        """Have it done in its turn; the future says whether it is on the disk then."""
        future: concurrent.futures.Future[bool] = concurrent.futures.Future()
        loop = asyncio.get_running_loop()

        def tell(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the disk was done
                loop.call_soon_threadsafe(self.on_ready)

        future.add_done_callback(tell)
        self._jobs.put((future, change))
        return future

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                break
            future, change = job
            try:
                self._ring = self._kept(self._ring, change(self._ring))
                future.set_result(self._shelf is not None)
            finally:  # a bug ends this thread with its traceback, and whoever waits with it
                if not future.done():
                    future.set_exception(RuntimeError("the journal's thread has failed"))
        if self._retry_at is not None and self._ring.entries:
            self._retry_at = -math.inf
            self._kept(self._ring, self._ring.part())
        if self._shelf is not None:
            self._shelf.close()

    def _kept(self, before: Ring, after: Ring) -> Ring:
        """`after`, once it is on the shelf, if there is one."""
        try:
            if self._shelf is None:
                return self._again(after)
            if after.mark != before.mark:
                self._shelf.save(before, after)
        except ShelfUnusable as error:
            self._lose_shelf(error)
        return after

    def _again(self, ring: Ring) -> Ring:
        """Put all of it into a file that could not be used for a while, if it is time to try."""
        if self._retry_at is None or self._clock() < self._retry_at:
            return ring
        again = self._opened()
        stored = again.load()
        if stored is not None and stored.id != ring.id:  # it could not be read until now: tell that as well
            for entry in stored.entries:
                ring = ring.append(entry.event, entry.boot_id, entry.at_seconds, self._limits)
        again.save(None, ring)
        self._shelf, self._retry_at = again, None
        _logger.info("journal: %s is in use again", self._path)
        return ring

    def _loaded(self) -> Ring | None:
        if self._path is None:
            return None
        try:
            self._shelf = self._opened()
            ring = self._shelf.load()
        except ShelfUnusable as error:
            self._lose_shelf(error)
            return None
        return ring and ring.within(self._limits)

    def _opened(self) -> Shelf:
        assert self._path is not None
        try:
            opened = Shelf(self._path)
            opened.load()
        except ShelfUnusable as error:
            if error.reason != DAMAGED:
                raise
            self.failures[error.reason] += 1
            _logger.warning("journal: %s; it is set aside and a new one begun", error)
        else:
            return opened
        try:
            shelf.set_aside(self._path)
        except OSError as error:
            raise ShelfUnusable(shelf.UNUSABLE, str(error)) from error
        return Shelf(self._path)

    def _lose_shelf(self, error: ShelfUnusable) -> None:
        self._shelf = None
        self.failures[error.reason] += 1
        self._retry_at = None if error.reason == MISSING else self._clock() + RETRY_SECONDS
        _logger.warning("journal: %s: events are kept in memory alone and would not outlive the agent", error)
