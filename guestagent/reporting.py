"""When to report: on the host's interval, and at once when it asks or has told of a break in this guest's time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestagent.counters import Counters

MIN_REPORT_SECONDS = 1.0
"""However often the host asks: it may not make a guest measure itself all the time."""

MAX_REPORT_SECONDS = 300.0


class Reporting:
    """When the next report is due, in the conversation's time; of meaning only while a session is open."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.interval_seconds = MIN_REPORT_SECONDS
        self.reported_at: float | None = None
        self.at = math.inf

    def welcomed(self, interval_seconds: float, now: float) -> None:
        """A session has begun, with a report every `interval_seconds`, within reason."""
        self.interval_seconds = min(max(interval_seconds, MIN_REPORT_SECONDS), MAX_REPORT_SECONDS)
        self.at = self._soonest(now)

    def wanted(self, now: float) -> None:
        """Somebody wants to know how things are now."""
        self.at = min(self.at, self._soonest(now))

    def reported(self, now: float) -> None:
        """A report is made now. What should have been made since it was due is left out: only the newest counts."""
        self._counters.add("reports_late", int((now - self.at) // self.interval_seconds))
        self.reported_at = now
        self.at = now + self.interval_seconds

    def _soonest(self, now: float) -> float:
        return now if self.reported_at is None else max(now, self.reported_at + MIN_REPORT_SECONDS)
