"""Waiting before trying again."""

from __future__ import annotations

from protocol.backoff import Backoff


def longest(low: float, high: float) -> float:
    assert low == 0
    return high


def test_waits_double_up_to_the_bound() -> None:
    backoff = Backoff(first_seconds=1, most_seconds=5, draw=longest)
    assert [backoff.wait_seconds() for _ in range(5)] == [1, 2, 4, 5, 5]


def test_success_brings_the_short_waits_back() -> None:
    backoff = Backoff(first_seconds=1, most_seconds=5, draw=longest)
    backoff.wait_seconds()
    backoff.wait_seconds()
    backoff.reset()
    assert backoff.wait_seconds() == 1


def test_a_wait_is_drawn_from_nothing_to_the_bound() -> None:
    waits = [Backoff(first_seconds=1, most_seconds=5).wait_seconds() for _ in range(50)]
    assert all(0 <= wait <= 1 for wait in waits)
    assert len(set(waits)) > 1
