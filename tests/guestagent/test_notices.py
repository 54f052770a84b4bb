"""What the host tells to this guest's attention is told once and answered whenever it is told."""

from __future__ import annotations

import dataclasses

import pytest

from guestagent.notices import MAX_KEPT, KeptNotice
from protocol.messages import Ack, Notice, NoticeAnswer
from tests.guestagent.talk import ASK, Talk

MOVED = Notice(number=7, kind="test.moved", severity="info", text="you are elsewhere", deadline_seconds=5.0)
SEEN = NoticeAnswer(number=7, status="seen")


@pytest.fixture
def told(session: Talk) -> list[KeptNotice]:
    """What a listener has heard."""
    told: list[KeptNotice] = []
    session.guest.notices.listeners.append(told.append)
    return told


def renew(session: Talk) -> None:
    session.hears(ASK)
    session.passes(0.5)
    session.welcome()


def test_a_notice_is_told_kept_and_answered(session: Talk, told: list[KeptNotice]) -> None:
    assert session.says(MOVED) == [Ack(sequence=1), SEEN]
    assert [kept.notice for kept in told] == [MOVED]
    assert session.guest.notices.kept == (told[0],)
    assert told[0].arrived_at == session.now


def test_a_notice_that_comes_twice_is_told_once_and_answered_twice(session: Talk, told: list[KeptNotice]) -> None:
    session.says(MOVED)
    assert session.says(dataclasses.replace(MOVED, deadline_seconds=2.0)) == [Ack(sequence=2), SEEN]
    assert len(told) == 1
    assert session.guest.counters["notices_repeated"] == 1


def test_another_hosts_notice_of_the_same_number_is_another_notice(session: Talk, told: list[KeptNotice]) -> None:
    session.says(MOVED)
    session.says(dataclasses.replace(MOVED, text="you are yet elsewhere"))
    assert len(told) == 2


def test_what_came_of_it_is_told_after_that_it_was_seen(session: Talk, told: list[KeptNotice]) -> None:
    session.hears(MOVED)
    session.guest.notices.finish(told[0], "failed", "a: exit status 1")
    failed = NoticeAnswer(number=7, status="failed", text="a: exit status 1")
    assert session.spoken() == [Ack(sequence=1), SEEN, failed]
    assert session.says(MOVED) == [Ack(sequence=2), SEEN, failed]


def test_what_came_of_it_waits_for_the_next_session(session: Talk, told: list[KeptNotice]) -> None:
    session.says(MOVED)
    session.guest.end("no host")
    session.guest.notices.finish(told[0], "done", None)
    assert session.guest.due(session.now) == ()
    session.guest.begin(session.now)
    session.host.reset()
    session.passes(0.5)
    session.welcome()
    assert NoticeAnswer(number=7, status="done") in session.spoken()


def test_that_it_was_seen_is_not_told_in_another_session(session: Talk) -> None:
    session.hears(MOVED)
    renew(session)
    assert SEEN not in session.spoken()


def test_only_the_newest_are_kept(session: Talk) -> None:
    for number in range(1, MAX_KEPT + 4):
        session.says(dataclasses.replace(MOVED, number=number))
    kept = session.guest.notices.kept
    assert [kept[0].notice.number, kept[-1].notice.number, len(kept)] == [4, MAX_KEPT + 3, MAX_KEPT]
    assert session.guest.counters["notices_forgotten"] == 3
