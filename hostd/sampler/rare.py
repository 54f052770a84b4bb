"""When a domain is asked for what seldom changes, and what is known of it in between: one state a domain, no I/O."""

from hostd.model.kvm import RareStats

MOST_INTERVALS = 3  # what was last told so long ago no longer tells the present


class Rare:
    """The last answer of one domain. `slack_seconds` is how much too early is early enough: rounds are not exact."""

    def __init__(self, *, interval_seconds: float, slack_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._slack_seconds = slack_seconds
        self._told: RareStats | None = None
        self._told_at = 0.0
        self._due_at = 0.0

    def is_due(self, now: float) -> bool:
        """Whether to ask; `now` is any clock's that never goes back. Says so once an interval, answered or not."""
        if now < self._due_at:
            return False
        self._due_at = now + self._interval_seconds - self._slack_seconds
        return True

    def known(self, told: RareStats | None, now: float) -> RareStats | None:
        """What is told now, or else what was last: the same object, so that nobody renders it anew."""
        if told is not None:
            self._told, self._told_at = self._told if told == self._told else told, now
        elif now - self._told_at > MOST_INTERVALS * self._interval_seconds:
            self._told = None
        return self._told

    def forget(self) -> None:
        """The domain does not answer; once it does, it is asked at once."""
        self._told, self._due_at = None, 0.0
