"""A journal that keeps its events in memory and does at once what a real one has done on a disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from protocol.messages import Event

if TYPE_CHECKING:
    from collections.abc import Mapping


class MemoryJournal:
    """Knows when it has a session; `max_events` are kept."""

    def __init__(self, *, max_events: int = 1000) -> None:
        self.id = 1
        self.last = 0
        self.acknowledged = 0
        self.lost: Mapping[str, int] = {}
        self.is_met = False
        self.on_ready: Callable[[], None] = lambda: None
        self._max_events = max_events
        self._events: list[Event] = []

    def write(self, text: str = "", *, characters: int = 0, kind: str = "test") -> None:
        self.last += 1
        text = text or "x" * characters
        self._events.append(Event(number=self.last, kind=kind, severity="info", text=text, token=self.last))
        if len(self._events) > self._max_events:
            self.lost = {"overflow": self.lost.get("overflow", 0) + 1}
            del self._events[0]
        self.on_ready()

    def is_ours(self, number: int, token: int | None) -> bool:
        own = {event.number: event.token for event in self._events}
        return token is None or (number <= self.last and own.get(number, token) == token)

    def welcomed(self, taken: int | None, token: int | None = None) -> None:
        self.is_met = True
        if taken is not None and taken > self.last:
            self._begin_anew()
        elif taken is not None:
            self.acknowledge(taken, token)
        self.on_ready()

    def acknowledge(self, number: int, token: int | None = None) -> None:
        if not self.is_ours(number, token):
            self._begin_anew()
            return
        self.acknowledged = max(self.acknowledged, number)
        self._events = [event for event in self._events if event.number > number]
        self.on_ready()

    def _begin_anew(self) -> None:
        self.id, self.acknowledged = self.id + 1, 0
        self._events = [replace(event, number=number) for number, event in enumerate(self._events, start=1)]
        self.last = len(self._events)
        self.on_ready()

    def parted(self) -> None:
        self.is_met = False

    def unacknowledged(self, after: int = 0, *, limit: int, max_bytes: int) -> list[Event]:
        chosen: list[Event] = []
        for event in self._events:
            if event.number > after and len(chosen) < limit and (not chosen or max_bytes >= len(event.text)):
                chosen.append(event)
                max_bytes -= len(event.text)
        return chosen
