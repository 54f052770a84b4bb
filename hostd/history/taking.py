"""What is taken of the events that a guest sends, and what is not: pure, with what is known so far as an argument.

A guest sends its events in order, and the next ones only when these are acknowledged; so of each journal one number,
the highest taken, tells everything that was taken from everything that was not, and no row has to be kept for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.messages import Event

MOST_SKIPPED = (
    1_000_000  # that one gap counts for: a guest may make it as wide as numbers go, and all share the counter
)
MAX_JOURNALS = 16  # of one domain that are known: a guest makes a new one after it was reverted, and may do so for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of the events that a guest sent."""

    new: tuple[Event, ...] = ()
    highest: int = 0  # the guest may forget everything up to this
    duplicates: int = 0  # taken before
    skipped: int = 0  # numbers before these that never came here: lost in the guest, or taken by another host
    held_back: int = 0  # over what one domain may send; they are not taken, and the guest will send them again


class Marks:
    """The highest number of each journal, of each domain the `MAX_JOURNALS` that were written to last."""

    def __init__(self) -> None:
        self._of: dict[str, dict[int, int]] = {}

    def highest(self, uuid: str, journal: int) -> int | None:
        """Up to where all was taken; `None` if nothing ever was."""
        return self._of.get(uuid, {}).get(journal)

    def raise_to(self, uuid: str, journal: int, number: int) -> list[int]:
        """Note that all up to `number` is taken; the journals that are forgotten for it."""
        journals = self._of.setdefault(uuid, {})
        journals[journal] = max(number, journals.pop(journal, 0))
        forgotten = list(journals)[:-MAX_JOURNALS]
        for each in forgotten:
            del journals[each]
        return forgotten

    def all(self) -> list[tuple[str, int, int]]:
        """Each domain's journals, the one that was written to last at the end."""
        return [(uuid, journal, number) for uuid, of in self._of.items() for journal, number in of.items()]

    def keep(self, known: set[tuple[str, int]]) -> None:
        """Forget all the others."""
        for uuid, journals in list(self._of.items()):
            self._of[uuid] = {journal: number for journal, number in journals.items() if (uuid, journal) in known}
            if not self._of[uuid]:
                del self._of[uuid]


@dataclass(slots=True)
class Allowance:
    """How many events each domain may still send: so many at once, and so many a second from then on."""

    per_second: float
    at_once: int
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)  # and since when

    def take(self, uuid: str, wanted: int, now: float) -> int:
        """How many of those it may have; they are used up."""
        granted = min(wanted, int(self._now(uuid, now)))
        self._left[uuid] = (self._now(uuid, now) - granted, now)
        return granted

    def forget_full(self, now: float) -> None:
        """Forget who has not sent anything for long."""
        for uuid in [uuid for uuid in self._left if self._now(uuid, now) >= self.at_once]:
            del self._left[uuid]

    def _now(self, uuid: str, now: float) -> float:
        left, since = self._left.get(uuid, (float(self.at_once), now))
        return min(float(self.at_once), left + max(0.0, now - since) * self.per_second)


def sort_out(events: Sequence[Event], highest: int | None, allowed: int) -> Taken:
    """Which of `events` are new after `highest`, `allowed` of them at most, and what that makes the highest."""
    new: list[Event] = []
    reached = highest or 0
    skipped = duplicates = held_back = 0
    for event in events:
        if event.number <= reached:
            duplicates += 1
        elif held_back or len(new) >= allowed:
            held_back += 1
        else:
            skipped += min(event.number - reached - 1, MOST_SKIPPED) if highest is not None or new else 0
            reached = event.number
            new.append(event)
    return Taken(new=tuple(new), highest=reached, duplicates=duplicates, skipped=skipped, held_back=held_back)
