"""What the log says of one guest: each kind of thing so often at most, and then how often it was left out.

A guest can bring about most of what is worth a line as often as it likes, and lines are the operator's disk.
"""

import logging
from collections import Counter
from enum import Enum

from hostd import telemetry
from protocol.bucket import full

LINES_PER_SECOND = 1 / 60
LINES_AT_ONCE = 5.0


class Kind(Enum):
    """What a line is about; the lines of one kind count together."""

    OPENING = "opening"
    DOWN = "down"
    FAILED = "failed"
    QUARANTINE = "quarantine"
    INPUT = "input"


class Mentions:
    """One guest's; each line begins with `whose` it is."""

    def __init__(self, whose: str) -> None:
        self._whose = whose
        self._buckets = {kind: full(LINES_PER_SECOND, LINES_AT_ONCE) for kind in Kind}
        self._left_out: Counter[Kind] = Counter()

    def say(
        self, log: logging.Logger, level: int, kind: Kind, text: str, now: float, *, has_traceback: bool = False
    ) -> None:
        """Write the line, or count it."""
        if not log.isEnabledFor(level):
            return
        if not self._buckets[kind].take(now, 1.0):
            self._left_out[kind] += 1
            telemetry.GUEST_LOG_LINES_DROPPED.inc()
            return
        left_out = self._left_out.pop(kind, 0)
        more = f" ({left_out} such lines were left out)" if left_out else ""
        log.log(level, "%s: %s%s", self._whose, text, more, exc_info=has_traceback)
