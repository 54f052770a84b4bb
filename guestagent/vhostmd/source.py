"""What the ways to the host's document have in common: what they bring, how they fail, how they wait."""

from __future__ import annotations

import select
import time
from typing import NamedTuple


class Found(NamedTuple):
    """A document, and where it was."""

    content: bytes
    where: str


class SourceFailed(Exception):  # noqa: N818 - named for what is so
    """This way brings nothing. `said` is what vm-dump-metrics says of that, which scripts look for: a line or more."""

    def __init__(self, why: str, said: str) -> None:
        super().__init__(why)
        self.said = said


class Clock:
    """The time that a wait is measured by, and the wait."""

    def now(self) -> float:
        """Seconds; only differences mean anything."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        select.select([], [], [], seconds)
