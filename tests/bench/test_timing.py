"""Times by turns, and what many come to."""

import pytest

from bench.timing import alternately, percentile


def test_the_two_take_turns_in_beginning_after_one_call_of_each_that_does_not_count() -> None:
    calls: list[str] = []
    ours, theirs = alternately(3, lambda: calls.append("ours"), lambda: calls.append("theirs"))
    assert calls == ["ours", "theirs", "ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert (len(ours), len(theirs)) == (3, 3)


def test_three_take_turns_too() -> None:
    calls: list[str] = []
    seconds = alternately(2, *(lambda name=name: calls.append(name) for name in "abc"))
    assert "".join(calls) == "abcabccba"
    assert [len(one) for one in seconds] == [2, 2, 2]


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(99, 99.0), (100, 100.0), (50, 50.0), (0, 1.0)],
)
def test_a_percentile_is_a_value_that_was_measured(percent: float, expected: float) -> None:
    hundred = [float(value) for value in range(100, 0, -1)]
    assert percentile(hundred, percent) == expected


def test_a_percentile_of_few_is_the_worst_of_them() -> None:
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
