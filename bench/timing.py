"""Times of calls, and what many of them come to.

Two calls that are compared take turns, and which of them begins takes turns too, so that a machine that slows
down in between, or a cache that the first one warms, weighs on both alike.
"""

import math
import time
from collections.abc import Callable, Sequence


def timed(call: Callable[[], object]) -> float:
    """Call, and give the seconds it took."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def alternately(rounds: int, *calls: Callable[[], object]) -> Sequence[Sequence[float]]:
    """Seconds of `rounds` turns of each call, after one of each that is not counted."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    order = range(len(calls))
    for turn in range(rounds):
        for which in (order, reversed(order))[turn % 2]:
            seconds[which].append(timed(calls[which]))
    return seconds


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that `percent` of them do not exceed (nearest rank: one that was measured)."""
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]
