"""Reading a page only as far as it is asked about."""

import pytest

from bench.scraping import Page

PAGE = Page(
    b"""# HELP up Whether it is.
# TYPE up gauge
up 1
# TYPE up_since gauge
up_since{domain="up"} 5
age{domain="a",uuid="1"} 0.5
age{domain="b",uuid="2"} 1e-3
# EOF
"""
)


def test_samples_are_counted_and_comments_are_not() -> None:
    assert PAGE.samples == 4


def test_a_name_is_a_whole_name() -> None:
    assert PAGE.values("up") == {"": 1.0}


def test_the_one_sample_with_a_label_is_found() -> None:
    assert PAGE.value("age", 'domain="b"') == 0.001


@pytest.mark.parametrize("name", ["age", "nothing"])
def test_what_is_not_there_once_is_said_so(name: str) -> None:
    with pytest.raises(LookupError, match=name):
        PAGE.value(name)
