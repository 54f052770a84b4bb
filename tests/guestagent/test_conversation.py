"""What the agent says and when, with the clock in the test's hand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from guestagent import reporting
from protocol.backoff import Backoff
from protocol.messages import (
    Ack,
    EventsTaken,
    Goodbye,
    HelloRequest,
    Metrics,
    Notice,
    Ping,
    Refresh,
    Refusal,
    Report,
)
from tests.guestagent.talk import ASK, Talk

if TYPE_CHECKING:
    from protocol.connection import Message


def test_nothing_is_due_before_there_is_a_host() -> None:
    talk = Talk()
    assert talk.guest.wait_seconds(talk.now) == float("inf")
    assert talk.guest.due(talk.now) == ()
    assert talk.guest.farewell("stops") == ()


def test_a_host_is_greeted_at_once_and_then_with_growing_waits(talk: Talk) -> None:
    assert talk.kinds(62) == [(at, "Hello") for at in (0, 1, 3, 7, 15, 31, 61)]


def test_greetings_never_follow_each_other_closely() -> None:
    talk = Talk()
    talk.guest.greeting._backoff = Backoff(first_seconds=1, most_seconds=30, draw=lambda low, _: low)
    talk.guest.begin(talk.now)
    assert talk.kinds(0.5) == [(0, "Hello"), (0.2, "Hello"), (0.4, "Hello")]


def test_a_welcome_is_answered_with_a_report_and_then_one_every_interval(talk: Talk) -> None:
    talk.passes(0)
    talk.welcome(interval_seconds=4)
    assert talk.kinds(13) == [(0, "Report"), (4, "Report"), (8, "Report"), (12, "Report")]
    assert talk.guest.is_open


NOISE = b"\0\xffno frame begins like this\0"


@pytest.mark.parametrize(("asked", "kept"), [(0.1, reporting.MIN_REPORT_SECONDS), (1e6, reporting.MAX_REPORT_SECONDS)])
def test_the_hosts_interval_is_kept_within_reason(talk: Talk, asked: float, kept: float) -> None:
    talk.passes(0)
    talk.welcome(interval_seconds=asked)
    talk.passes(0)
    assert talk.guest.wait_seconds(talk.now) == kept


def test_metrics_are_kept_and_acknowledged_and_the_newest_counts(session: Talk) -> None:
    assert session.says(Metrics(host_cpus=4)) == [Ack(sequence=1)]
    session.passes(1)
    assert session.says(Metrics(host_cpus=8)) == [Ack(sequence=2)]
    assert session.guest.metrics == Metrics(host_cpus=8)
    assert session.guest.metrics_at == session.now


def test_a_host_that_falls_silent_is_greeted_again(session: Talk) -> None:
    assert session.kinds(32) == [(10, "Report"), (20, "Report"), (30, "Hello"), (31, "Hello")]
    assert not session.guest.is_open


def test_a_host_with_a_short_interval_may_be_silent_for_a_while(talk: Talk) -> None:
    talk.passes(0)
    talk.welcome(interval_seconds=1)
    said = talk.kinds(16)
    assert [at for at, kind in said if kind == "Hello"] == [15, 16]


def test_any_valid_word_of_the_host_keeps_the_session(session: Talk) -> None:
    for _ in range(5):
        assert "Hello" not in [kind for _, kind in session.kinds(20)]
        session.says(Metrics())
    assert session.guest.is_open


def test_noise_does_not_keep_the_session(session: Talk) -> None:
    for _ in range(3):
        session.passes(9.5)
        session.noise(NOISE)
    assert session.kinds(2) == [(1.5, "Hello")]


def test_a_host_that_asks_is_greeted_at_once(session: Talk) -> None:
    session.passes(5)
    session.hears(ASK)
    assert session.kinds(0.5) == [(0, "Hello")]
    session.welcome()
    assert session.guest.is_open


def test_a_host_that_asks_without_end_is_greeted_five_times_a_second(talk: Talk) -> None:
    talk.passes(0)
    greeted = 0
    for _ in range(100):
        talk.hears(ASK)
        greeted += len(talk.passes(0.01))
    assert greeted in (4, 5)


def test_a_host_that_asks_after_a_long_silence_gets_the_short_waits(talk: Talk) -> None:
    talk.passes(100)
    talk.hears(ASK)
    assert talk.kinds(3.5) == [(0, "Hello"), (1, "Hello"), (3, "Hello")]


def test_a_refusal_is_waited_out(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    talk.passes(0)
    for _ in range(3):
        assert talk.says(Refusal(nonce=talk.greetings, reason="not wanted")) == []
        assert talk.kinds(59) == []
        assert talk.kinds(1) == [(1, "Hello")]
    assert [record.getMessage() for record in caplog.records] == ["the host refuses this guest: not wanted"]


def test_a_host_that_refused_may_ask(talk: Talk) -> None:
    talk.passes(0)
    talk.says(Refusal(nonce=talk.greetings, reason="not yet"))
    talk.passes(5)
    talk.hears(ASK)
    assert talk.kinds(0) == [(0, "Hello")]


def test_a_welcome_in_a_version_unknown_here_is_no_session(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    talk.passes(0)
    talk.welcome(version=99)
    assert not talk.guest.is_open
    assert talk.kinds(59) == []
    assert "version 99" in caplog.text


def test_a_host_that_went_away_is_told_nothing_and_its_words_are_kept(session: Talk) -> None:
    session.says(Metrics(host_cpus=4))
    session.guest.end("no host")
    assert session.passes(3600) == []
    assert session.guest.metrics == Metrics(host_cpus=4)
    session.host.reset()
    session.guest.begin(session.now)
    assert session.kinds(0.5) == [(0, "Hello")]


def test_a_report_never_comes_between_greeting_and_welcome(session: Talk) -> None:
    session.passes(9)
    session.hears(ASK)
    assert session.kinds(0.9) == [(0, "Hello")]
    assert session.kinds(5) == [(0.1, "Hello"), (2.1, "Hello")]


def test_what_is_dropped_is_counted_and_told_to_the_host(session: Talk) -> None:
    session.noise(NOISE * 3)
    ((_, report),) = session.passes(10)
    assert report == Report(dropped_frames=3, events_lost=0)
    assert session.guest.counters["input_framing"] == 3


def test_a_flood_of_noise_is_logged_once_a_minute(session: Talk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    session.noise(NOISE * 1000)
    session.now += 61
    session.noise(NOISE)
    messages = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(messages) == 2
    assert "dropped: 1 pieces" in messages[0]
    assert "dropped: 1000 pieces" in messages[1]


def test_several_messages_in_one_read_are_all_taken(session: Talk) -> None:
    (first,), (second,) = session.host.send(Metrics(host_cpus=1)), session.host.send(ASK)
    assert session.noise(first + NOISE + second) == []  # the ack is of a session that is over
    assert session.guest.metrics == Metrics(host_cpus=1)
    assert session.kinds(0.5) == [(0.2, "Hello")]


def test_a_farewell_is_said_only_in_a_session(session: Talk) -> None:
    assert session.heard(session.guest.farewell("the agent stops")) == [Goodbye(reason="the agent stops")]
    assert session.guest.farewell("again") == ()


@pytest.mark.parametrize(
    "message", [Metrics(), Ping(), Refresh(), Notice(number=1, kind="test", severity="info", text="")]
)
def test_what_costs_the_host_credit_is_acknowledged(session: Talk, message: Message) -> None:
    session.passes(1)
    credit = session.host.credit
    assert session.says(message)[0] == Ack(sequence=1)
    assert session.host.credit == credit


def test_what_costs_no_credit_is_not_acknowledged(session: Talk) -> None:
    assert session.says(EventsTaken(journal=1, number=0)) == []


def test_one_acknowledgement_is_enough_for_all_that_came(session: Talk) -> None:
    for _ in range(3):
        session.hears(Ping())
    assert session.host.unacknowledged == 3
    assert session.spoken() == [Ack(sequence=3)]
    assert session.host.unacknowledged == 0


def test_the_host_may_have_a_few_messages_on_their_way(session: Talk) -> None:
    assert session.host.credit == 4


def test_the_acknowledgement_goes_before_everything_else(session: Talk) -> None:
    session.now += 10
    session.journal.write("something")
    session.hears(Ping())
    assert [type(message).__name__ for message in session.spoken()] == ["Ack", "Report", "Events"]


def test_nothing_of_a_session_that_is_over_is_said_in_the_next(session: Talk) -> None:
    session.hears(Ping())
    session.hears(ASK)
    session.passes(0.2)
    session.welcome()
    session.passes(1)
    assert session.says(Metrics()) == [Ack(sequence=1)]


def test_a_host_that_asks_gets_a_report_at_once(session: Talk) -> None:
    session.passes(5)
    assert [type(message) for message in session.says(Refresh())] == [Ack, Report]
    assert session.kinds(10) == [(10, "Report")]


def test_a_host_that_asks_without_end_gets_a_report_a_second(session: Talk) -> None:
    reports = []
    for _ in range(50):
        session.says(Refresh())
        reports += session.kinds(0.1)
    assert len(reports) in (4, 5)


@pytest.mark.parametrize("kind", ["moved", "resumed", "restored", "reverted"])
def test_after_a_break_in_the_guests_time_a_report_is_made_at_once(session: Talk, kind: str) -> None:
    session.passes(5)
    answers = session.says(Notice(number=1, kind=kind, severity="info", text=""))
    assert [type(message).__name__ for message in answers] == ["Ack", "NoticeAnswer", "Report"]


def test_reports_that_the_port_was_too_slow_for_are_left_out_and_counted(session: Talk) -> None:
    session.now += 35
    session.guest.greeting.heard(session.now, 10)
    assert [type(message) for message in session.spoken()] == [Report]
    assert session.guest.counters["reports_late"] == 2
    assert session.kinds(10) == [(10, "Report")]


def test_after_a_long_sleep_the_host_is_greeted_at_once(session: Talk) -> None:
    session.now += 86400
    assert session.kinds(0) == [(0, "Hello")]
    assert session.guest.counters["silences"] == 1


def test_a_host_that_welcomes_without_end_gets_a_report_a_second(session: Talk) -> None:
    reports = 0
    for _ in range(20):
        session.hears(HelloRequest(version_min=1, version_max=1))
        assert "Hello" in [kind for _, kind in session.kinds(0.2)]
        session.welcome()
        reports += len([kind for _, kind in session.kinds(0.05) if kind == "Report"])
    assert reports <= 5


def test_every_greeting_is_of_the_same_agent(session: Talk) -> None:
    session.hears(ASK)
    ((_, hello),) = session.passes(0.5)
    assert (hello.window, hello.journal) == (4, session.journal.id)  # type: ignore[union-attr]
