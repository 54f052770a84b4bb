"""What is taken of the events that a guest sends, and what is not: pure, with what is known so far as an argument.

A guest sends its events in order, and the next ones only when these are acknowledged; so of each journal one number,
the highest taken, tells everything that was taken from everything that was not, and no row has to be kept for it.

That number's token is kept with it, for a guest may be set back to a snapshot and give a number again before it finds
out: from a batch in which the event of that number is another one nothing is taken. It finds out by the answer, and
tells all of it anew in another journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from protocol.bucket import Bucket, full
from protocol.messages import Event

MOST_SKIPPED = 1_000_000  # that one gap counts for: a guest may make it as wide as numbers go; all share the counter
MAX_JOURNALS = 16  # of one domain that are known: a guest makes a new one after it was reverted, and may do so for ever


class Mark(NamedTuple):
    """The last event that was taken of a journal: its number, and its token if the guest says such."""

    number: int
    token: int | None = None


NOTHING = Mark(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of the events that a guest sent."""

    new: tuple[Event, ...] = ()
    highest: Mark = NOTHING  # the guest may forget everything up to this
    duplicates: int = 0  # taken before
    skipped: int = 0  # numbers before these that never came here: lost in the guest, or taken by another host
    reverted: int = 0  # not taken, for the guest was set back to a snapshot and has yet to find out
    held_back: int = 0  # over what one domain may send; they are not taken, and the guest will send them again


class Marks:
    """The mark of each journal, of each domain those of the `MAX_JOURNALS` that were written to last."""

    def __init__(self) -> None:
        self._of: dict[str, dict[int, Mark]] = {}

    def highest(self, uuid: str, journal: int) -> Mark | None:
        """Up to where all was taken; `None` if nothing ever was."""
        return self._of.get(uuid, {}).get(journal)

    def raise_to(self, uuid: str, journal: int, mark: Mark) -> list[int]:
        """Note that all up to `mark` is taken; the journals that are forgotten for it."""
        journals = self._of.setdefault(uuid, {})
        known = journals.pop(journal, mark)
        journals[journal] = mark if mark.number > known.number else known
        forgotten = list(journals)[:-MAX_JOURNALS]
        for each in forgotten:
            del journals[each]
        return forgotten

    def all(self) -> list[tuple[str, int, Mark]]:
        """Each domain's journals, the one that was written to last at the end."""
        return [(uuid, journal, mark) for uuid, of in self._of.items() for journal, mark in of.items()]

    def keep(self, known: set[tuple[str, int]]) -> None:
        """Forget all the others."""
        for uuid, journals in list(self._of.items()):
            self._of[uuid] = {journal: mark for journal, mark in journals.items() if (uuid, journal) in known}
            if not self._of[uuid]:
                del self._of[uuid]


@dataclass(slots=True)
class Allowance:
    """How many events each domain may still send: so many at once, and so many a second from then on."""

    per_second: float
    at_once: int
    _of: dict[str, Bucket] = field(default_factory=dict)

    def take(self, uuid: str, wanted: int, now: float) -> int:
        """How many of those it may have; they are used up."""
        if uuid not in self._of:
            self._of[uuid] = full(self.per_second, self.at_once, now)
        return self._of[uuid].grant(now, wanted)

    def forget_full(self, now: float) -> None:
        """Forget who has not sent anything for long."""
        self._of = {uuid: bucket for uuid, bucket in self._of.items() if bucket.fill(now) < self.at_once}


def sort_out(events: Sequence[Event], known: Mark | None, allowed: int) -> Taken:
    """Which of `events` are new after what is `known`, `allowed` of them at most, and what that makes the highest."""
    highest = known or NOTHING
    if known is not None and _are_of_another_past(events, known):
        return Taken(highest=known, reverted=len(events))
    new: list[Event] = []
    skipped = duplicates = held_back = 0
    for event in events:
        if event.number <= highest.number:
            duplicates += 1
        elif held_back or len(new) >= allowed:
            held_back += 1
        else:
            gap = event.number - highest.number - 1 if known is not None or new else 0
            skipped += min(gap, MOST_SKIPPED)
            highest = Mark(event.number, event.token)
            new.append(event)
    return Taken(new=tuple(new), highest=highest, duplicates=duplicates, skipped=skipped, held_back=held_back)


def _are_of_another_past(events: Sequence[Event], known: Mark) -> bool:
    """Whether they were told by a guest that never told what is known; an older one's tokens say nothing."""
    own = next((event.token for event in events if event.number == known.number), None)
    return None not in (own, known.token) and own != known.token
