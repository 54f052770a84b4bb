"""Whether a domain that did not answer may be asked again: one state a domain, no I/O."""

from protocol.backoff import Backoff

MOST_INTERVALS = 8  # a domain that answers too late every time is asked this seldom at the least


class Circuit:
    """Open after each time that the domain did not answer, longer and longer; closed by an answer."""

    def __init__(self, *, interval_seconds: float) -> None:
        self._backoff = Backoff(first_seconds=interval_seconds, most_seconds=MOST_INTERVALS * interval_seconds)
        self._ask_at = 0.0
        self.is_answering = True

    def may_ask(self, now: float) -> bool:
        """Whether it is time to ask; `now` is any clock's that never goes back."""
        return now >= self._ask_at

    def answered(self) -> None:
        """It did."""
        self.is_answering = True
        self._ask_at = 0.0
        self._backoff.reset()

    def left_alone(self) -> None:
        """It was not asked, for its monitor is occupied: looking at that again costs nothing."""
        self.is_answering = False

    def failed(self, now: float) -> None:
        """It was asked, and that cost a thread its deadline."""
        self.is_answering = False
        self._ask_at = now + self._backoff.wait_seconds()
