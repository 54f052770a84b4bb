"""No event is lost and none is told twice, whatever ends the agent, the session or the host's memory of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guestagent.event import event
from guestagent.ring import OVERFLOW, Limits, Ring
from guestagent.shelf import Shelf

MEMORY = Path("/dev/shm")  # where thousands of transactions cost no disk its time

LIMITS = Limits(events=6, bytes=4096)
PLENTY = Limits()


def grown(ring: Ring, *texts: str, limits: Limits = PLENTY) -> Ring:
    for text in texts:
        ring = ring.append(event(1, "a", "info", text, ()), "boot", 0.0, limits)
    return ring


def texts(ring: Ring, after: int = 0, limit: int = 100, max_bytes: int = 1 << 20) -> list[str]:
    return [entry.event.text for entry in ring.unacknowledged(after, limit, max_bytes)]


def test_nothing_is_handed_out_before_a_host_is_met() -> None:
    ring = grown(Ring(), "one", "two")
    assert texts(ring) == []
    assert texts(ring.meet(None)) == ["one", "two"]


def test_numbers_grow_by_one_and_go_on_after_an_acknowledgement() -> None:
    ring = grown(grown(Ring(), "one", "two").meet(None).acknowledge(2), "three")
    assert [entry.event.number for entry in ring.entries] == [3]
    assert texts(ring) == ["three"]


def test_what_happens_while_others_are_on_their_way_waits_for_their_end() -> None:
    ring = grown(grown(Ring(), "one").meet(None), "two")
    assert texts(ring) == ["one"]
    assert texts(ring.acknowledge(1)) == ["two"]


def test_a_host_cannot_acknowledge_what_it_was_not_given() -> None:
    ring = grown(grown(Ring(), "one").meet(None), "two").acknowledge(99)
    assert (ring.acknowledged, texts(ring)) == (1, ["two"])


def test_an_acknowledgement_that_comes_again_changes_nothing() -> None:
    ring = grown(Ring(), "one", "two").meet(None).acknowledge(2)
    assert ring.acknowledge(1) is ring


def test_of_too_many_the_oldest_go_and_are_counted_and_leave_a_gap() -> None:
    ring = grown(Ring(), *"abcd", limits=Limits(events=2)).meet(None)
    assert [entry.event.number for entry in ring.entries] == [3, 4]
    assert ring.lost == {OVERFLOW: 2}


def test_of_too_much_the_oldest_go_but_never_the_newest() -> None:
    ring = grown(Ring(), "a" * 300, "b" * 300, limits=Limits(bytes=500)).meet(None)
    assert texts(ring) == ["b" * 300]
    assert texts(grown(ring, "c" * 300, limits=Limits(bytes=1)).acknowledge(2)) == ["c" * 300]


def test_a_batch_is_bounded_by_number_and_size_but_never_empty() -> None:
    ring = grown(Ring(), "a" * 100, "b" * 100, "c" * 100).meet(None)
    assert texts(ring, limit=2) == ["a" * 100, "b" * 100]
    assert texts(ring, after=1, max_bytes=300) == ["b" * 100]
    assert texts(ring, max_bytes=1) == ["a" * 100]


def test_a_host_that_has_more_than_it_was_given_makes_a_new_journal() -> None:
    before = grown(Ring(), "one", "two").meet(None)
    after = before.part().meet(7)
    assert after.id != before.id
    assert texts(after) == ["one", "two"]
    assert (after.acknowledged, after.last) == (0, 2)


def test_a_host_that_took_what_it_could_not_acknowledge_is_not_told_again() -> None:
    ring = grown(Ring(), "one", "two", "three").meet(None).part().meet(2)
    assert texts(ring) == ["three"]


def test_a_guest_reverted_while_it_ran_tells_what_happened_since_though_the_old_session_seems_to_be_there() -> None:
    snapshot = grown(Ring(), "one").meet(None).acknowledge(1)
    undone = grown(grown(snapshot, "undone").acknowledge(2), "undone too")
    assert (undone.announced, texts(undone)) == (3, ["undone too"])
    after = grown(snapshot, "two", "three").part().meet(taken=3)
    assert (after.id != snapshot.id, texts(after)) == (True, ["two", "three"])


def test_a_host_that_has_another_event_under_the_last_number_makes_a_new_journal() -> None:
    snapshot = grown(Ring(), "one").meet(None).acknowledge(1)
    undone = grown(snapshot, "undone")
    after = grown(snapshot, "two")
    token = undone.entries[-1].event.token
    for met in (after.part().meet(2, token), after.acknowledge(2, token)):
        assert (met.id != after.id, texts(met.meet(None))) == (True, ["two"])
    own = after.part().meet(2, after.entries[-1].event.token)
    assert (own.id, own.entries) == (after.id, ())


def test_what_is_here_no_more_is_not_compared() -> None:
    ring = grown(Ring(), "one", "two").meet(None).acknowledge(1)
    assert ring.part().meet(1, token=7).id == ring.id


class Lives(RuleBasedStateMachine):
    """A guest whose agent is killed, whose sessions break and whose disk is reverted, and a host that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.path = self.folder / "journal"
        self.happened: list[str] = []  # in the guest's present past
        self.number = 0
        self.host: dict[int, int] = {}  # of each journal the highest taken
        self.taken: list[str] = []
        self.is_reverted = False
        self.overflowed: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.shelf = Shelf(self.path)
        self.ring = self.shelf.load() or Ring()

    def change(self, ring: Ring) -> None:
        if ring.mark != self.ring.mark:
            self.shelf.save(self.ring, ring)
        self.ring = ring

    @rule(count=st.integers(1, 4))
    def something_happens(self, count: int) -> None:
        self.happen(count)

    def happen(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.happened.append(f"event {self.number}")
            happened = event(1, "a", "info", self.happened[-1], ())
            ring = self.ring.append(happened, "boot", 0.0, LIMITS)
            kept = {entry.event.text for entry in ring.entries}
            dropped = [entry.event.text for entry in self.ring.entries if entry.event.text not in kept]
            assert ring.lost.get(OVERFLOW, 0) == self.ring.lost.get(OVERFLOW, 0) + len(dropped)
            self.overflowed.update(dropped)
            self.change(ring)

    @rule()
    def a_session_begins(self) -> None:
        self.change(self.ring.part().meet(self.host.get(self.ring.id)))

    @rule()
    def the_session_ends(self) -> None:
        self.change(self.ring.part())

    @precondition(lambda self: self.ring.is_met)
    @rule(limit=st.integers(1, 3), is_acknowledged=st.booleans())
    def some_are_sent(self, limit: int, is_acknowledged: bool) -> None:
        events = [entry.event for entry in self.ring.unacknowledged(0, limit, 1 << 20)]
        for each in events:
            if each.number > self.host.get(self.ring.id, 0):
                self.host[self.ring.id] = each.number
                self.taken.append(each.text)
        if events and is_acknowledged:
            self.change(self.ring.acknowledge(self.host[self.ring.id]))

    @rule()
    def the_agent_is_killed(self) -> None:
        shutil.copy(self.path, self.folder / "left")
        shutil.copy(self.folder / "journal-wal", self.folder / "left-wal")
        self.shelf.close()  # this process keeps the lock otherwise; what it writes meanwhile is thrown away
        (self.folder / "left").replace(self.path)
        (self.folder / "left-wal").replace(self.folder / "journal-wal")
        self.begin()

    @rule(before=st.integers(0, 2), undone=st.integers(1, 3), is_told=st.booleans())
    def the_guest_is_reverted(self, before: int, undone: int, is_told: bool) -> None:
        """To a snapshot after which something happened that the host may have been told."""
        self.happen(before)
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.path}{suffix}", f"{self.path}-snapshot{suffix}")
        past = list(self.happened)
        if is_told:
            self.a_session_begins()
        self.happen(undone)
        while is_told and self.ring.unacknowledged(0, 9, 1 << 20):
            self.some_are_sent(limit=9, is_acknowledged=True)
        self.shelf.close()
        for suffix in ("", "-wal"):
            Path(f"{self.path}-snapshot{suffix}").replace(f"{self.path}{suffix}")
        self.happened = past
        self.is_reverted = True
        self.begin()

    @invariant()
    def every_event_is_with_the_host_or_waits_or_is_counted_as_lost(self) -> None:
        waiting = {entry.event.text for entry in self.ring.entries}
        assert set(self.happened) <= waiting | set(self.taken) | self.overflowed

    @invariant()
    def none_is_told_twice_unless_the_guest_was_reverted(self) -> None:
        assert self.is_reverted or len(set(self.taken)) == len(self.taken)

    def teardown(self) -> None:
        if hasattr(self, "shelf"):
            self.shelf.close()
        shutil.rmtree(self.folder)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
