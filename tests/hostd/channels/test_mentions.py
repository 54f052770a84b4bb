"""How often the log speaks of one guest."""

import logging

import pytest

from hostd import telemetry
from hostd.channels import mentions
from hostd.channels.mentions import Kind, Mentions

LOG = logging.getLogger("hostd.guests.session")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return said


def left_out() -> float:
    return telemetry.REGISTRY.get_sample_value("hostd_guest_log_lines_dropped_total") or 0.0


def test_a_guest_that_brings_about_the_same_or_ever_new_lines_fills_no_disk(caplog: pytest.LogCaptureFixture) -> None:
    its, before = Mentions("guest u"), left_out()
    for number in range(100):
        its.say(LOG, logging.WARNING, Kind.OPENING, f"reason {number}", 0.0)
    assert lines(caplog) == [f"guest u: reason {number}" for number in range(int(mentions.LINES_AT_ONCE))]
    its.say(LOG, logging.WARNING, Kind.OPENING, "again", 1.1 / mentions.LINES_PER_SECOND)
    assert lines(caplog) == ["guest u: again (95 such lines were left out)"]
    its.say(LOG, logging.WARNING, Kind.OPENING, "again", 2.2 / mentions.LINES_PER_SECOND)
    assert lines(caplog) == ["guest u: again"]
    assert left_out() == before + 95


def test_one_kind_of_line_leaves_the_others_theirs_and_one_guest_the_others(caplog: pytest.LogCaptureFixture) -> None:
    its = Mentions("u")
    for kind in Kind:
        for _ in range(100):
            its.say(LOG, logging.WARNING, kind, kind.value, 0.0)
    Mentions("v").say(LOG, logging.WARNING, Kind.DOWN, "down", 0.0)
    assert len(lines(caplog)) == len(Kind) * mentions.LINES_AT_ONCE + 1


def test_what_is_not_logged_at_this_level_is_not_counted_either(caplog: pytest.LogCaptureFixture) -> None:
    its, before = Mentions("u"), left_out()
    with caplog.at_level(logging.INFO, logger=LOG.name):
        for _ in range(100):
            its.say(LOG, logging.DEBUG, Kind.INPUT, "junk", 0.0)
    assert (lines(caplog), left_out()) == ([], before)
