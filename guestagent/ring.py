"""The events that the host has not taken yet, as one immutable value: numbers, acknowledgements, overflow, reverts.

Three numbers run after each other: `acknowledged` (the host has it) <= `announced` (the host may have it) <= `last`
(it happened). Only what is announced is handed out, and it is announced on disk before. So a host that has taken more
than was announced has met a future that this guest was reverted from: its numbers mean other events there, and what is
still to be told gets a new journal's. Of what was on its way when the snapshot was made, some may then be told twice;
nothing is lost. One case is left: a guest that was reverted while it ran, and that announces, before it finds out, just
as many events as the abandoned future did; that is one, for the next waits until the first is acknowledged. A host that
knows of the revert claims to have one more than the guest has, until the guest has answered that it was told.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guestagent.event import size_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.messages import Event

MAX_EVENTS = 1000
MAX_BYTES = 1 << 20

OVERFLOW = "overflow"

_chance = random.SystemRandom()  # as `secrets` has it, without the 700 kB that importing that takes


@dataclass(frozen=True)
class Limits:
    """How much may wait for the host."""

    events: int = MAX_EVENTS
    bytes: int = MAX_BYTES


@dataclass(frozen=True)
class Entry:
    """One event, and when it happened: by the boot clock of which boot."""

    event: Event
    boot_id: str | None
    at_seconds: float
    size_bytes: int


def new_id() -> int:
    """A journal's name, never 0."""
    return _chance.randrange(1, 1 << 63)


@dataclass(frozen=True)
class Ring:
    """All of it; each method gives the next one, or the same object if nothing changes."""

    id: int = field(default_factory=new_id)
    last: int = 0
    acknowledged: int = 0
    announced: int = 0
    is_met: bool = False  # a host is there, and what happens is for it to have at once
    entries: tuple[Entry, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)  # by reason, since the journal's file was made

    @property
    def mark(self) -> tuple[int, int, int, int]:
        """Tells apart what has to be told apart after a restart."""
        return (self.id, self.last, self.acknowledged, self.announced)

    @property
    def size_bytes(self) -> int:
        """What waits, as it would be on the wire."""
        return sum(entry.size_bytes for entry in self.entries)

    def append(self, event: Event, boot_id: str | None, at_seconds: float, limits: Limits) -> Ring:
        """With one more event, under the next number; the oldest go if it is too much."""
        number = self.last + 1
        entry = Entry(dataclasses.replace(event, number=number), boot_id, at_seconds, size_bytes(event))
        is_next = self.is_met and self.acknowledged == self.announced  # with some on their way it waits for their end
        announced = number if is_next else self.announced
        return dataclasses.replace(self, last=number, announced=announced, entries=(*self.entries, entry)).within(
            limits
        )

    def within(self, limits: Limits) -> Ring:
        """Without the oldest that are over the limits; they are counted."""
        count, size = len(self.entries), self.size_bytes
        over = 0
        while count - over > limits.events or (size > limits.bytes and count - over > 1):
            size -= self.entries[over].size_bytes
            over += 1
        if not over:
            return self
        lost = Counter(self.lost)
        lost[OVERFLOW] += over
        return dataclasses.replace(self, entries=self.entries[over:], lost=dict(lost))

    def acknowledge(self, number: int) -> Ring:
        """The host has everything up to `number`; what waits behind it may go."""
        if number <= self.acknowledged:
            return self
        number = min(number, self.announced)
        kept = tuple(entry for entry in self.entries if entry.event.number > number)
        announced = self.last if self.is_met else self.announced
        return dataclasses.replace(self, acknowledged=number, announced=announced, entries=kept)

    def meet(self, taken: int | None) -> Ring:
        """A host is there and has taken up to `taken` of this journal (`None`: it does not know it)."""
        known = self
        if taken is not None:
            known = self._renamed() if taken > self.announced else self.acknowledge(taken)
        return dataclasses.replace(known, announced=known.last, is_met=True)

    def part(self) -> Ring:
        """The host went away: what happens now waits."""
        return dataclasses.replace(self, is_met=False) if self.is_met else self

    def unacknowledged(self, after: int, limit: int, max_bytes: int) -> tuple[Entry, ...]:
        """The oldest that may be sent now: numbers over `after`, at most so many and so long, yet at least one."""
        chosen: list[Entry] = []
        size = 0
        for entry in self.entries:
            if not after < entry.event.number <= self.announced:
                continue
            size += entry.size_bytes
            if len(chosen) >= limit or (chosen and size > max_bytes):
                break
            chosen.append(entry)
        return tuple(chosen)

    def _renamed(self) -> Ring:
        entries = tuple(
            dataclasses.replace(entry, event=dataclasses.replace(entry.event, number=number))
            for number, entry in enumerate(self.entries, start=1)
        )
        return Ring(last=len(entries), entries=entries, lost=self.lost)
