"""What may be spent over time: a reserve at once, a rate from then on, and never more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bucket import full


def test_a_reserve_fills_at_its_rate_and_no_further() -> None:
    bucket = full(10.0, 100.0)
    assert bucket.spend(0.0, 100.0) == 0.0
    assert bucket.spend(1.0, 20.0) == 1.0
    assert bucket.spend(2.0, 0.0) == 0.0
    assert bucket.spend(1000.0, 100.0) == 0.0
    assert bucket.spend(1000.0, 1.0) == pytest.approx(0.1)


def test_what_is_not_there_is_not_taken_and_nothing_is_owed() -> None:
    bucket = full(1.0, 2.0)
    assert [bucket.take(0.0, 2.0), bucket.take(0.5, 1.0), bucket.take(1.0, 1.0)] == [True, False, True]


def test_of_several_as_many_are_granted_as_there_is_enough_for() -> None:
    bucket = full(1.0, 5.0, now=100.0)
    assert [bucket.grant(100.0, 3), bucket.grant(100.0, 3), bucket.grant(101.0, 3)] == [3, 2, 1]


def test_a_clock_that_goes_back_fills_nothing_nor_does_it_when_it_comes_again() -> None:
    bucket = full(1.0, 5.0, now=100.0)
    assert bucket.grant(100.0, 5) == 5
    assert [bucket.grant(50.0, 1), bucket.grant(100.0, 1), bucket.grant(101.0, 1)] == [0, 0, 1]


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 20)), max_size=30))
def test_never_is_more_granted_than_the_reserve_and_what_has_come_since(asked: list[tuple[float, int]]) -> None:
    bucket, now, granted = full(2.0, 7.0), 0.0, 0
    for wait, wanted in asked:
        now += wait
        granted += bucket.grant(now, wanted)
        assert granted <= 7.0 + 2.0 * now + 1e-6
