"""What one guest may cost: bytes, frames, decoding and mistakes, each by a rate and a reserve. The caller keeps time.

A guest that spends more is not read for as long as the debt takes to be paid off: QEMU then stops reading from the
guest, so the pressure goes all the way back to who makes it. One that goes on like that, or makes mistakes that no
agent makes, is put in quarantine: its line is closed, each time for longer. The rests count in all and not in a row, or
a guest that pauses for a moment now and then would never get there.
"""

from collections.abc import Mapping
from enum import Enum

from protocol.bucket import full
from protocol.errors import DropReason

BYTES_PER_SECOND = 256 * 1024  # a report of 100 values is 1 kB
BYTES_RESERVE = 1024 * 1024  # a reconnect may bring 300 kB of a former connection's bytes at once
FRAMES_PER_SECOND = 100
FRAMES_RESERVE = 2_000  # in such a flood of old bytes a frame may be as short as a hundred
DECODING_SECONDS_PER_SECOND = 0.02
DECODING_RESERVE_SECONDS = 0.2
MISTAKES_PER_SECOND = 1.0
MISTAKES_RESERVE = 120  # noise costs some frames, and a cut one or two
SESSIONS_PER_SECOND = 0.5  # an agent greets twice a minute while nobody answers
SESSIONS_RESERVE = 30

MOST_REST_SECONDS = 2.0  # a debt that is longer is paid in several
RESTS_PER_SECOND = 0.1  # seconds, as above: who is in debt for a tenth of the time is only held back
RESTS_RESERVE_SECONDS = 10.0
QUARANTINE_FIRST_SECONDS = 10.0
QUARANTINE_MOST_SECONDS = 600.0
GOOD_SECONDS = 600.0  # so long without a debt, and the next quarantine is as short as the first

HONEST = frozenset({DropReason.SESSION, DropReason.SEQUENCE, DropReason.STATE})
"""What a former connection's bytes are dropped for: nobody's mistake."""


class Fault(Enum):
    """Why a guest is in quarantine."""

    FLOOD = "flood"  # more bytes, frames or decoding than it may cost, for too long
    MISTAKES = "mistakes"  # more broken frames than noise explains
    SESSIONS = "sessions"  # greeting without end


class Budget:
    """One guest's, for as long as its domain is there: neither a reconnect nor a restart fills it."""

    def __init__(self) -> None:
        self._bytes = full(BYTES_PER_SECOND, BYTES_RESERVE)
        self._frames = full(FRAMES_PER_SECOND, FRAMES_RESERVE)
        self._decoding = full(DECODING_SECONDS_PER_SECOND, DECODING_RESERVE_SECONDS)
        self._mistakes = full(MISTAKES_PER_SECOND, MISTAKES_RESERVE)
        self._sessions = full(SESSIONS_PER_SECOND, SESSIONS_RESERVE)
        self._rests = full(RESTS_PER_SECOND, RESTS_RESERVE_SECONDS)
        self._paid_off_at = 0.0
        self._quarantine_seconds = QUARANTINE_FIRST_SECONDS
        self._fault: Fault | None = None

    def read(self, now: float, *, bytes_: int, frames: int, decoding_seconds: float) -> float:
        """So much was read and decoded; for how many seconds nothing more may be, for now."""
        debt_seconds = max(
            self._bytes.spend(now, bytes_),
            self._frames.spend(now, frames),
            self._decoding.spend(now, decoding_seconds),
        )
        rest_seconds = min(debt_seconds, MOST_REST_SECONDS)
        if rest_seconds:
            self._paid_off_at = now + rest_seconds
            if self._rests.spend(now, rest_seconds):
                self._fault = Fault.FLOOD
        return rest_seconds

    def mistook(self, now: float, drops: Mapping[DropReason, int]) -> None:
        """So many pieces were dropped, by reason."""
        mistakes = sum(count for reason, count in drops.items() if reason not in HONEST)
        if mistakes and self._mistakes.spend(now, mistakes):
            self._fault = Fault.MISTAKES

    def greeted(self, now: float) -> None:
        """It said hello."""
        if self._sessions.spend(now, 1):
            self._fault = Fault.SESSIONS

    @property
    def fault(self) -> Fault | None:
        """Why it belongs in quarantine, if it does."""
        return self._fault

    def quarantine(self, now: float) -> float:
        """Begin a quarantine for the fault; its seconds."""
        if now - self._paid_off_at > GOOD_SECONDS:
            self._quarantine_seconds = QUARANTINE_FIRST_SECONDS
        seconds = self._quarantine_seconds
        self._quarantine_seconds = min(seconds * 2, QUARANTINE_MOST_SECONDS)
        self._paid_off_at = now + seconds
        self._fault = None
        for bucket in (self._bytes, self._frames, self._decoding, self._mistakes, self._sessions, self._rests):
            bucket.left = max(bucket.left, bucket.reserve / 4)  # enough to show that it has become better
            bucket.at = now
        return seconds
