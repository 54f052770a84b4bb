"""What the agent says and when, with the clock in the test's hand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from guestagent import conversation
from guestagent.conversation import Conversation
from protocol.backoff import Backoff
from protocol.connection import Connection, Received
from protocol.messages import Ack, Goodbye, Hello, HelloRequest, Metrics, Refusal, Report, Role, Welcome

if TYPE_CHECKING:
    from protocol.connection import Message

ASK = HelloRequest(version_min=1, version_max=1)


class Talk:
    """A conversation, the host it is with, and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.greetings = 0
        self.host = Connection(Role.HOST)
        backoff = Backoff(first_seconds=1, most_seconds=30, draw=lambda _, high: high)
        self.guest = Conversation(hello=self._hello, report=lambda drops: Report(dropped_frames=drops), backoff=backoff)

    def _hello(self) -> Hello:
        self.greetings += 1
        return Hello(version_min=1, version_max=1, nonce=self.greetings, agent_version="0")

    def passes(self, seconds: float) -> list[tuple[float, Message]]:
        """What the guest says in that time, and how long after its start."""
        start, said = self.now, []
        while (wait := self.guest.wait_seconds(self.now)) <= start + seconds - self.now:
            self.now += wait
            said += [(self.now - start, message) for message in self.heard(self.guest.due(self.now))]
        self.now = start + seconds
        return said

    def kinds(self, seconds: float) -> list[tuple[float, str]]:
        return [(round(at, 6), type(message).__name__) for at, message in self.passes(seconds)]

    def says(self, message: Message) -> list[Message]:
        """What the guest answers to the host's message."""
        return self.noise(self.host.send(message))

    def noise(self, data: bytes) -> list[Message]:
        return self.heard(self.guest.receive(data, self.now))

    def heard(self, frames: list[bytes]) -> list[Message]:
        pieces = [piece for frame in frames for piece in self.host.receive(frame)]
        return [piece.message for piece in pieces if isinstance(piece, Received)]

    def welcome(self, *, interval_seconds: float = 10, version: int = 1) -> None:
        answers = self.says(
            Welcome(version=version, nonce=self.greetings, session=7, report_interval_seconds=interval_seconds)
        )
        assert answers == []


@pytest.fixture
def talk() -> Talk:
    """The host is there and has not been greeted yet."""
    talk = Talk()
    talk.guest.begin(talk.now)
    return talk


@pytest.fixture
def session(talk: Talk) -> Talk:
    """A session with a report every ten seconds, the first one made."""
    talk.passes(0)
    talk.welcome()
    assert talk.kinds(0) == [(0, "Report")]
    return talk


def test_nothing_is_due_before_there_is_a_host() -> None:
    talk = Talk()
    assert talk.guest.wait_seconds(talk.now) == float("inf")
    assert talk.guest.due(talk.now) == []
    assert talk.guest.farewell("stops") == []


def test_a_host_is_greeted_at_once_and_then_with_growing_waits(talk: Talk) -> None:
    assert talk.kinds(62) == [(at, "Hello") for at in (0, 1, 3, 7, 15, 31, 61)]


def test_greetings_never_follow_each_other_closely() -> None:
    talk = Talk()
    talk.guest._backoff = Backoff(first_seconds=1, most_seconds=30, draw=lambda low, _: low)
    talk.guest.begin(talk.now)
    assert talk.kinds(0.5) == [(0, "Hello"), (0.2, "Hello"), (0.4, "Hello")]


def test_a_welcome_is_answered_with_a_report_and_then_one_every_interval(talk: Talk) -> None:
    talk.passes(0)
    talk.welcome(interval_seconds=4)
    assert talk.kinds(13) == [(0, "Report"), (4, "Report"), (8, "Report"), (12, "Report")]
    assert talk.guest.is_open


@pytest.mark.parametrize(
    ("asked", "kept"), [(0.1, conversation.MIN_REPORT_SECONDS), (1e6, conversation.MAX_REPORT_SECONDS)]
)
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
        session.noise(b"\0noise\0")
    assert session.kinds(2) == [(1.5, "Hello")]


def test_a_host_that_asks_is_greeted_at_once(session: Talk) -> None:
    session.passes(5)
    assert session.says(ASK) == []
    assert session.kinds(0.5) == [(0, "Hello")]
    session.welcome()
    assert session.guest.is_open


def test_a_host_that_asks_without_end_is_greeted_five_times_a_second(talk: Talk) -> None:
    talk.passes(0)
    greeted = 0
    for _ in range(100):
        talk.says(ASK)
        greeted += len(talk.passes(0.01))
    assert greeted in (4, 5)


def test_a_host_that_asks_after_a_long_silence_gets_the_short_waits(talk: Talk) -> None:
    talk.passes(100)
    talk.says(ASK)
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
    talk.says(ASK)
    assert talk.kinds(0) == [(0, "Hello")]


def test_a_welcome_in_a_version_unknown_here_is_no_session(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    talk.passes(0)
    talk.welcome(version=99)
    assert not talk.guest.is_open
    assert talk.kinds(59) == []
    assert "version 99" in caplog.text


def test_a_host_that_went_away_is_told_nothing_and_its_words_are_kept(session: Talk) -> None:
    session.says(Metrics(host_cpus=4))
    session.guest.end()
    assert session.passes(3600) == []
    assert session.guest.metrics == Metrics(host_cpus=4)
    session.host.reset()
    session.guest.begin(session.now)
    assert session.kinds(0.5) == [(0, "Hello")]


def test_a_report_never_comes_between_greeting_and_welcome(session: Talk) -> None:
    session.passes(9)
    session.says(ASK)
    assert session.kinds(0.9) == [(0, "Hello")]
    assert session.kinds(5) == [(0.1, "Hello"), (2.1, "Hello")]


def test_what_is_dropped_is_counted_and_told_to_the_host(session: Talk) -> None:
    session.noise(b"\0noise\0" * 3)
    ((_, report),) = session.passes(10)
    assert report == Report(dropped_frames=3)
    assert sum(session.guest.drops.values()) == 3


def test_a_flood_of_noise_is_logged_once_a_minute(session: Talk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    session.noise(b"\0noise\0" * 1000)
    session.now += 61
    session.noise(b"\0noise\0")
    messages = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(messages) == 2
    assert "dropped: 1 pieces" in messages[0]
    assert "dropped: 1000 pieces" in messages[1]


def test_several_messages_in_one_read_are_all_taken(session: Talk) -> None:
    first = session.host.send(Metrics(host_cpus=1))
    assert session.noise(first + b"\0noise\0" + session.host.send(ASK)) == []  # the ack is of a session that is over
    assert session.guest.metrics == Metrics(host_cpus=1)
    assert session.kinds(0.5) == [(0.2, "Hello")]


def test_a_farewell_is_said_only_in_a_session(session: Talk) -> None:
    assert session.heard(session.guest.farewell("the agent stops")) == [Goodbye(reason="the agent stops")]
    assert session.guest.farewell("again") == []
