"""Which of a guest's events are new: each number of a journal once, in order, and no more than a domain may send."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.history.taking import MAX_JOURNALS, MOST_SKIPPED, Allowance, Mark, Marks, sort_out
from protocol.messages import Event


def events(*numbers: int) -> list[Event]:
    return [Event(number=number, kind="a", severity="info", text="") for number in numbers]


def test_what_was_taken_before_is_a_duplicate() -> None:
    taken = sort_out(events(3, 4, 5), Mark(4), allowed=9)
    assert ([event.number for event in taken.new], taken.duplicates, taken.highest) == ([5], 2, Mark(5))


def test_the_same_number_twice_in_one_message_is_taken_once() -> None:
    assert sort_out(events(1, 1, 2, 1), None, allowed=9).duplicates == 2


def test_numbers_that_never_came_are_counted_unless_the_journal_is_new_to_this_host() -> None:
    assert sort_out(events(5, 8), Mark(2), allowed=9).skipped == 4
    assert sort_out(events(5, 8), None, allowed=9).skipped == 2


def test_a_gap_as_wide_as_numbers_go_does_not_spoil_the_counter_that_all_share() -> None:
    taken = sort_out(events(2**63 - 1), Mark(1), 10)
    assert (taken.highest, taken.skipped) == (Mark(2**63 - 1), MOST_SKIPPED)


def test_what_is_over_the_allowance_is_not_acknowledged() -> None:
    taken = sort_out(events(1, 2, 3, 4), None, allowed=2)
    assert (taken.highest, taken.held_back) == (Mark(2), 2)
    assert [event.number for event in sort_out(events(1, 2, 3, 4), taken.highest, allowed=9).new] == [3, 4]


def test_nothing_allowed_acknowledges_nothing() -> None:
    assert sort_out(events(7), None, allowed=0).highest == Mark(0)
    assert sort_out(events(7), Mark(6), allowed=0).highest == Mark(6)


def with_tokens(*numbers: int) -> list[Event]:
    return [replace(event, token=1000 + event.number) for event in events(*numbers)]


@pytest.mark.parametrize(
    ("told", "known", "reverted"),
    [
        (with_tokens(2, 3), Mark(2, 1002), 0),  # the same event
        (with_tokens(1, 2, 3), Mark(2, 7), 3),
        (with_tokens(3, 4), Mark(2, 7), 0),  # nothing is to be compared
        (events(1, 2, 3), Mark(2, 7), 0),  # an older guest, of which nobody can say it
        (with_tokens(1, 2, 3), Mark(2), 0),
    ],
)
def test_a_guest_that_was_set_back_is_known_by_the_last_event_that_was_taken(
    told: list[Event], known: Mark, reverted: int
) -> None:
    taken = sort_out(told, known, allowed=9)
    assert taken.reverted == reverted
    assert (taken.new == ()) == (reverted > 0)
    assert (taken.highest == known) == (reverted > 0)


@given(st.lists(st.tuples(st.lists(st.integers(1, 20), max_size=8), st.integers(0, 8)), max_size=10))
def test_whatever_a_guest_sends_each_number_is_taken_once_and_they_only_grow(
    messages: list[tuple[list[int], int]],
) -> None:
    known: Mark | None = None
    taken = list[int]()
    for numbers, allowed in messages:
        answer = sort_out(events(*numbers), known, allowed)
        known = answer.highest if answer.new else known
        taken += [event.number for event in answer.new]
        assert len(answer.new) + answer.duplicates + answer.held_back == len(numbers)
    assert taken == sorted(set(taken))


def test_of_a_domains_journals_the_last_written_to_are_known() -> None:
    marks = Marks()
    for journal in range(MAX_JOURNALS):
        assert marks.raise_to("u", journal, Mark(1)) == []
    marks.raise_to("u", 0, Mark(2))
    assert marks.raise_to("u", 99, Mark(1)) == [1]
    assert (marks.highest("u", 0), marks.highest("u", 1), marks.highest("v", 0)) == (Mark(2), None, None)


def test_a_mark_never_falls() -> None:
    marks = Marks()
    marks.raise_to("u", 1, Mark(5, 55))
    marks.raise_to("u", 1, Mark(3, 33))
    assert marks.highest("u", 1) == Mark(5, 55)


def test_marks_that_are_not_kept_are_forgotten() -> None:
    marks = Marks()
    for uuid, journal in (("u", 1), ("u", 2), ("v", 1)):
        marks.raise_to(uuid, journal, Mark(1))
    marks.keep({("u", 2)})
    assert marks.all() == [("u", 2, Mark(1))]


def test_each_domain_has_an_allowance_that_comes_back() -> None:
    allowance = Allowance(per_second=2, at_once=3)
    assert [allowance.take("u", 2, 0.0), allowance.take("u", 2, 0.0), allowance.take("v", 2, 0.0)] == [2, 1, 2]
    assert allowance.take("u", 9, 1.0) == 2
    assert allowance.take("u", 9, 0.5) == 0  # a clock that goes back gives nothing
    allowance.forget_full(100.0)
    assert allowance._of == {}
