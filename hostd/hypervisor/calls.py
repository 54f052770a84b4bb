"""Blocking calls, each with a deadline, on a bounded set of threads.

Why not the standard executor: a libvirt call on a hung hypervisor may never return. Its thread cannot be ended, only
left alone. So threads here are daemons (a stuck one does not keep the process from exiting), a thread that is stuck is
replaced (so that one hung domain costs nobody else a place) and ends when its call returns, and all that are stuck
count against one bound. A call with the key of one that is stuck is refused until that has returned.
"""

import asyncio
import enum
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from hostd import telemetry
from hostd.hypervisor import HypervisorError, TimedOut, TooManyStuck

T = TypeVar("T")


class Bound:
    """How many calls may be stuck at once, over all the `Calls` that share this."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._stuck: dict[tuple[str, str], _Job] = {}

    def is_stuck(self, key: tuple[str, str]) -> bool:
        """Whether the call of this key overran its deadline and has not returned."""
        job = self._stuck.get(key)
        if job is not None and job.has_ended:
            del self._stuck[key]
            return False
        return job is not None

    def add(self, key: tuple[str, str], job: "_Job") -> None:
        """Another one is stuck.

        Raises:
            TooManyStuck: it is one too many.

        """
        self._stuck[key] = job
        self._stuck = {known: job for known, job in self._stuck.items() if not job.has_ended}
        if len(self._stuck) > self._most:
            some = ", ".join(name for _, name in list(self._stuck)[:3])
            raise TooManyStuck(f"{len(self._stuck)} calls to libvirt have not returned ({some} …)")


class Calls:
    """A bounded set of threads for blocking calls; `name` is theirs in a stack dump, `connection` in metrics."""

    def __init__(self, *, threads: int, name: str, bound: Bound, connection: str = "") -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._name = name
        self._bound = bound
        self._connection = connection
        self._started = 0
        for _ in range(threads):
            self._start_thread()

    def is_stuck(self, key: str) -> bool:
        """Whether the call of this key overran its deadline and has not returned."""
        return self._bound.is_stuck((self._name, key))

    async def run(
        self,
        what: str,
        function: Callable[[], T],
        *,
        deadline_seconds: float,
        key: str = "",
        discard: Callable[[T], None] | None = None,
    ) -> T:
        """What `function` returns or raises.

        `what` names its kind in messages and metrics, `key` (`what` by default) the one thing that may be stuck;
        `discard` is handed, in the thread, what a call returned that nobody waits for any more.

        Raises:
            TimedOut: it did not end within `deadline_seconds` (it may still end later, unheard), or an earlier one of
                its key has not ended yet.
            TooManyStuck: the same, and no further call may be lost.

        """
        key = key or what
        if self.is_stuck(key):
            telemetry.CALLS.labels(self._connection, what, "refused").inc()
            raise TimedOut(f"{what}: an earlier call has not returned")
        job = _Job(function, asyncio.get_running_loop(), discard)
        self._jobs.put(job)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(deadline_seconds):
                outcome: T = await job.future
        except TimeoutError:
            telemetry.CALLS.labels(self._connection, what, "timed_out").inc()
            raise TimedOut(f"{what}: {self._give_up(job, key)} after {deadline_seconds:g} s") from None
        except HypervisorError:
            telemetry.CALLS.labels(self._connection, what, "failed").inc()
            raise
        finally:
            telemetry.CALL_SECONDS.labels(self._connection, what).observe(time.monotonic() - begun)
        telemetry.CALLS.labels(self._connection, what, "succeeded").inc()
        return outcome

    def _give_up(self, job: "_Job", key: str) -> str:
        """Leave the job alone; how it stands, in words."""
        stage = job.give_up()
        if stage is _Stage.RUNNING:
            self._start_thread()
            self._bound.add((self._name, key), job)
        return stage.value

    def _start_thread(self) -> None:
        threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._started += 1

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if not job.begin():
                continue  # nobody waits for it any more
            with telemetry.CALLS_IN_FLIGHT.track_inprogress():
                is_lost = job.perform()
            del job  # and with it what the call held on to: a connection, perhaps, that is to close
            if is_lost:
                return  # another thread has taken this one's place


class _Stage(enum.Enum):
    """How far a call has come, in the words for one that was given up then."""

    WAITING = "found no free thread"
    RUNNING = "is stuck"
    ENDED = "ended too late"


class _Job:
    """One call: made on the loop, performed in a thread, its outcome handed back to the loop."""

    def __init__(
        self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop, discard: Callable[[Any], None] | None
    ) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()
        self._function = function
        self._loop = loop
        self._discard = discard
        self._lock = threading.Lock()  # over the stage and who is interested, which both threads look at
        self._stage = _Stage.WAITING
        self._is_given_up = False

    @property
    def has_ended(self) -> bool:
        """Whether it has returned, heard or not."""
        return self._stage is _Stage.ENDED

    def begin(self) -> bool:
        """Whether it is to be performed at all."""
        with self._lock:
            if self._is_given_up or self.future.done():  # done: whoever waited was cancelled
                return False
            self._stage = _Stage.RUNNING
            return True

    def give_up(self) -> _Stage:
        """Nobody waits any more; how far it had come."""
        with self._lock:
            self._is_given_up = True
            if self._stage is _Stage.RUNNING:
                telemetry.STUCK_CALLS.inc()
            return self._stage

    def perform(self) -> bool:
        """Call it; whether it was given up meanwhile."""
        try:
            outcome = self._function()
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits it, not swallowed
            if self._end():
                return True
            self._settle(self.future.set_exception, error)
            return False
        if not self._end():
            self._settle(self.future.set_result, outcome)
            return False
        if self._discard is not None:
            self._discard(outcome)
        return True

    def _end(self) -> bool:
        with self._lock:
            self._stage = _Stage.ENDED
            if self._is_given_up:
                telemetry.STUCK_CALLS.dec()
            return self._is_given_up

    def _settle(self, settle: Callable[[Any], None], outcome: object) -> None:
        def settle_if_awaited() -> None:
            if not self.future.done():
                settle(outcome)

        try:
            self._loop.call_soon_threadsafe(settle_if_awaited)
        except RuntimeError:  # the loop has closed: nobody is left to hear
            return
