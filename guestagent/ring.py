"""The events that the host has not taken yet, as one immutable value: numbers, acknowledgements, overflow, reverts.

Three numbers run after each other: `acknowledged` (the host has it) <= `announced` (the host may have it) <= `last`
(it happened). Only what is announced is handed out, and it is announced on disk before. So a host that has taken more
than was announced has met a future that this guest was reverted from, and so has one to which the last event that it
has taken has another token than it has here. Its numbers mean other events there: what is still to be told gets a new
journal's. Of what was on its way when the snapshot was made, some may then be told twice; nothing is lost.
"""

from __future__ import annotations

import dataclasses
import random
import struct
import time
import zlib
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
    return 1 + (_chance.getrandbits(62) ^ _nanoseconds())


def new_token(event: Event) -> int:
    """What tells the event from any other that has its number.

    With the clock and what it says, for a guest that is set back while it runs has its kernel's chance set back, too.
    """
    drawn = struct.pack(">QQ", _chance.getrandbits(64), _nanoseconds())
    return zlib.crc32(f"{event.kind} {event.text}".encode(), zlib.crc32(drawn))


def _nanoseconds() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


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
        known = dataclasses.replace(event, number=number, token=new_token(event))
        entry = Entry(known, boot_id, at_seconds, size_bytes(event))
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

    def is_ours(self, number: int, token: int | None) -> bool:
        """Whether what the host took last, under that number, can have been told by this guest in its present past.

        What is here no more was acknowledged or lost: nothing that waits depends on the answer then.
        """
        if token is None:  # an older host's
            return True
        own = next((entry.event.token for entry in self.entries if entry.event.number == number), token)
        return number <= self.announced and own == token

    def acknowledge(self, number: int, token: int | None = None) -> Ring:
        """The host has everything up to `number`, the event of that `token`; what waits behind it may go."""
        if not self.is_ours(number, token):
            return self._renamed()
        if number <= self.acknowledged:
            return self
        number = min(number, self.announced)
        kept = tuple(entry for entry in self.entries if entry.event.number > number)
        announced = self.last if self.is_met else self.announced
        return dataclasses.replace(self, acknowledged=number, announced=announced, entries=kept)

    def meet(self, taken: int | None, token: int | None = None) -> Ring:
        """A host is there and has taken up to `taken` of this journal (`None`: it does not know it)."""
        known = self
        if taken is not None:
            known = self._renamed() if taken > self.announced else self.acknowledge(taken, token)
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
