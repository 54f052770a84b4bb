"""What a guest may cost, with a clock that a test sets."""

import typing
from pathlib import Path

import pytest

from hostd.guests import budget
from hostd.guests.budget import Budget, Fault
from hostd.metrics.guest import FAULT_KINDS
from protocol.errors import DropReason


def spend(its: Budget, now: float, **cost: float) -> float:
    known: dict[str, typing.Any] = {"bytes_": 0, "frames": 0, "decoding_seconds": 0.0, **cost}
    return its.read(now, **known)


def flood(its: Budget, *, now: float, seconds: float) -> float:
    """More than it may have, whenever it is read; when the last wait is over."""
    until = now + seconds
    while now < until:
        wait = spend(its, now, bytes_=budget.BYTES_PER_SECOND)
        now += min(max(wait, 0.01), 2.0)
    return now


@pytest.mark.parametrize(
    ("what", "reserve", "rate"),
    [
        ("bytes_", budget.BYTES_RESERVE, budget.BYTES_PER_SECOND),
        ("frames", budget.FRAMES_RESERVE, budget.FRAMES_PER_SECOND),
        ("decoding_seconds", budget.DECODING_RESERVE_SECONDS, budget.DECODING_SECONDS_PER_SECOND),
    ],
)
def test_who_spends_more_than_the_reserve_waits_until_the_debt_is_paid(what: str, reserve: float, rate: float) -> None:
    its = Budget()
    assert spend(its, 0.0, **{what: reserve}) == 0.0
    assert spend(its, 0.0, **{what: rate}) == pytest.approx(1.0)
    assert spend(its, 1.1) == 0.0
    assert its.fault is None


def test_who_is_in_debt_for_long_belongs_in_quarantine() -> None:
    its = Budget()
    now = flood(its, now=0.0, seconds=budget.RESTS_RESERVE_SECONDS)
    assert its.fault is None
    flood(its, now=now, seconds=budget.RESTS_RESERVE_SECONDS)
    assert its.fault is Fault.FLOOD


def test_a_flood_with_a_pause_now_and_then_is_a_flood() -> None:
    its, now = Budget(), 0.0
    for _ in range(10):
        now = flood(its, now=now, seconds=5.0) + 1.5
    assert its.fault is Fault.FLOOD


def test_a_debt_that_is_long_is_paid_in_several_rests() -> None:
    its = Budget()
    assert spend(its, 0.0, decoding_seconds=60.0) == budget.MOST_REST_SECONDS
    assert spend(its, budget.MOST_REST_SECONDS) == budget.MOST_REST_SECONDS


def test_a_burst_now_and_then_is_no_fault() -> None:
    its = Budget()
    for minute in range(60):
        spend(its, 60.0 * minute, bytes_=int(1.5 * budget.BYTES_RESERVE))
        assert spend(its, 60.0 * minute + 30.0, bytes_=1000) == 0.0
    assert its.fault is None


def test_what_a_former_connection_left_behind_is_nobodys_mistake() -> None:
    its = Budget()
    for reason in budget.HONEST:
        its.mistook(0.0, {reason: 10_000})
    assert its.fault is None


@pytest.mark.parametrize("reason", [r for r in DropReason if r not in budget.HONEST])
def test_more_broken_pieces_than_noise_explains_are_a_fault(reason: DropReason) -> None:
    its = Budget()
    its.mistook(0.0, {reason: budget.MISTAKES_RESERVE})
    assert its.fault is None
    its.mistook(0.0, {reason: 1})
    assert its.fault is Fault.MISTAKES


def test_greeting_without_end_is_a_fault_and_greeting_now_and_then_is_not() -> None:
    its = Budget()
    for second in range(0, 3600, 3):
        its.greeted(float(second))
    assert its.fault is None
    for _ in range(budget.SESSIONS_RESERVE + 1):
        its.greeted(3600.0)
    assert its.fault is Fault.SESSIONS


def test_each_quarantine_is_longer_than_the_last_until_the_guest_has_been_good_for_long() -> None:
    its, now, waits = Budget(), 0.0, []
    for _ in range(8):
        its.mistook(now, {DropReason.FRAMING: 1000})
        assert its.fault is Fault.MISTAKES
        waits.append(its.quarantine(now))
        assert its.fault is None
        now += waits[-1] + 1.0
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600]
    assert its.quarantine(now + budget.GOOD_SECONDS) == 10


def test_after_a_quarantine_a_guest_may_greet_and_report() -> None:
    its = Budget()
    flood(its, now=0.0, seconds=60.0)
    for _ in range(100):
        its.greeted(60.0)
    now = 60.0 + its.quarantine(60.0)
    its.greeted(now)
    assert spend(its, now, bytes_=2000, frames=3) == 0.0
    assert its.fault is None


def test_every_fault_is_a_label_of_the_metric() -> None:
    assert {fault.value for fault in Fault} == set(FAULT_KINDS)


def test_the_page_for_operators_says_what_a_guest_may_cost() -> None:
    rows = [
        (budget.BYTES_PER_SECOND, budget.BYTES_RESERVE),
        (budget.FRAMES_PER_SECOND, budget.FRAMES_RESERVE),
        (budget.DECODING_SECONDS_PER_SECOND, budget.DECODING_RESERVE_SECONDS),
        (budget.MISTAKES_PER_SECOND, budget.MISTAKES_RESERVE),
        (budget.SESSIONS_PER_SECOND, budget.SESSIONS_RESERVE),
        (budget.RESTS_PER_SECOND, budget.RESTS_RESERVE_SECONDS),
    ]
    page = (Path(__file__).parents[3] / "docs/hostile-guests.md").read_text()
    table = page.partition("| what | rate")[2].partition("\n\n")[0].splitlines()[2:]
    told = [tuple(float(cell) for cell in line.split("|")[2:4]) for line in table]
    assert told == rows
    assert f"up to {budget.MOST_REST_SECONDS:g} s at a time" in page
    assert f"for {budget.QUARANTINE_FIRST_SECONDS:g} s, and each time for twice as long, up to" in page
    assert f"up to {budget.QUARANTINE_MOST_SECONDS:g} s, until it has been good for {budget.GOOD_SECONDS:g} s" in page
