"""Blocking calls, each with a deadline, on a bounded set of threads.

Why not the standard executor: a libvirt call on a hung hypervisor may never return. Its thread cannot be ended, only
left alone, so threads here are daemons (a stuck one does not keep the process from exiting) and there is a fixed number
(a stuck one costs a place, never more). A kind of call that is stuck is not made again before it has returned.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from hostd import telemetry
from hostd.hypervisor import HypervisorError, TimedOut

T = TypeVar("T")


class Calls:
    """A bounded set of threads for blocking calls; `name` is theirs in a stack dump."""

    def __init__(self, *, threads: int, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._stuck: dict[str, _Job] = {}
        for number in range(threads):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def run(self, what: str, function: Callable[[], T], *, deadline_seconds: float) -> T:
        """What `function` returns or raises; `what` names its kind in messages and metrics.

        Raises:
            TimedOut: it did not end within `deadline_seconds` (it may still end later, unheard), or an earlier one of
                its kind has not ended yet.

        """
        self._refuse_if_stuck(what)
        job = _Job(function, asyncio.get_running_loop())
        self._jobs.put(job)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(deadline_seconds):
                outcome: T = await job.future
        except TimeoutError:
            telemetry.CALLS.labels(what, "timed_out").inc()
            if job.is_begun:
                self._stuck[what] = job
            state = "is stuck" if job.is_begun else "found no free thread"
            raise TimedOut(f"{what}: {state} after {deadline_seconds:g} s") from None
        except HypervisorError:
            telemetry.CALLS.labels(what, "failed").inc()
            raise
        finally:
            telemetry.CALL_SECONDS.labels(what).observe(time.monotonic() - begun)
        telemetry.CALLS.labels(what, "succeeded").inc()
        return outcome

    def _refuse_if_stuck(self, what: str) -> None:
        earlier = self._stuck.get(what)
        if earlier is None:
            return
        if not earlier.is_ended:
            telemetry.CALLS.labels(what, "refused").inc()
            raise TimedOut(f"{what}: an earlier call has not returned")
        del self._stuck[what]

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if not job.future.done():  # its deadline may have passed while it waited here
                with telemetry.CALLS_IN_FLIGHT.track_inprogress():
                    job.perform()


class _Job:
    """One call: made on the loop, performed in a thread, its outcome handed back to the loop."""

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()
        self.is_begun = False
        self.is_ended = False
        self._function = function
        self._loop = loop

    def perform(self) -> None:
        self.is_begun = True
        try:
            outcome = self._function()
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits it, not swallowed
            self._hand_over(self.future.set_exception, error)
        else:
            self._hand_over(self.future.set_result, outcome)
        self.is_ended = True

    def _hand_over(self, settle: Callable[[Any], None], outcome: object) -> None:
        def settle_if_awaited() -> None:
            if not self.future.done():
                settle(outcome)

        try:
            self._loop.call_soon_threadsafe(settle_if_awaited)
        except RuntimeError:  # the loop has closed: nobody is left to hear
            return
