"""How long to wait before trying again: the one rule for every retry in the project.

Exponential with full jitter (each wait drawn evenly from zero to the present bound), so that a thousand guests whose
host came back do not greet it in the same instant. Pure: the caller sleeps.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Waits in seconds that grow from `first_seconds` to `most_seconds`, each jittered.

    `draw(low, high)` is the source of chance; tests hand in their own.
    """

    def __init__(
        self,
        *,
        first_seconds: float,
        most_seconds: float,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._draw = draw
        self._bound_seconds = first_seconds

    def wait_seconds(self) -> float:
        """The next wait; asking again without `reset` doubles its bound."""
        wait = self._draw(0.0, self._bound_seconds)
        self._bound_seconds = min(self._bound_seconds * 2, self._most_seconds)
        return wait

    def reset(self) -> None:
        """It worked: the next failure begins with short waits again."""
        self._bound_seconds = self._first_seconds
