"""The World and what guests say of themselves: each change makes a new one, and what is told them adds up."""

from dataclasses import replace

import pytest

from hostd.model import changes
from hostd.model.domain import Domain, Guest
from hostd.model.notice import MOST_NOTICES
from protocol.errors import DropReason
from tests.support.builders import (
    EVENT,
    HELLO,
    REPORT,
    UUID,
    channel,
    facts,
    full_domain,
    guest,
    only,
    world,
)


def test_a_guest_that_greets_begins_a_session_without_its_former_report() -> None:
    after = only(world(full_domain()).apply(changes.GuestGreeted(uuid=UUID, hello=replace(HELLO, nonce=7))))
    assert after.guest == guest(hello=replace(HELLO, nonce=7), report=None, sessions=3)


def test_a_report_replaces_the_one_before() -> None:
    report = replace(REPORT, cpus=9, time_seconds=6.5)
    after = only(world(full_domain()).apply(changes.GuestReported(uuid=UUID, report=report, at=9.0)))
    assert after.guest == guest(report=report, reported_at=9.0, reports=31, clock_offset_seconds=-2.5)


def test_a_silent_guest_keeps_its_session_and_the_age_of_its_report() -> None:
    after = only(world(full_domain()).apply(changes.GuestSilent(uuid=UUID)))
    assert after.guest == guest(report=None, clock_offset_seconds=None)
    assert after.guest.is_connected


@pytest.mark.parametrize(("is_retried", "reconnects"), [(True, 2), (False, 1)])
def test_a_lost_guest_is_disconnected_and_only_a_retry_counts_as_a_reconnect(
    *, is_retried: bool, reconnects: int
) -> None:
    after = only(world(full_domain()).apply(changes.GuestLost(uuid=UUID, is_retried=is_retried)))
    assert after.guest == guest(hello=None, report=None, clock_offset_seconds=None, reconnects=reconnects)
    assert not after.guest.is_connected


def test_dropped_input_adds_up_by_reason() -> None:
    known = world(Domain(facts=facts()))
    for drops in ({DropReason.CHECKSUM: 2}, {DropReason.CHECKSUM: 1, DropReason.STATE: 4}):
        known = known.apply(changes.GuestInputDropped(uuid=UUID, drops=drops))
    assert only(known).guest == Guest(drops={DropReason.CHECKSUM: 3, DropReason.STATE: 4})


def lifecycle(*events: tuple[str, str, float]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """The notices that a guest has to be told of after these events: (event, detail, at)."""
    known = world(Domain(facts=facts(channel=channel())))
    for event, detail, at in events:
        known = known.apply(changes.DomainEvent(uuid=UUID, name="alpha", event=event, detail=detail, at=at))
    return tuple((notice.kind, notice.details) for notice in only(known).notices)


@pytest.mark.parametrize(
    ("detail", "kind"), [("migrated", "moved"), ("restored", "restored"), ("from_snapshot", "reverted")]
)
def test_a_guest_has_to_be_told_that_it_is_not_where_or_when_it_was(detail: str, kind: str) -> None:
    assert lifecycle(("started", detail, 5.0)) == ((kind, ()),)


def test_a_guest_has_to_be_told_that_it_was_paused_and_for_how_long() -> None:
    paused = ("suspended", "paused", 10.0)
    assert lifecycle(paused, ("resumed", "unpaused", 14.25)) == (("resumed", (("paused_seconds", "4.2"),)),)
    assert lifecycle(paused, ("resumed", "unpaused", 10.5)) == ()
    assert lifecycle(("resumed", "unpaused", 14.25)) == ()


def test_what_happened_before_a_boot_is_nothing_to_the_guest_after_it() -> None:
    assert lifecycle(("started", "migrated", 5.0), ("stopped", "shutdown", 6.0), ("started", "booted", 7.0)) == ()


def test_notices_of_the_same_moment_have_numbers_of_their_own_and_there_are_not_too_many() -> None:
    known = world(Domain(facts=facts(channel=channel())))
    for _ in range(MOST_NOTICES + 3):
        known = known.apply(
            changes.DomainEvent(uuid=UUID, name="alpha", event="started", detail="restored", at=1_700_000_000.0)
        )
    numbers = [notice.number for notice in only(known).notices]
    assert len(set(numbers)) == len(numbers) == MOST_NOTICES
    assert min(numbers) > 1_700_000_000_000_000


def test_events_of_a_guest_add_up_by_severity() -> None:
    known = world(Domain(facts=facts()))
    for at, severities in ((5.0, ("info", "critical")), (6.0, ("info",)), (7.0, ())):
        events = tuple(replace(EVENT, severity=severity) for severity in severities)
        known = known.apply(changes.GuestEventsTaken(uuid=UUID, events=events, at=at))
    assert only(known).guest == Guest(events={"info": 2, "critical": 1}, last_event_at=6.0)
