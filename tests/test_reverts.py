"""A guest that is set back to snapshots, running or not, and a host that goes on: no event is lost, none told twice.

But those that were told before the guest was set back may be told again: it does not know that it told them.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from guestagent.counters import Counters
from guestagent.delivery import Delivery
from guestagent.event import event
from guestagent.ring import OVERFLOW, Limits, Ring
from hostd.history.taking import Mark, Marks, sort_out
from protocol.messages import Event, Events, EventsTaken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UUID = "u"
LIMITS = Limits(events=8)
PLENTY = 1_000


def _nobody() -> None:
    """Is told: whoever changes a journal here looks at it himself."""


class RingJournal:
    """A journal whose disk does at once what it is told: what a snapshot of a running guest holds of it is the ring."""

    def __init__(self) -> None:
        self.ring = Ring()
        self.on_ready: Callable[[], None] = _nobody

    @property
    def id(self) -> int:
        return self.ring.id

    @property
    def last(self) -> int:
        return self.ring.last

    @property
    def acknowledged(self) -> int:
        return self.ring.acknowledged

    @property
    def lost(self) -> Mapping[str, int]:
        return self.ring.lost

    def append(self, text: str) -> None:
        self.ring = self.ring.append(event(1, "a", "info", text, ()), "boot", 0.0, LIMITS)

    def is_ours(self, number: int, token: int | None) -> bool:
        return self.ring.is_ours(number, token)

    def welcomed(self, taken: int | None, token: int | None = None) -> None:
        self.ring = self.ring.meet(taken, token)

    def acknowledge(self, number: int, token: int | None = None) -> None:
        self.ring = self.ring.acknowledge(number, token)

    def parted(self) -> None:
        self.ring = self.ring.part()

    def unacknowledged(self, after: int = 0, *, limit: int, max_bytes: int) -> list[Event]:
        return [entry.event for entry in self.ring.unacknowledged(after, limit, max_bytes)]


class Guest:
    """All that a snapshot of it holds, and what happened in its present past."""

    def __init__(self) -> None:
        self.journal = RingJournal()
        self.delivery = Delivery(Counters(), self.journal)
        self.happened: list[str] = []
        self.overflowed = 0

    @property
    def waiting(self) -> list[str]:
        return [entry.event.text for entry in self.journal.ring.entries]


class Host:
    """What it has taken, by the rules of the history."""

    def __init__(self) -> None:
        self.marks = Marks()
        self.taken: list[str] = []

    def highest(self, journal: int) -> Mark | None:
        return self.marks.highest(UUID, journal)

    def take(self, said: Events, allowed: int) -> EventsTaken:
        taken = sort_out(said.events, self.highest(said.journal), allowed)
        self.taken += [each.text for each in taken.new]
        if taken.new:
            self.marks.raise_to(UUID, said.journal, taken.highest)
        return EventsTaken(journal=said.journal, number=taken.highest.number, token=taken.highest.token)


class Reverts(RuleBasedStateMachine):
    """What is on its way when the guest is set back still arrives: at its worst, the session seems to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.guest, self.host = Guest(), Host()
        self.snapshots: list[Guest] = []
        self.to_host: list[Events] = []
        self.to_guest: list[EventsTaken] = []
        self.now = 0.0
        self.number = 0
        self.told_before: set[str] = set()

    @rule(count=st.integers(1, 4))
    def something_happens(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.guest.happened.append(f"event {self.number}")
            self.guest.journal.append(self.guest.happened[-1])
        self.guest.delivery.look(self.now)

    @rule()
    def a_session_begins(self) -> None:
        """What was said in the one before is not heard any more."""
        self.to_host.clear()
        self.to_guest.clear()
        delivery, journal = self.guest.delivery, self.guest.journal
        for _ in range(2):  # the journal may find that it needs another name
            delivery.end_session()
            delivery.greeted()
            highest = self.host.highest(journal.id)
            taken, token = highest or (None, None)
            delivery.welcomed(taken, token, self.now)
        assert not delivery.is_renamed

    @rule()
    def the_session_ends(self) -> None:
        self.to_host.clear()
        self.to_guest.clear()
        self.guest.delivery.end_session()

    @rule()
    def the_guest_speaks(self) -> None:
        self.now += 1_000.0
        batch = self.guest.delivery.next_batch(self.now)
        if batch is not None:
            self.to_host.append(batch)

    @precondition(lambda self: self.to_host)
    @rule(allowed=st.sampled_from([PLENTY, PLENTY, 1, 0]), is_lost=st.booleans())
    def the_host_hears(self, allowed: int, is_lost: bool) -> None:
        said = self.to_host.pop(0)
        if not is_lost:
            self.to_guest.append(self.host.take(said, allowed))

    @precondition(lambda self: self.to_guest)
    @rule(is_lost=st.booleans())
    def the_guest_hears(self, is_lost: bool) -> None:
        taken = self.to_guest.pop(0)
        if not is_lost:
            self.guest.delivery.confirm(taken, self.now)

    @rule()
    def a_snapshot_is_made(self) -> None:
        self.snapshots.append(copy.deepcopy(self.guest))

    @precondition(lambda self: self.snapshots)
    @rule(which=st.integers(0, 9))
    def the_guest_is_set_back(self, which: int) -> None:
        self.guest = copy.deepcopy(self.snapshots[which % len(self.snapshots)])
        on_their_way = {each.text for said in self.to_host for each in said.events}
        self.told_before |= set(self.guest.waiting) & (set(self.host.taken) | on_their_way)

    @rule(times=st.integers(1, 3))
    def some_are_told(self, times: int) -> None:
        for _ in range(times):
            self.something_happens(1)
            self.the_guest_speaks()
            if self.to_host:
                self.the_host_hears(PLENTY, is_lost=False)
            if self.to_guest:
                self.the_guest_hears(is_lost=False)

    @rule()
    def all_is_told(self) -> None:
        self.a_session_begins()
        for _ in range(20):
            self.the_guest_speaks()
            if not self.to_host:
                break
            self.the_host_hears(PLENTY, is_lost=False)
            self.the_guest_hears(is_lost=False)
        assert self.guest.waiting == []

    @invariant()
    def every_event_is_with_the_host_or_waits_or_is_counted_as_lost(self) -> None:
        missing = set(self.guest.happened) - set(self.guest.waiting) - set(self.host.taken)
        assert len(missing) <= self.guest.journal.lost.get(OVERFLOW, 0)

    @invariant()
    def none_is_told_twice_but_what_was_told_before_the_guest_was_set_back(self) -> None:
        twice = {text for text, times in Counter(self.host.taken).items() if times > 1}
        assert twice <= self.told_before


TestReverts = Reverts.TestCase
TestReverts.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_late_confirmation_of_what_both_pasts_share_does_not_hide_what_they_do_not() -> None:
    life = Reverts()
    life.something_happens(4)
    life.a_session_begins()
    for _ in range(2):  # each is told twice, and so confirmed twice
        life.the_guest_speaks()
        life.the_host_hears(PLENTY, is_lost=False)
    life.a_snapshot_is_made()
    life.the_guest_hears(is_lost=False)
    life.something_happens(1)
    life.the_guest_speaks()
    life.the_host_hears(PLENTY, is_lost=False)
    life.the_guest_is_set_back(0)
    life.something_happens(3)
    life.the_guest_hears(is_lost=False)
    life.the_guest_speaks()
    life.the_host_hears(PLENTY, is_lost=False)
    life.the_guest_hears(is_lost=True)
    life.the_guest_hears(is_lost=False)
    life.every_event_is_with_the_host_or_waits_or_is_counted_as_lost()
    life.all_is_told()
    life.every_event_is_with_the_host_or_waits_or_is_counted_as_lost()
    life.none_is_told_twice_but_what_was_told_before_the_guest_was_set_back()
