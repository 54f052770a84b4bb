"""What the log says of what keeps going wrong: each cause once, not every period and not for every domain."""

import time
from collections.abc import Callable

AGAIN_SECONDS = 600.0  # without it for so long, it is news when it comes back
MOST = 1000  # past it the oldest is forgotten


class Causes:
    """Those that have been told of."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, float] = {}  # the one that was seen last is at the end

    def is_news(self, cause: str) -> bool:
        """Whether it is to be told now: it has not been seen lately."""
        now, before = self._clock(), self._seen.pop(cause, None)
        self._seen[cause] = now
        if len(self._seen) > MOST:
            del self._seen[next(iter(self._seen))]
        return before is None or now - before > AGAIN_SECONDS
