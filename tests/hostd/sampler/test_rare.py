"""What is asked for now and then: when, and how long the last answer stands."""

from dataclasses import replace

import pytest

from hostd.model.kvm import RareStats
from hostd.sampler.rare import Rare
from tests.support.numbers import RARE


@pytest.fixture
def rare() -> Rare:
    """Asked for each minute, in rounds of ten seconds."""
    return Rare(interval_seconds=60.0, slack_seconds=5.0)


def test_it_is_due_at_once_and_then_once_an_interval_a_little_early_being_early_enough(rare: Rare) -> None:
    asked = [now for now in range(1000, 1200, 10) if rare.is_due(now - 0.01 * (now % 20))]
    assert asked == [1000, 1060, 1120, 1180]


def test_in_between_the_last_answer_stands_as_the_same_object_and_for_three_intervals_at_most(rare: Rare) -> None:
    assert rare.known(None, 1000) is None
    assert rare.known(RARE, 1000) is RARE
    assert rare.known(None, 1010) is RARE
    assert rare.known(None, 1180) is RARE
    assert rare.known(None, 1181) is None


def test_an_answer_that_says_the_same_is_the_same_object(rare: Rare) -> None:
    rare.known(RARE, 1000)
    again = replace(RARE)
    assert rare.known(again, 1060) is RARE
    assert rare.known(None, 1061 + 120) is RARE
    assert rare.known(RareStats(), 1190) == RareStats()


def test_what_is_forgotten_is_due_at_once(rare: Rare) -> None:
    assert rare.is_due(1000)
    rare.known(RARE, 1000)
    rare.forget()
    assert rare.known(None, 1001) is None
    assert rare.is_due(1001)


def test_rounds_that_are_longer_than_the_interval_ask_each_time() -> None:
    rare = Rare(interval_seconds=1.0, slack_seconds=5.0)
    assert [rare.is_due(now) for now in (1000, 1010, 1020)] == [True] * 3
