"""What the host told this guest to its programs' attention: kept, told once, answered as often as the host asks.

A notice is known by its number *and* words: another host, after a migration, may count anew, and its first notice must
not be taken for a former host's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.messages import NoticeAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from guestagent.counters import Counters
    from protocol.messages import Notice

MAX_KEPT = 100

DISCONTINUITIES = frozenset({"moved", "resumed", "restored", "reverted"})
"""Kinds of notices after which what this guest said before is not how it is now."""

SEEN = "seen"


@dataclass(eq=False)
class KeptNotice:
    """A notice, when it came, and what has become of it so far."""

    notice: Notice
    arrived_at: float
    status: str = SEEN
    text: str | None = None


class Notices:
    """The newest notices, and the answers that have yet to be sent."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._kept: dict[Notice, KeptNotice] = {}  # by the notice but for its deadline, which comes nearer
        self._answers: dict[tuple[int, str], NoticeAnswer] = {}
        self.listeners: list[Callable[[KeptNotice], None]] = []

    @property
    def kept(self) -> tuple[KeptNotice, ...]:
        """All that are remembered, the oldest first."""
        return tuple(self._kept.values())

    @property
    def has_answers(self) -> bool:
        """Whether the host has yet to be told what became of a notice."""
        return bool(self._answers)

    def take(self, notice: Notice, now: float) -> None:
        """The host told this; whoever listens is told, unless it was before."""
        key = dataclasses.replace(notice, deadline_seconds=None)
        known = self._kept.get(key)
        self._answer(notice.number, SEEN, None)
        if known is None:
            kept = self._kept[key] = KeptNotice(notice, now)
            self._forget_old()
            for listener in self.listeners:
                listener(kept)
            return
        self._counters.add("notices_repeated")
        if known.status != SEEN:
            self._answer(notice.number, known.status, known.text)

    def finish(self, kept: KeptNotice, status: str, text: str | None) -> None:
        """What this guest's programs made of it: "done" or "failed"."""
        kept.status, kept.text = status, text
        self._answer(kept.notice.number, status, text)

    def next_answer(self) -> NoticeAnswer | None:
        """The oldest answer that has not been sent."""
        return self._answers.pop(next(iter(self._answers))) if self._answers else None

    def end_session(self) -> None:
        """Who has not been told "seen" tells again; how it ended is told when there is somebody to tell."""
        self._answers = {key: answer for key, answer in self._answers.items() if answer.status != SEEN}

    def _answer(self, number: int, status: str, text: str | None) -> None:
        self._answers[number, status] = NoticeAnswer(number=number, status=status, text=text)

    def _forget_old(self) -> None:
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
            self._counters.add("notices_forgotten")
