"""What the agent says to the host and when: sans-I/O, like the connection it drives, with the time as an argument.

`agent` only moves bytes and asks for the next deadline. It *pulls*: a frame is made when the port is ready to take it
and not before. So nothing queues, what is sent is the newest there is, and no frame of a session that is over goes out.
What is due is decided by four parts, each with one moment or one short list: `greeting`, `notices`, `reporting`,
`delivery`.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import TYPE_CHECKING, Any

from guestagent.counters import Counters
from guestagent.delivery import Delivery
from guestagent.greeting import Greeting
from guestagent.notices import DISCONTINUITIES, Notices
from guestagent.reporting import Reporting
from protocol.connection import Connection, Dropped, State
from protocol.messages import (
    MESSAGES,
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    TAKES_EVENTS,
    Ack,
    EventsTaken,
    Goodbye,
    HelloRequest,
    Metrics,
    Notice,
    Refresh,
    Refusal,
    Role,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guestagent.delivery import Journal
    from protocol.backoff import Backoff
    from protocol.connection import Message, Received
    from protocol.errors import DropReason
    from protocol.messages import Hello, Report

    ReportMaker = Callable[[Mapping[DropReason, int], "int | None"], Report]

WINDOW = 4
"""So many messages may the host have on their way to us: enough to hide a round trip, and little to hold."""

DROP_LOG_SECONDS = 60.0

_ACKNOWLEDGED = tuple(row.message for row in MESSAGES if row.costs_credit)

_logger = logging.getLogger(__name__)


class Conversation:
    """One guest's side, for as long as the agent runs: sessions come and go, what was learned stays."""

    def __init__(
        self,
        *,
        hello: Callable[[], Hello],
        report: ReportMaker,
        journal: Journal | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._hello = hello
        self._report = report
        self._connection = Connection(Role.GUEST)
        self._acknowledge: int | None = None
        self._unlogged_drops = 0
        self._log_drops_at = -math.inf
        self.counters = Counters()
        self.greeting = Greeting(backoff)
        self.reporting = Reporting(self.counters)
        self.notices = Notices(self.counters)
        self.delivery = Delivery(self.counters, journal)
        self._takers: Mapping[type[Any], Callable[[Any, float], None]] = {
            HelloRequest: lambda _, now: self.greet_again(now),
            Welcome: self._take_welcome,
            Refusal: lambda refusal, now: self.greeting.refused(refusal.reason, now),
            Metrics: self._take_metrics,
            Refresh: lambda _, now: self.reporting.wanted(now),
            Notice: self._take_notice,
            EventsTaken: self.delivery.confirm,
        }
        self.metrics: Metrics | None = None
        self.metrics_at: float | None = None
        self.heard_at: float | None = None
        self.absence: str | None = "the agent has just started"  # why nobody is there to talk to
        self.port: str | None = None  # over which way we talk, for people

    @property
    def is_open(self) -> bool:
        """Whether host and guest are in a session."""
        return self._connection.state is State.OPEN

    def begin(self, now: float) -> None:
        """There is a host: greet it at once."""
        self._connection.reset()
        self._end_session()
        self.absence = None
        self.greeting.begin(now)

    def end(self, absence: str) -> None:
        """There is none, and why: nothing is due until it is back. What it said is kept, and ages."""
        self._connection.reset()
        self._end_session()
        self.absence = absence
        self.greeting.end()

    def greet_again(self, now: float) -> None:
        """The host asked for it, or has to learn what only a greeting tells."""
        if self.absence is None:
            self.greeting.requested(now)

    def look_at_journal(self, now: float) -> None:
        """The journal may have more than before, or be another: that only a greeting tells."""
        self.delivery.look(now)
        if self.is_open and self.delivery.is_renamed:
            self.greet_again(now)

    def wait_seconds(self, now: float) -> float:
        """How long nothing is due, if the host says nothing."""
        if not self.is_open:
            return max(0.0, self.greeting.at - now)
        if self._acknowledge is not None or self.notices.has_answers:
            return 0.0
        return max(0.0, min(self.greeting.at, self.reporting.at, self.delivery.at) - now)

    def due(self, now: float) -> tuple[bytes, ...]:
        """The frames of the one message that is to be written now, if any; ask again when they are."""
        if now >= self.greeting.at:
            return self._greet(now)
        message = self._next(now) if self.is_open else None
        return () if message is None else self._connection.send(message)

    def receive(self, data: bytes, now: float) -> None:
        """Take what the host said; something may be due afterwards."""
        for piece in self._connection.receive(data):
            if isinstance(piece, Dropped):
                self._count(piece, now)
            else:
                self._take(piece, now)

    def farewell(self, reason: str) -> tuple[bytes, ...]:
        """The frames to write before the agent stops."""
        return self._connection.send(Goodbye(reason=reason)) if self.is_open else ()

    def _next(self, now: float) -> Message | None:
        """What to say in a session, the shortest first: a host that waits for credit waits for nothing else."""
        if self._acknowledge is not None:
            sequence, self._acknowledge = self._acknowledge, None
            return Ack(sequence=sequence)
        answer = self.notices.next_answer()
        if answer is not None:
            return answer
        if now >= self.reporting.at:
            self.reporting.reported(now)
            return self._report(self.counters.input_drops(), self.delivery.events_lost)
        return self.delivery.next_batch(now)

    def _greet(self, now: float) -> tuple[bytes, ...]:
        if self.is_open and not self.delivery.is_renamed:
            _logger.warning("the host has been silent for too long: greeting it again")
            self.counters.add("silences")
        self.counters.add("greetings")
        self._end_session()
        self.greeting.greeted(now)
        self.delivery.greeted()
        journal = self.delivery.journal
        hello = dataclasses.replace(
            self._hello(),
            window=WINDOW,
            journal=None if journal is None else journal.id,
            events_acknowledged=None if journal is None else journal.acknowledged,
            events_written=None if journal is None else journal.last,
        )
        return self._connection.send(hello)

    def _take(self, received: Received, now: float) -> None:
        message = received.message
        self.heard_at = now
        if self.is_open:
            self.greeting.heard(now, self.reporting.interval_seconds)
        if isinstance(message, _ACKNOWLEDGED):
            self._acknowledge = received.sequence
        taker = self._takers.get(type(message))
        if taker is not None:
            taker(message, now)
        if not self.is_open:
            self._end_session()

    def _take_welcome(self, welcome: Welcome, now: float) -> None:
        if not OLDEST_VERSION <= welcome.version <= PROTOCOL_VERSION:
            self._connection.reset()
            self.greeting.refused(f"it speaks version {welcome.version}", now)
            return
        self.greeting.welcomed()
        self.reporting.welcomed(welcome.report_interval_seconds, now)
        self.greeting.heard(now, self.reporting.interval_seconds)
        if TAKES_EVENTS in welcome.capabilities:
            self.delivery.welcomed(welcome.events_taken, welcome.events_taken_token, now)
        _logger.info("the host welcomes this guest: a report every %g s", self.reporting.interval_seconds)

    def _take_metrics(self, metrics: Metrics, now: float) -> None:
        self.metrics, self.metrics_at = metrics, now

    def _take_notice(self, notice: Notice, now: float) -> None:
        if notice.kind in DISCONTINUITIES:
            self.reporting.wanted(now)
        self.notices.take(notice, now)

    def _end_session(self) -> None:
        self._acknowledge = None
        self.notices.end_session()
        self.delivery.end_session()

    def _count(self, dropped: Dropped, now: float) -> None:
        self.counters.add(f"input_{dropped.reason.value}")
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
