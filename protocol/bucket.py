"""How much may be spent over time: the one rule for every rate in the project. Pure: the caller keeps the time.

A reserve that fills at a rate: what was not spent for a while may be spent at once, and no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Bucket:
    """What is left of the reserve, as of `at`; below 0 if it was overdrawn. A clock that goes back fills nothing."""

    rate: float
    reserve: float
    left: float
    at: float = 0.0

    def fill(self, now: float) -> float:
        """What has come since is in it; what is left now."""
        self.left = min(self.reserve, self.left + max(0.0, now - self.at) * self.rate)
        self.at = max(self.at, now)
        return self.left

    def spend(self, now: float, cost: float) -> float:
        """Take `cost`, which came in one piece; the seconds until the debt is paid off, 0 if there is none."""
        self.left = self.fill(now) - cost
        return max(0.0, -self.left / self.rate)

    def take(self, now: float, cost: float) -> bool:
        """Take `cost` if there is so much; whether there was."""
        return self.grant(now, 1, cost) == 1

    def grant(self, now: float, wanted: int, each: float = 1.0) -> int:
        """Take `each` for as many of those wanted as there is enough for; how many."""
        granted = min(wanted, max(0, int(self.fill(now) / each)))
        self.left -= granted * each
        return granted


def full(rate: float, reserve: float, now: float = 0.0) -> Bucket:
    """One of which nothing is spent yet."""
    return Bucket(rate=rate, reserve=reserve, left=reserve, at=now)
