"""When to greet the host: at once when it appears, more seldom while it does not answer, again when it falls silent.

One moment is all the state there is. While a session is open every valid word of the host pushes it forward, so a host
that has fallen silent is greeted again without a rule of its own; on a serial line, where nobody can tell whether a
host is there, that is the only way to notice.
"""

from __future__ import annotations

import logging
import math

from protocol.backoff import Backoff

HELLO_FIRST_SECONDS = 1.0
HELLO_MOST_SECONDS = 30.0
HELLO_GAP_SECONDS = 0.2
"""However often the host asks to be greeted, five times in a second is the most it gets."""

SILENCE_SECONDS = 15.0
SILENCE_INTERVALS = 3
"""An open session in which the host has said nothing valid for so many intervals (or seconds, if longer) is void."""

REFUSED_SECONDS = 60.0

_logger = logging.getLogger(__name__)


class Greeting:
    """When the next greeting is due, in the conversation's time."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff(first_seconds=HELLO_FIRST_SECONDS, most_seconds=HELLO_MOST_SECONDS)
        self._greeted_at = -math.inf
        self._is_wanted = False
        self.at = math.inf
        self.refusal: str | None = None

    def begin(self, now: float) -> None:
        """There is a host: greet it at once."""
        self._backoff.reset()
        self.at = now

    def end(self) -> None:
        """There is none: nobody to greet."""
        self._is_wanted = False
        self.at = math.inf

    def requested(self, now: float) -> None:
        """The host asked to be greeted, or there is news to greet it with."""
        self._backoff.reset()
        self._is_wanted = True
        self.at = max(now, self._greeted_at + HELLO_GAP_SECONDS)

    def greeted(self, now: float) -> None:
        """A greeting goes out now; the next follows if nothing comes of it."""
        self._greeted_at = now
        self._is_wanted = False
        self.at = now + max(HELLO_GAP_SECONDS, self._backoff.wait_seconds())

    def heard(self, now: float, interval_seconds: float) -> None:
        """The host said something valid in a session with a report every `interval_seconds`."""
        if not self._is_wanted:
            self.at = now + max(SILENCE_SECONDS, SILENCE_INTERVALS * interval_seconds)

    def welcomed(self) -> None:
        """There is a session."""
        self.refusal = None
        self._backoff.reset()

    def refused(self, reason: str, now: float) -> None:
        """There will be none for now."""
        if reason != self.refusal:
            _logger.warning("the host refuses this guest: %s", reason)
        self.refusal = reason
        self.at = now + REFUSED_SECONDS
