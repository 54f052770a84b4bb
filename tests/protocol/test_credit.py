"""What the guest grants, the host keeps to: so many messages on their way to it, and not one more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.messages import MAX_WINDOW, Ack, EventsTaken, Metrics, Notice, Ping, Refresh
from tests.protocol.ends import greet, greeted, hello, messages, refuses_to_send

NOTICE = Notice(number=1, kind="moved", severity="info", text="")
COSTLY = (Metrics(host_cpus=1), Ping(), Refresh(), NOTICE)


def test_metrics_wait_for_the_acknowledgement_of_the_last_ones() -> None:
    host, guest = greeted()
    messages(guest, host.send(Metrics(host_cpus=1)))
    assert (host.credit, host.unacknowledged) == (0, 1)
    refuses_to_send(host, Metrics(host_cpus=2))
    messages(host, guest.send(Ack(sequence=1)))
    assert (host.credit, host.unacknowledged) == (1, 0)
    assert messages(guest, host.send(Metrics(host_cpus=2))) == [Metrics(host_cpus=2)]


@pytest.mark.parametrize(
    ("granted", "credit"),
    [(None, 1), (1, 1), (3, 3), (MAX_WINDOW, MAX_WINDOW), (MAX_WINDOW + 1, MAX_WINDOW), (255, 16)],
)
def test_a_guest_grants_a_window_and_the_host_bounds_it(granted: int | None, credit: int) -> None:
    host, _ = greeted(window=granted)
    assert host.credit == credit
    for sent in range(credit):
        host.send(COSTLY[sent % len(COSTLY)])
    assert (host.credit, host.unacknowledged) == (0, credit)
    for message in COSTLY:
        refuses_to_send(host, message)


def test_what_costs_nothing_may_be_said_without_credit() -> None:
    host, guest = greeted()
    host.send(Ping())
    assert messages(guest, host.send(EventsTaken(journal=1, number=1))) == [EventsTaken(journal=1, number=1)]
    assert host.unacknowledged == 1


def test_an_acknowledgement_counts_for_all_before_it() -> None:
    host, guest = greeted(window=4)
    for _ in range(4):
        host.send(Ping())
    messages(host, guest.send(Ack(sequence=3)))
    assert (host.credit, host.unacknowledged) == (3, 1)
    messages(host, guest.send(Ack(sequence=4)))
    assert (host.credit, host.unacknowledged) == (4, 0)


def test_an_acknowledgement_of_what_cost_nothing_counts_for_what_was_before_it() -> None:
    host, guest = greeted(window=2)
    host.send(Ping())
    host.send(EventsTaken(journal=1, number=1))
    messages(host, guest.send(Ack(sequence=2)))
    assert host.unacknowledged == 0


def test_an_acknowledgement_of_what_was_never_sent_gives_no_credit() -> None:
    host, guest = greeted(window=2)
    messages(host, guest.send(Ack(sequence=1)))
    assert host.credit == 2
    host.send(Ping())
    for sequence in (0, 2, 99, 0xFFFF_FFFF):
        messages(host, guest.send(Ack(sequence=sequence)))
        assert host.credit == 1


def test_an_acknowledgement_counts_once() -> None:
    host, guest = greeted(window=2)
    host.send(Ping())
    host.send(Ping())
    for _ in range(3):
        messages(host, guest.send(Ack(sequence=1)))
        assert host.credit == 1


def test_a_new_session_forgets_what_was_not_acknowledged() -> None:
    host, guest = greeted(window=2)
    host.send(Ping())
    late = guest.send(Ack(sequence=1))
    greet(host, guest, nonce=2, session=8, window=3)
    assert (host.credit, host.unacknowledged) == (3, 0)
    host.send(Ping())
    list(host.receive(b"".join(late)))
    assert (host.credit, host.unacknowledged) == (2, 1)


def test_a_greeting_grants_nothing_before_its_answer() -> None:
    host, guest = greeted(window=2)
    messages(host, guest.send(hello(2, window=9)))
    assert host.credit == 0


@given(st.integers(1, 20), st.lists(st.sampled_from(COSTLY) | st.integers(0, 40), max_size=60))
def test_never_more_is_on_its_way_than_was_granted(
    window: int, steps: list[Metrics | Ping | Refresh | Notice | int]
) -> None:
    host, guest = greeted(window=window)
    on_their_way: list[int] = []  # by the guest's own count
    sent = 0
    for step in steps:
        if isinstance(step, int):
            messages(host, guest.send(Ack(sequence=step)))
            if step <= sent:
                on_their_way = [number for number in on_their_way if number > step]
        elif host.credit:
            messages(guest, host.send(step))
            sent += 1
            on_their_way.append(sent)
        assert host.unacknowledged == len(on_their_way) <= min(window, MAX_WINDOW)
        assert host.credit == min(window, MAX_WINDOW) - len(on_their_way)
