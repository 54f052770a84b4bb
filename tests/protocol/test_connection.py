"""The rules of a session, seen from both ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol import framing
from protocol.connection import Connection, Dropped, Received, State, agree
from protocol.errors import DropReason, LocalProtocolError
from protocol.messages import (
    PROTOCOL_VERSION,
    Ack,
    Goodbye,
    Hello,
    HelloRequest,
    Metrics,
    Refusal,
    Report,
    Role,
    Welcome,
)

if TYPE_CHECKING:
    from protocol.connection import Message

ASK = HelloRequest(version_min=1, version_max=1)


def hello(nonce: int = 1, version_min: int = 1, version_max: int = 1) -> Hello:
    return Hello(version_min=version_min, version_max=version_max, nonce=nonce, agent_version="0")


def welcome(nonce: int = 1, session: int = 7) -> Welcome:
    return Welcome(version=1, nonce=nonce, session=session, report_interval_seconds=10)


def ends() -> tuple[Connection, Connection]:
    return Connection(Role.HOST), Connection(Role.GUEST)


def greeted(nonce: int = 1, session: int = 7) -> tuple[Connection, Connection]:
    """A host and a guest in a session."""
    host, guest = ends()
    greet(host, guest, nonce=nonce, session=session)
    return host, guest


def greet(host: Connection, guest: Connection, *, nonce: int, session: int) -> None:
    assert messages(host, guest.send(hello(nonce))) == [hello(nonce)]
    assert messages(guest, host.send(welcome(nonce, session))) == [welcome(nonce, session)]


def messages(end: Connection, data: bytes) -> list[Message]:
    pieces = list(end.receive(data))
    assert not [piece for piece in pieces if isinstance(piece, Dropped)]
    return [piece.message for piece in pieces if isinstance(piece, Received)]


def drops(end: Connection, data: bytes) -> list[DropReason]:
    """The reasons why everything in `data` was dropped, which must change nothing."""
    before = (end.state, end.session, end.credit)
    pieces = list(end.receive(data))
    assert (end.state, end.session, end.credit) == before
    return [piece.reason for piece in pieces if isinstance(piece, Dropped)]


def refuses_to_send(end: Connection, message: Message) -> None:
    before = (end.state, end.session, end.credit)
    with pytest.raises(LocalProtocolError):
        end.send(message)
    assert (end.state, end.session, end.credit) == before


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


def test_a_message_split_into_single_bytes_arrives_whole() -> None:
    host, guest = greeted()
    pieces = [piece for byte in guest.send(Report(cpus=2)) for piece in host.receive(bytes([byte]))]
    assert pieces == [Received(Report(cpus=2), 1)]


def test_a_frame_that_has_begun_and_not_ended_can_be_seen() -> None:
    host, guest = greeted()
    encoded = guest.send(Report(cpus=2))
    assert list(host.receive(encoded[:5])) == []
    assert host.is_within_frame
    assert messages(host, encoded[5:]) == [Report(cpus=2)]
    assert not host.is_within_frame


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
    assert list(host.receive(guest.send(Report()))) == [Received(Report(), 1)]
    assert list(guest.receive(host.send(Metrics()))) == [Received(Metrics(), 1)]


def test_a_frame_of_an_old_session_is_dropped() -> None:
    host, guest = greeted()
    late = guest.send(Report(cpus=1))
    greet(host, guest, nonce=2, session=8)
    assert drops(host, late) == [DropReason.SESSION]


def test_a_frame_outside_any_session_is_dropped() -> None:
    _, guest = greeted()
    assert drops(Connection(Role.HOST), guest.send(Report(cpus=1))) == [DropReason.SESSION]
    forged = framing.encode(framing.Frame(type=0x10, session=0, sequence=1, body=b"\x90"))
    assert drops(Connection(Role.HOST), forged) == [DropReason.SESSION]


def test_a_frame_that_comes_twice_or_late_counts_once() -> None:
    host, guest = greeted()
    first, second = guest.send(Report(cpus=1)), guest.send(Report(cpus=2))
    assert messages(host, second) == [Report(cpus=2)]
    assert drops(host, second + first) == [DropReason.SEQUENCE, DropReason.SEQUENCE]


def test_a_frame_that_was_lost_does_not_hold_up_the_next() -> None:
    host, guest = greeted()
    guest.send(Report(cpus=1))
    assert list(host.receive(guest.send(Report(cpus=2)))) == [Received(Report(cpus=2), 2)]


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


def test_metrics_wait_for_the_acknowledgement_of_the_last_ones() -> None:
    host, guest = greeted()
    (received,) = guest.receive(host.send(Metrics(host_cpus=1)))
    assert host.credit == 0
    refuses_to_send(host, Metrics(host_cpus=2))
    assert isinstance(received, Received)
    messages(host, guest.send(Ack(sequence=received.sequence)))
    assert host.credit == 1
    assert messages(guest, host.send(Metrics(host_cpus=2))) == [Metrics(host_cpus=2)]


def test_an_acknowledgement_of_anything_else_gives_no_credit() -> None:
    host, guest = greeted()
    messages(host, guest.send(Ack(sequence=1)))
    assert host.credit == 1
    messages(guest, host.send(Metrics()))
    messages(host, guest.send(Ack(sequence=99)))
    assert host.credit == 0


def test_an_acknowledgement_counts_once() -> None:
    host, guest = greeted()
    messages(guest, host.send(Metrics()))
    for _ in range(2):
        messages(host, guest.send(Ack(sequence=1)))
        assert host.credit == 1
    messages(guest, host.send(Metrics()))
    messages(host, guest.send(Ack(sequence=1)))
    assert host.credit == 0


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
    frame = framing.Frame(type=message_type, session=0, sequence=0, body=body)
    assert drops(Connection(Role.HOST), framing.encode(frame)) == [reason]


def test_noise_is_dropped_and_the_next_message_is_read() -> None:
    host, guest = greeted()
    noise = b"\0noise\0" + b"x" * framing.MAX_FRAME_BYTES
    first, second, received = host.receive(noise + guest.send(Report(cpus=2)))
    assert isinstance(first, Dropped)
    assert first.reason is DropReason.FRAMING
    assert isinstance(second, Dropped)
    assert second.reason is DropReason.OVERSIZE
    assert received == Received(Report(cpus=2), 1)


def test_a_broken_body_does_not_use_up_its_number() -> None:
    host, guest = greeted()
    bad = framing.Frame(type=0x10, session=host.session, sequence=1, body=b"\xc1")
    assert drops(host, framing.encode(bad)) == [DropReason.SCHEMA]
    assert messages(host, guest.send(Report(cpus=2))) == [Report(cpus=2)]


def test_what_this_side_may_not_send_is_our_bug_and_changes_nothing() -> None:
    host, guest = ends()
    refuses_to_send(guest, Report())
    refuses_to_send(guest, welcome())
    refuses_to_send(host, hello())
    refuses_to_send(host, welcome())
    host, guest = greeted()
    refuses_to_send(guest, Metrics())
    refuses_to_send(host, Report())
    refuses_to_send(host, welcome())


def test_a_message_too_long_for_a_frame_is_our_bug_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, guest = greeted()
    with monkeypatch.context() as patched:
        patched.setattr(framing, "MAX_FRAME_BYTES", 20)
        refuses_to_send(guest, Report(cpus=1))
    assert list(host.receive(guest.send(Report(cpus=2)))) == [Received(Report(cpus=2), 1)]


def test_a_session_whose_numbers_are_used_up_ends_in_a_new_greeting() -> None:
    host, guest = greeted()
    guest._sent = 0xFFFF_FFFF
    refuses_to_send(guest, Report())
    greet(host, guest, nonce=2, session=8)
    assert messages(host, guest.send(Report(cpus=2))) == [Report(cpus=2)]


def test_a_reset_forgets_the_session_and_the_half_read_frame() -> None:
    host, guest = greeted()
    list(host.receive(guest.send(Report())[:5]))
    host.reset()
    assert host.state is State.SILENT
    assert (host.session, host.credit, host.is_within_frame) == (0, 0, False)


@pytest.mark.parametrize(
    ("low", "high", "agreed"),
    [(1, 1, 1), (0, 9, PROTOCOL_VERSION), (2, 9, None), (0, 0, None), (9, 1, None)],
)
def test_both_ends_agree_on_the_newest_version_that_both_speak(low: int, high: int, agreed: int | None) -> None:
    assert agree(hello(version_min=low, version_max=high)) == agreed
