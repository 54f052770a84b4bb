"""When a line is still what it seems, and when to open it anew. Pure; times are the loop's clock.

A line that is connected and yet silent may be wedged: a port that was throttled over a migration, a restore, or a
hang-up during a pause gives its first client nothing for ever, and only a second connect heals it. So silence is given
little time at first and, as reconnects do not help, more and more. A domain that does not run cannot speak; it is
waited for without a limit, and has all its time again when it runs. So is a port that nobody in the guest has open.
"""

from dataclasses import dataclass

FIRST_GREETING_SECONDS = 2.0  # an agent that is there answers a request in milliseconds
MOST_GREETING_SECONDS = 60.0
BLIND_RECONNECTS = 2  # before it matters whether libvirt says that the port is open: it may not know yet
MESSAGE_SECONDS = 5.0  # a frame that began must end within this, and a long message with all its chunks
SILENT_INTERVALS = 3  # no frame, or no acknowledgement, for this many report intervals
LEAST_SILENT_SECONDS = 5.0
MOST_SILENT_SECONDS = 30.0  # with long intervals, pings go in between


class LineDown(Exception):  # noqa: N818 - named after the state of the line
    """The connection is over; the message says why, for the log."""


class Unheard(LineDown):
    """Nobody has greeted over this connection, which may be wedged: the next one may help, and need not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What libvirt says of the domain that bears on its silence."""

    is_running: bool
    is_open_in_guest: bool | None


def silent_seconds(interval_seconds: float) -> float:
    """For how long an open session may say nothing."""
    return min(max(SILENT_INTERVALS * interval_seconds, LEAST_SILENT_SECONDS), MOST_SILENT_SECONDS)


class Greetings:
    """How long a guest that does not greet is waited for: longer after each reconnect, short again once it has."""

    def __init__(self) -> None:
        self.reconnects = 0

    @property
    def seconds(self) -> float:
        """For how long this connection waits."""
        return min(FIRST_GREETING_SECONDS * 2.0**self.reconnects, MOST_GREETING_SECONDS)

    def reset(self) -> None:
        """The guest has greeted."""
        self.reconnects = 0


class Patience:
    """With one connection."""

    def __init__(self, greetings: Greetings, silent: float, now: float) -> None:
        self._greetings = greetings
        self._silent_seconds = silent
        self._heard_at = now
        self._told_at: float | None = None  # the oldest that is not acknowledged
        self._within_since: float | None = None
        self._is_open = False
        self._has_spoken = False  # a line that has carried something is not wedged as those are that carry nothing
        self._has_stood_still = False

    def heard(self, now: float, *, is_open: bool) -> None:
        """A valid message came, and the session is open after it, or is not."""
        self._heard_at = now
        self._is_open = is_open
        self._has_spoken = True
        if is_open:
            self._greetings.reset()

    def told(self, now: float) -> None:
        """Something was sent that has to be acknowledged."""
        if self._told_at is None:
            self._told_at = now

    def acknowledged(self, now: float, *, all_of_it: bool) -> None:
        """Some of what was sent arrived."""
        self._told_at = None if all_of_it else now

    def within(self, now: float, *, is_within: bool, has_ended: bool) -> None:
        """Whether a message has begun and not ended, and whether one ended just now."""
        if not is_within:
            self._within_since = None
        elif self._within_since is None or has_ended:
            self._within_since = now

    def wakes_at(self) -> float:
        """When `judge` has something to say at the earliest."""
        times = [self._heard_at + self._limit_seconds()]
        if self._within_since is not None:
            times.append(self._within_since + MESSAGE_SECONDS)
        if self._told_at is not None:
            times.append(self._told_at + self._silent_seconds)
        return min(times)

    def judge(self, now: float, circumstances: Circumstances) -> None:
        """Decide whether the line is still what it seems.

        Raises:
            LineDown: it has to be opened anew.

        """
        if not circumstances.is_running or self._has_stood_still:
            self._has_stood_still = not circumstances.is_running
            self._heard_at = now
            self._within_since = None
            self._told_at = None if self._told_at is None else now
            return
        if self._within_since is not None and now - self._within_since >= MESSAGE_SECONDS:
            raise LineDown(f"a message did not end within {MESSAGE_SECONDS:g} s")
        if self._told_at is not None and now - self._told_at >= self._silent_seconds:
            raise LineDown(f"nothing acknowledged for {self._silent_seconds:g} s")
        if now - self._heard_at < self._limit_seconds():
            return
        is_blind = not self._has_spoken and self._greetings.reconnects < BLIND_RECONNECTS
        if self._is_open or is_blind or circumstances.is_open_in_guest:
            limit = self._limit_seconds()
            if self._is_open:
                raise LineDown(f"no message for {limit:g} s")
            self._greetings.reconnects += 1
            raise Unheard(f"no message for {limit:g} s")
        self._heard_at = now  # nobody has the port open: nothing to heal

    def _limit_seconds(self) -> float:
        if self._is_open:
            return self._silent_seconds
        return MOST_GREETING_SECONDS if self._has_spoken else self._greetings.seconds
