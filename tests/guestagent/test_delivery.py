"""Events go in order, one batch at a time, until the host has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from guestagent.conversation import Conversation
from protocol.connection import Connection
from protocol.messages import Events, EventsTaken, Hello, Report, Role, Welcome
from tests.guestagent.talk import ASK, Talk

if TYPE_CHECKING:
    from protocol.connection import Message


def texts(said: list[Message]) -> list[str]:
    return [event.text for message in said if isinstance(message, Events) for event in message.events]


def numbers(said: list[Message]) -> list[int]:
    return [event.number for message in said if isinstance(message, Events) for event in message.events]


def taken(session: Talk, number: int) -> list[Message]:
    return session.says(EventsTaken(journal=session.journal.id, number=number))


def resume(session: Talk) -> None:
    session.host.reset()
    session.guest.begin(session.now)
    session.passes(0.5)
    session.welcome()


def greet_anew(session: Talk, **welcome: int) -> Hello:
    session.hears(ASK)
    ((_, hello),) = session.passes(0.5)
    assert isinstance(hello, Hello)
    session.welcome(**welcome)
    return hello


def test_an_event_goes_to_the_host_at_once(session: Talk) -> None:
    session.journal.write("first")
    assert texts(session.spoken()) == ["first"]


def test_events_wait_for_a_session(talk: Talk) -> None:
    talk.journal.write("early")
    ((_, hello),) = talk.passes(0)
    assert isinstance(hello, Hello)
    assert (hello.journal, hello.events_acknowledged, hello.events_written) == (1, 0, 1)
    talk.welcome(events_taken=0)
    assert texts(talk.spoken()) == ["early"]


def test_the_next_batch_waits_until_the_host_has_the_one_before(session: Talk) -> None:
    session.journal.write("first")
    assert texts(session.spoken()) == ["first"]
    session.journal.write("second")
    session.journal.write("third")
    assert texts(session.spoken()) == []
    assert texts(taken(session, 1)) == ["second", "third"]
    assert session.journal.acknowledged == 1


def test_what_the_host_has_is_forgotten_and_not_sent_again(session: Talk) -> None:
    session.journal.write("first")
    session.spoken()
    assert taken(session, 1) == []
    assert "Events" not in [kind for _, kind in session.kinds(12)]
    assert session.journal.unacknowledged(limit=1, max_bytes=1) == []


def test_a_batch_that_is_not_confirmed_is_sent_again_ever_more_seldom(session: Talk) -> None:
    session.journal.write("first")
    session.spoken()
    begun, said = session.now, []
    while session.now < begun + 400:
        now = session.now
        said += [now + at - begun for at, message in session.passes(10) if isinstance(message, Events)]
        session.guest.greeting.heard(session.now, 10)  # as if the host had said something else
    assert said == [10, 30, 70, 150, 270, 390]
    assert session.guest.counters["events_repeated"] == len(said)


def test_a_host_that_has_part_of_a_batch_gets_the_rest(session: Talk) -> None:
    for text in ("first", "second", "third"):
        session.journal.write(text)
    session.guest.delivery._sent_up_to = 0
    session.spoken()
    assert texts(taken(session, 1)) == ["second", "third"]


def test_a_new_session_begins_with_what_the_host_lacks(session: Talk) -> None:
    session.journal.write("first")
    session.journal.write("second")
    session.spoken()
    hello = greet_anew(session, events_taken=1)
    assert (hello.events_acknowledged, hello.events_written) == (0, 2)
    assert numbers(session.spoken()) == [2]
    assert session.journal.acknowledged == 1


def test_a_host_that_knows_nothing_of_the_journal_gets_all_of_it(session: Talk) -> None:
    session.journal.write("first")
    session.spoken()
    greet_anew(session)
    assert numbers(session.spoken()) == [1]


def test_a_batch_has_at_most_64_events(session: Talk) -> None:
    session.guest.end("no host")
    for _ in range(100):
        session.journal.write(characters=10)
    resume(session)
    assert numbers(session.spoken()) == list(range(1, 65))
    assert numbers(taken(session, 64)) == list(range(65, 101))


def test_a_batch_fits_a_frame(session: Talk) -> None:
    session.guest.end("no host")
    for _ in range(64):
        session.journal.write(characters=512)
    resume(session)
    assert numbers(session.spoken()) == list(range(1, 49))


def test_a_confirmation_of_what_was_never_sent_confirms_only_what_was(session: Talk) -> None:
    session.journal.write("first")
    session.spoken()
    taken(session, 1000)
    assert session.journal.acknowledged == 1
    session.journal.write("second")
    assert numbers(session.spoken()) == [2]


def test_a_confirmation_of_another_journal_is_of_no_meaning(session: Talk) -> None:
    session.journal.write("first")
    session.spoken()
    session.says(EventsTaken(journal=99, number=1))
    assert session.journal.acknowledged == 0


def test_a_journal_that_was_set_back_is_greeted_with_anew(session: Talk) -> None:
    session.journal.write("after the revert")
    session.passes(2)
    greet_anew(session, events_taken=50)
    said = [message for _, message in session.passes(0.5)]
    assert texts(said) == []  # under the old name they would seem known
    hello = said[-1]
    assert isinstance(hello, Hello)
    assert hello.journal == 2
    session.welcome(events_taken=0)
    (events,) = [message for message in session.spoken() if isinstance(message, Events)]
    assert (events.journal, texts([events])) == (2, ["after the revert"])
    assert session.guest.counters["journals_renewed"] == 1


def test_a_host_to_which_the_last_event_is_another_one_shows_that_the_guest_was_set_back(session: Talk) -> None:
    session.journal.write("after the revert")
    session.passes(2)
    greet_anew(session, events_taken=1, events_taken_token=99)
    said = [message for _, message in session.passes(0.5)]
    assert [message.journal for message in said if isinstance(message, Hello)] == [2]
    session.welcome()
    assert texts(session.spoken()) == ["after the revert"]


@pytest.mark.parametrize(("number", "token"), [(1, 99), (2, 2)])
def test_a_confirmation_of_another_event_than_was_sent_confirms_nothing(session: Talk, number: int, token: int) -> None:
    session.journal.write("after the revert")
    session.spoken()
    said = session.says(EventsTaken(journal=1, number=number, token=token))
    said += [message for _, message in session.passes(0.5)]
    assert [message.journal for message in said if isinstance(message, Hello)] == [2]
    session.welcome()
    assert texts(session.spoken()) == ["after the revert"]


def test_a_confirmation_of_the_event_that_was_sent_confirms_it(session: Talk) -> None:
    session.journal.write("first")
    session.spoken()
    session.says(EventsTaken(journal=1, number=1, token=1))
    assert session.journal.acknowledged == 1


def test_an_event_that_the_host_would_refuse_costs_only_itself(session: Talk) -> None:
    session.guest.end("no host")
    for kind in ("first", "Not A Kind", "third"):
        session.journal.write("text", kind=kind)
    resume(session)
    assert numbers(session.spoken()) == [1, 3]
    assert numbers(taken(session, 3)) == []
    assert session.journal.acknowledged == 3
    assert session.guest.counters["events_refused"] == 1


def test_the_journal_is_told_when_sessions_begin_and_end(session: Talk) -> None:
    assert session.journal.is_met
    session.guest.end("no host")
    assert not session.journal.is_met


def test_what_was_lost_is_in_the_report(session: Talk) -> None:
    session.journal._max_events = 1
    for _ in range(3):
        session.journal.write("too many")
    reports = [message for _, message in session.passes(10) if isinstance(message, Report)]
    assert reports[0].events_lost == 2


@pytest.mark.parametrize("events_taken", [None, 5])
def test_without_a_journal_there_are_no_events(events_taken: int | None) -> None:
    host = Connection(Role.HOST)
    guest = Conversation(
        hello=lambda: Hello(version_min=1, version_max=1, nonce=1, agent_version="0"),
        report=lambda _, lost: Report(events_lost=lost),
    )
    guest.begin(0)
    (frame,) = guest.due(0)
    (hello,) = (piece.message for piece in host.receive(frame))  # type: ignore[union-attr]
    assert isinstance(hello, Hello)
    assert (hello.journal, hello.events_written) == (None, None)
    welcome = Welcome(
        version=1, nonce=1, session=1, report_interval_seconds=10, capabilities=("events",), events_taken=events_taken
    )
    guest.receive(b"".join((*host.send(welcome), *host.send(EventsTaken(journal=1, number=5)))), 0)
    (frame,) = guest.due(0)
    assert next(iter(host.receive(frame))).message == Report()  # type: ignore[union-attr]
    assert guest.due(0) == ()
