"""What the agent says to the host and when: sans-I/O, like the connection it drives, with the time as an argument.

`agent` only moves bytes and asks for the next deadline. The whole timing is two moments: when to greet next, and when
to report next. While the session is open the first is pushed forward by every valid word from the host, so a host
that has fallen silent is greeted again without a rule of its own.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import TYPE_CHECKING

from protocol.backoff import Backoff
from protocol.connection import Connection, Dropped, State
from protocol.messages import (
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    Ack,
    Goodbye,
    HelloRequest,
    Metrics,
    Refusal,
    Role,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.connection import Message, Received
    from protocol.errors import DropReason
    from protocol.messages import Hello, Report

MIN_REPORT_SECONDS = 1.0
"""A host may not make a guest measure itself all the time."""

MAX_REPORT_SECONDS = 300.0

HELLO_FIRST_SECONDS = 1.0
HELLO_MOST_SECONDS = 30.0
HELLO_GAP_SECONDS = 0.2
"""However often the host asks to be greeted, five times in a second is the most it gets."""

SILENCE_SECONDS = 15.0
SILENCE_INTERVALS = 3
"""An open session in which the host has said nothing valid for so many intervals (or seconds, if longer) is void."""

REFUSED_SECONDS = 60.0
DROP_LOG_SECONDS = 60.0

_logger = logging.getLogger(__name__)


class Conversation:
    """One guest's side, for as long as the agent runs: sessions come and go, what was learned stays."""

    def __init__(
        self,
        *,
        hello: Callable[[], Hello],
        report: Callable[[int], Report],
        backoff: Backoff | None = None,
    ) -> None:
        self._hello = hello
        self._report = report
        self._backoff = backoff or Backoff(first_seconds=HELLO_FIRST_SECONDS, most_seconds=HELLO_MOST_SECONDS)
        self._connection = Connection(Role.GUEST)
        self._greeted_at = -math.inf
        self._greet_at = math.inf
        self._report_at = math.inf
        self._interval_seconds = MIN_REPORT_SECONDS
        self._refusal: str | None = None
        self._unlogged_drops = 0
        self._log_drops_at = -math.inf
        self.metrics: Metrics | None = None
        self.metrics_at: float | None = None
        self.drops: Counter[DropReason] = Counter()

    @property
    def is_open(self) -> bool:
        """Whether host and guest are in a session."""
        return self._connection.state is State.OPEN

    def begin(self, now: float) -> None:
        """There is a host: greet it at once."""
        self._connection.reset()
        self._backoff.reset()
        self._report_at = math.inf
        self._greet_at = now

    def end(self) -> None:
        """The host went away: nothing is due until it is back. What it said is kept, and ages."""
        self._connection.reset()
        self._report_at = self._greet_at = math.inf

    def wait_seconds(self, now: float) -> float:
        """How long nothing is due, if the host says nothing."""
        return max(0.0, min(self._greet_at, self._report_at) - now)

    def due(self, now: float) -> list[bytes]:
        """The frames to write because it is time."""
        if now >= self._greet_at:
            return [self._greet(now)]
        if now >= self._report_at:
            self._report_at = now + self._interval_seconds
            return [self._connection.send(self._report(sum(self.drops.values())))]
        return []

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """The frames to write because of what the host said."""
        answers: list[bytes] = []
        for piece in self._connection.receive(data):
            if isinstance(piece, Dropped):
                self._count(piece, now)
            else:
                answers += self._take(piece, now)
        return answers

    def farewell(self, reason: str) -> list[bytes]:
        """The frames to write before the agent stops."""
        return [self._connection.send(Goodbye(reason=reason))] if self.is_open else []

    def _greet(self, now: float) -> bytes:
        if self.is_open:
            _logger.warning("the host has been silent for too long: greeting it again")
        self._greeted_at = now
        self._greet_at = now + max(HELLO_GAP_SECONDS, self._backoff.wait_seconds())
        self._report_at = math.inf
        return self._connection.send(self._hello())

    def _take(self, received: Received, now: float) -> list[bytes]:
        message: Message = received.message
        if self.is_open:
            self._greet_at = now + max(SILENCE_SECONDS, SILENCE_INTERVALS * self._interval_seconds)
        if isinstance(message, Welcome):
            self._welcomed(message, now)
        elif isinstance(message, Metrics):
            self.metrics, self.metrics_at = message, now
            return [self._connection.send(Ack(sequence=received.sequence))]
        elif isinstance(message, HelloRequest):
            self._backoff.reset()
            self._report_at = math.inf
            self._greet_at = max(now, self._greeted_at + HELLO_GAP_SECONDS)
        elif isinstance(message, Refusal):
            self._refused(message.reason, now)
        return []

    def _welcomed(self, welcome: Welcome, now: float) -> None:
        if not OLDEST_VERSION <= welcome.version <= PROTOCOL_VERSION:
            self._connection.reset()
            self._refused(f"it speaks version {welcome.version}", now)
            return
        self._refusal = None
        self._backoff.reset()
        self._interval_seconds = min(max(welcome.report_interval_seconds, MIN_REPORT_SECONDS), MAX_REPORT_SECONDS)
        self._report_at = now
        self._greet_at = now + max(SILENCE_SECONDS, SILENCE_INTERVALS * self._interval_seconds)
        _logger.info("the host welcomes this guest: a report every %g s", self._interval_seconds)

    def _refused(self, reason: str, now: float) -> None:
        if reason != self._refusal:
            _logger.warning("the host refuses this guest: %s", reason)
        self._refusal = reason
        self._greet_at = now + REFUSED_SECONDS

    def _count(self, dropped: Dropped, now: float) -> None:
        self.drops[dropped.reason] += 1
        self._unlogged_drops += 1
        if now >= self._log_drops_at:
            _logger.info(
                "input from the host dropped: %d pieces since last told, the newest for its %s (%s)",
                self._unlogged_drops,
                dropped.reason.value,
                dropped.detail,
            )
            self._unlogged_drops = 0
            self._log_drops_at = now + DROP_LOG_SECONDS
