"""Who has to give way when there is too much: those who have most."""

from hypothesis import given
from hypothesis import strategies as st

from hostd.history.retention import fair_share


def test_who_has_little_keeps_it() -> None:
    assert fair_share([10, 1000, 500], 410) == 200


def test_nobody_has_to_give_way_if_there_is_room() -> None:
    assert fair_share([10, 20], 100) == 20
    assert fair_share([], 100) == 0


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(0, 10_000))
def test_all_together_have_at_most_what_there_is_and_no_less_than_need_be(sizes: list[int], most: int) -> None:
    share = fair_share(sizes, most)
    kept = sum(min(size, share) for size in sizes)
    assert kept <= most
    assert kept == sum(sizes) or most - kept < len(sizes)
