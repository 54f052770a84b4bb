"""The rules of a session, seen from both ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol import framing
from protocol.connection import Connection, Dropped, Received, State, agree
from protocol.errors import DropReason
from protocol.messages import (
    PROTOCOL_VERSION,
    Chunk,
    Event,
    Events,
    EventsTaken,
    Goodbye,
    HelloRequest,
    Metrics,
    Notice,
    NoticeAnswer,
    Ping,
    Refresh,
    Refusal,
    Report,
    Role,
)
from tests.protocol.ends import drops, ends, greet, greeted, hello, messages, pieces, refuses_to_send, welcome
from tests.support import hostile_bytes

if TYPE_CHECKING:
    from protocol.connection import Message

ASK = HelloRequest(version_min=1, version_max=1)


def test_a_session_goes_from_greeting_to_goodbye() -> None:
    host, guest = ends()
    assert messages(guest, host.send(ASK)) == [ASK]
    greet(host, guest, nonce=3, session=9)
    assert host.session == guest.session == 9
    assert messages(host, guest.send(Report(cpus=2))) == [Report(cpus=2)]
    assert messages(guest, host.send(Metrics(host_cpus=4))) == [Metrics(host_cpus=4)]
    assert messages(host, guest.send(Goodbye(reason="stops"))) == [Goodbye(reason="stops")]
    assert host.state is guest.state is State.SILENT
    assert host.session == guest.session == 0


EVENTS = Events(journal=3, events=(Event(number=1, kind="disk.full", severity="critical", text="/ is full"),))
NOTICE = Notice(number=5, kind="moved", severity="info", text="another host")


def test_events_notices_and_questions_have_their_place_in_a_session() -> None:
    host, guest = greeted(window=8)
    assert messages(host, guest.send(EVENTS)) == [EVENTS]
    for said in (EventsTaken(journal=3, number=1), Ping(), Refresh(), NOTICE):
        assert messages(guest, host.send(said)) == [said]
    assert messages(host, guest.send(NoticeAnswer(number=5, status="done"))) == [NoticeAnswer(number=5, status="done")]


def test_events_may_be_said_again_and_are_heard_again() -> None:
    host, guest = greeted()
    assert messages(host, guest.send(EVENTS) + guest.send(EVENTS)) == [EVENTS, EVENTS]
    greet(host, guest, nonce=2, session=8)
    assert messages(host, guest.send(EVENTS)) == [EVENTS]


def test_a_message_split_into_single_bytes_arrives_whole() -> None:
    host, guest = greeted()
    (encoded,) = guest.send(Report(cpus=2))
    assert [piece for byte in encoded for piece in host.receive(bytes([byte]))] == [Received(Report(cpus=2), 1)]


def test_a_frame_that_has_begun_and_not_ended_can_be_seen() -> None:
    host, guest = greeted()
    (encoded,) = guest.send(Report(cpus=2))
    assert list(host.receive(encoded[:5])) == []
    assert host.is_within_message
    assert messages(host, [encoded[5:]]) == [Report(cpus=2)]
    assert not host.is_within_message


def test_a_guest_that_restarts_may_greet_again() -> None:
    host, guest = greeted()
    guest.send(Report(cpus=1))
    guest = Connection(Role.GUEST)
    greet(host, guest, nonce=2, session=8)
    assert messages(host, guest.send(Report(cpus=2))) == [Report(cpus=2)]


def test_a_host_that_restarts_asks_and_is_greeted() -> None:
    _, guest = greeted()
    host = Connection(Role.HOST)
    assert messages(guest, host.send(ASK)) == [ASK]
    assert guest.state is State.SILENT
    greet(host, guest, nonce=2, session=8)


def test_a_new_session_counts_from_the_beginning_and_grants_credit_anew() -> None:
    host, guest = greeted()
    for _ in range(3):
        messages(host, guest.send(Report()))
    messages(guest, host.send(Metrics()))
    assert host.credit == 0
    greet(host, guest, nonce=2, session=8)
    assert pieces(host, guest.send(Report())) == [Received(Report(), 1)]
    assert pieces(guest, host.send(Metrics())) == [Received(Metrics(), 1)]


def test_a_frame_of_an_old_session_is_dropped() -> None:
    host, guest = greeted()
    late = guest.send(Report(cpus=1))
    greet(host, guest, nonce=2, session=8)
    assert drops(host, late) == [DropReason.SESSION]


def test_a_frame_of_a_session_with_the_same_number_is_damaged() -> None:
    """Clones of one snapshot may be told the same session number by different hosts; their hellos differ."""
    host, _ = greeted(nonce=1, session=7)
    _, clone = greeted(nonce=2, session=7)
    assert drops(host, clone.send(Report(cpus=1))) == [DropReason.CHECKSUM]


def test_two_clones_of_an_open_session_are_each_unheard_by_a_host_that_did_not_greet_them() -> None:
    _, guest = greeted(nonce=1, session=7)
    report = guest.send(Report(cpus=1))
    other, _ = greeted(nonce=1, session=8)
    for host in (Connection(Role.HOST), other):
        assert drops(host, report) == [DropReason.SESSION]


def test_a_frame_whose_session_number_was_changed_on_the_way_is_dropped() -> None:
    host, guest = greeted(nonce=1, session=7)
    frame = hostile_bytes.frame(0x10, b"\x90", session=7, sequence=1, seed=host._seed ^ 1)
    assert drops(host, [frame]) == [DropReason.CHECKSUM]
    assert drops(host, [hostile_bytes.frame(0x10, b"\x90", session=7, sequence=1)]) == [DropReason.CHECKSUM]
    assert messages(host, guest.send(Report())) == [Report()]


def test_a_greeting_within_a_session_is_dropped() -> None:
    host, guest = greeted()
    body = b"\x94\x01\x01\x07\xa1a"
    assert drops(host, [hostile_bytes.forged(guest, 0x02, body)]) == [DropReason.SESSION]
    assert messages(host, [hostile_bytes.frame(0x02, body)])


def test_a_frame_outside_any_session_is_dropped() -> None:
    _, guest = greeted()
    assert drops(Connection(Role.HOST), guest.send(Report(cpus=1))) == [DropReason.SESSION]
    forged = hostile_bytes.frame(0x10, b"\x90", sequence=1)
    assert drops(Connection(Role.HOST), [forged]) == [DropReason.SESSION]


def test_a_frame_that_comes_twice_or_late_counts_once() -> None:
    host, guest = greeted()
    first, second = guest.send(Report(cpus=1)), guest.send(Report(cpus=2))
    assert messages(host, second) == [Report(cpus=2)]
    assert drops(host, second + first) == [DropReason.SEQUENCE, DropReason.SEQUENCE]


def test_a_frame_that_was_lost_does_not_hold_up_the_next() -> None:
    host, guest = greeted()
    guest.send(Report(cpus=1))
    assert pieces(host, guest.send(Report(cpus=2))) == [Received(Report(cpus=2), 2)]


@pytest.mark.parametrize("answer", [welcome(1), Refusal(nonce=1, reason="no")])
def test_an_answer_to_an_older_hello_is_dropped(answer: Message) -> None:
    host, guest = ends()
    messages(host, guest.send(hello(1)))
    late = host.send(answer)
    guest.send(hello(2))
    assert drops(guest, late) == [DropReason.SESSION]
    assert guest.state is State.GREETING


def test_a_second_welcome_is_dropped() -> None:
    host, guest = ends()
    messages(host, guest.send(hello(1)))
    answer = host.send(welcome(1))
    messages(guest, answer)
    assert drops(guest, answer) == [DropReason.STATE]


def test_a_refusal_ends_the_greeting() -> None:
    host, guest = ends()
    messages(host, guest.send(hello(5)))
    refusal = Refusal(nonce=5, reason="not wanted")
    assert messages(guest, host.send(refusal)) == [refusal]
    assert host.state is guest.state is State.SILENT


def test_a_message_that_only_this_side_sends_is_dropped_when_it_comes_back() -> None:
    host, guest = greeted()
    assert drops(guest, guest.send(Report())) == [DropReason.SENDER]
    echo = guest.send(hello(2))
    assert drops(guest, echo) == [DropReason.SENDER]
    assert drops(host, host.send(ASK)) == [DropReason.SENDER]


def test_a_message_in_the_wrong_state_is_dropped() -> None:
    host, guest = ends()
    messages(host, guest.send(hello()))
    assert drops(Connection(Role.GUEST), host.send(welcome())) == [DropReason.STATE]


@pytest.mark.parametrize(
    ("message_type", "body", "reason"),
    [
        (0x7F, b"\x90", DropReason.TYPE),
        (0x02, b"\x90", DropReason.SCHEMA),
        (0x02, b"\xc1", DropReason.SCHEMA),
    ],
)
def test_an_unknown_type_or_a_wrong_body_is_dropped(message_type: int, body: bytes, reason: DropReason) -> None:
    assert drops(Connection(Role.HOST), [hostile_bytes.frame(message_type, body)]) == [reason]


def test_noise_is_dropped_and_the_next_message_is_read() -> None:
    host, guest = greeted()
    noise = b"\0noise\0" + b"x" * framing.MAX_FRAME_BYTES
    first, second, received = pieces(host, (noise, *guest.send(Report(cpus=2))))
    assert isinstance(first, Dropped)
    assert first.reason is DropReason.FRAMING
    assert isinstance(second, Dropped)
    assert second.reason is DropReason.OVERSIZE
    assert received == Received(Report(cpus=2), 1)


def test_a_broken_body_does_not_use_up_its_number() -> None:
    host, guest = greeted()
    assert drops(host, [hostile_bytes.forged(guest, 0x10, b"\xc1")]) == [DropReason.SCHEMA]
    assert messages(host, guest.send(Report(cpus=2))) == [Report(cpus=2)]


def test_what_this_side_may_not_send_is_our_bug_and_changes_nothing() -> None:
    host, guest = ends()
    for end, message in ((guest, Report()), (guest, welcome()), (host, hello()), (host, welcome()), (host, Ping())):
        refuses_to_send(end, message)
    host, guest = greeted()
    refuses_to_send(guest, Metrics())
    refuses_to_send(host, Report())
    refuses_to_send(host, welcome())
    refuses_to_send(guest, Report(cpus=2**64))


@pytest.mark.parametrize("role", Role)
def test_chunks_are_made_here_and_nowhere_else(role: Role) -> None:
    host, guest = greeted(window=2)
    end = host if role is Role.HOST else guest
    refuses_to_send(end, Chunk(kind=0x10, index=0, of=2, data=b""))  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [welcome(2), Refusal(nonce=2, reason="no")])
def test_an_answer_to_a_hello_that_was_not_the_last_is_our_bug(answer: Message) -> None:
    host, guest = ends()
    messages(host, guest.send(hello(1)))
    refuses_to_send(host, answer)


def test_a_session_whose_numbers_are_used_up_ends_in_a_new_greeting() -> None:
    host, guest = greeted()
    guest._sent = 0xFFFF_FFFF
    refuses_to_send(guest, Report())
    greet(host, guest, nonce=2, session=8)
    assert messages(host, guest.send(Report(cpus=2))) == [Report(cpus=2)]


def test_a_reset_forgets_the_session_and_the_half_read_frame() -> None:
    host, guest = greeted()
    (encoded,) = guest.send(Report())
    assert list(host.receive(encoded[:5])) == []
    host.reset()
    assert host.state is State.SILENT
    assert (host.session, host.credit, host.is_within_message) == (0, 0, False)


@pytest.mark.parametrize(
    ("low", "high", "agreed"),
    [(1, 1, 1), (0, 9, PROTOCOL_VERSION), (2, 9, None), (0, 0, None), (9, 1, None)],
)
def test_both_ends_agree_on_the_newest_version_that_both_speak(low: int, high: int, agreed: int | None) -> None:
    assert agree(hello(version_min=low, version_max=high)) == agreed
