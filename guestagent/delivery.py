"""Events on their way to the host: one batch at a time, sent again until the host says that it has them.

The journal is where they are safe meanwhile. Nothing here waits for it: what it can give it gives at once, from memory,
and what it has to write it writes elsewhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Callable, Protocol

from protocol import schema
from protocol.errors import RemoteProtocolError
from protocol.messages import MAX_EVENTS, Event, Events, EventsTaken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guestagent.counters import Counters

MAX_BATCH_BYTES = 24 * 1024
"""One frame, with room to spare."""

AGAIN_FIRST_SECONDS = 10.0
AGAIN_MOST_SECONDS = 120.0

_record = schema.Record(Event)


class Journal(Protocol):
    """Where events are kept until the host has them. No method waits for a disk."""

    on_ready: Callable[[], None]
    """Is called whenever `unacknowledged` may give more than before, or `id` may be another."""

    @property
    def id(self) -> int:
        """Which list the numbers belong to; another one after the guest was set back to an earlier state."""

    @property
    def last(self) -> int:
        """The newest number."""

    @property
    def acknowledged(self) -> int:
        """Up to here the host has everything."""

    @property
    def lost(self) -> Mapping[str, int]:
        """How many events were lost, by reason."""

    def is_ours(self, number: int, token: int | None) -> bool:
        """Whether the host can have that event from this guest's present past; if not, tell it all the same."""

    def welcomed(self, taken: int | None, token: int | None = None) -> None:
        """A session began; the host has taken up to `taken` of this journal, or does not know it (`None`)."""

    def acknowledge(self, number: int, token: int | None = None) -> None:
        """The host has everything up to `number`, the event of that `token`."""

    def parted(self) -> None:
        """The session is over."""

    def unacknowledged(self, after: int = 0, *, limit: int, max_bytes: int) -> Sequence[Event]:
        """The next to send, oldest first, each with its age now; to be sent again until acknowledged."""


class Delivery:
    """What is on its way, and when it is due; of meaning only while a session is open."""

    def __init__(self, counters: Counters, journal: Journal | None) -> None:
        self._counters = counters
        self.journal = journal
        self.at = math.inf
        self._journal_id: int | None = None  # which the host was greeted with
        self._taken = 0  # of that journal
        self._sent_up_to = 0
        self._refused_up_to = 0
        self._again_seconds = AGAIN_FIRST_SECONDS
        self._is_met = False

    @property
    def events_lost(self) -> int | None:
        """How many events the journal had to forget; `None` without a journal."""
        return None if self.journal is None else sum(self.journal.lost.values())

    @property
    def is_renamed(self) -> bool:
        """Whether the journal is not the one that the host was greeted with."""
        return self.journal is not None and self._journal_id is not None and self.journal.id != self._journal_id

    def greeted(self) -> None:
        """The host is told which journal there is."""
        if self.journal is not None and self.journal.id != self._journal_id:
            if self._journal_id is not None:
                self._counters.add("journals_renewed")
            self._journal_id = self.journal.id
            self._taken = self._refused_up_to = 0

    def welcomed(self, taken: int | None, token: int | None, now: float) -> None:
        """A session has begun, with a host that has all up to `taken`: what it may lack is sent anew."""
        if self.journal is None:
            return
        self._is_met = True
        if taken is not None and taken <= self.journal.last and self.journal.is_ours(taken, token):
            self._taken = max(self._taken, taken)
        self.journal.welcomed(taken, token)
        self._begin_batch(now)

    def end_session(self) -> None:
        """Nobody is there to take anything."""
        self.at = math.inf
        self._sent_up_to = 0
        if self.journal is not None and self._is_met:
            self._is_met = False
            self.journal.parted()

    def look(self, now: float) -> None:
        """The journal may have more than before."""
        if self._is_met and self._sent_up_to <= self._taken:
            self.at = min(self.at, now)

    def confirm(self, taken: EventsTaken, now: float) -> None:
        """The host has the events of that journal up to this number: never more than it was sent."""
        if self.journal is None or taken.journal != self.journal.id:
            return
        if not self.journal.is_ours(taken.number, taken.token):
            self.at = math.inf  # until the journal has found a new name
            self.journal.acknowledge(taken.number, taken.token)
            return
        number = min(taken.number, self._sent_up_to)
        if number <= self._taken:
            return
        self._taken = number
        self.journal.acknowledge(number, taken.token if number == taken.number else None)
        self._begin_batch(now)

    def next_batch(self, now: float) -> Events | None:
        """What is to be sent now, if anything."""
        if self.journal is None or now < self.at:
            return None
        after = max(self._taken, self.journal.acknowledged)
        events = self._sound(self.journal.unacknowledged(after, limit=MAX_EVENTS, max_bytes=MAX_BATCH_BYTES))
        if not events or self.is_renamed:
            self.at = math.inf
            return None
        self._counters.add("events_repeated", sum(event.number <= self._sent_up_to for event in events))
        self._sent_up_to = max(self._sent_up_to, events[-1].number)
        self.at = now + self._again_seconds
        self._again_seconds = min(self._again_seconds * 2, AGAIN_MOST_SECONDS)
        return Events(journal=self.journal.id, events=events)

    def _sound(self, events: Sequence[Event]) -> tuple[Event, ...]:
        """Without those that would cost the whole batch, for ever; the next one's confirmation ends them as well."""
        refused = [event.number for event in events if not is_sound(event)]
        self._counters.add("events_refused", sum(number > self._refused_up_to for number in refused))
        self._refused_up_to = max([self._refused_up_to, *refused])
        return tuple(event for event in events if event.number not in refused)

    def _begin_batch(self, now: float) -> None:
        self._again_seconds = AGAIN_FIRST_SECONDS
        self.at = now


def is_sound(event: Event) -> bool:
    """Whether the host would take it."""
    try:
        schema.unpack(_record, schema.pack(_record, event))
    except RemoteProtocolError:
        return False
    return True
