"""A guest's events and the host's notices: each told until it is safe, and counted once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hostd import telemetry
from hostd.channels.line import Line as HostsLine
from hostd.guests import session
from hostd.guests.session import attend
from hostd.history.taking import Mark, Taken, sort_out
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.settings import GuestSettings
from hostd.store import Store
from protocol.messages import Ack, Event, Events, EventsTaken, Notice, NoticeAnswer, Report
from tests.hostd.guests.conftest import post
from tests.support.builders import EVENT, HELLO, UUID, channel, facts, world
from tests.support.guest import Line, Qemu, qemu_at
from tests.support.running import running

SETTINGS = GuestSettings(report_interval_seconds=3600.0)
JOURNAL = 72
GREETING = replace(HELLO, window=4, journal=JOURNAL)


class Shelf:
    """A history in memory, which a test may close for a while; a real one is in tests/hostd/history."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], Mark] = {}
        self.most = 1_000
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def highest(self, uuid: str, journal: int) -> Mark | None:
        await self.is_open.wait()
        return self.kept.get((uuid, journal))

    async def take(
        self, uuid: str, journal: int, events: Sequence[Event], at: float, *, name: str | None = None
    ) -> Taken:
        assert (at > 0, name) == (True, "alpha")
        await self.is_open.wait()
        taken = sort_out(events, self.kept.get((uuid, journal)), self.most)
        self.kept[uuid, journal] = taken.highest
        return taken


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def qemu(tmp_path: Path) -> AsyncIterator[Qemu]:
    async with qemu_at(tmp_path / "alpha.sock") as qemu:
        yield qemu


@pytest.fixture
async def store(qemu: Qemu, shelf: Shelf) -> AsyncIterator[Store]:
    store = Store(world(Domain(facts=facts(channel=channel(str(qemu.path))))))
    async with running(attend(post(store, SETTINGS, shelf), HostsLine(path=str(qemu.path), uuid=UUID))):
        yield store


def numbered(*numbers: int) -> tuple[Event, ...]:
    return tuple(replace(EVENT, number=number, token=1000 + number) for number in numbers)


async def tell(line: Line, *numbers: int) -> EventsTaken:
    await line.say(Events(journal=JOURNAL, events=numbered(*numbers)))
    return (await line.hear(EventsTaken))[0]


async def until(store: Store, is_so: Callable[[Domain], bool]) -> Domain:
    return (await store.until(lambda known: is_so(known.domains[UUID]))).domains[UUID]


def dropped(reason: str) -> float:
    return telemetry.REGISTRY.get_sample_value("hostd_guest_events_dropped_total", {"reason": reason}) or 0.0


async def test_events_are_acknowledged_once_they_are_safe_and_counted(store: Store, qemu: Qemu, shelf: Shelf) -> None:
    line = await qemu.line()
    welcome = await line.greet(GREETING)
    assert (welcome.capabilities, welcome.events_taken, welcome.events_taken_token) == (("events",), None, None)
    shelf.is_open.clear()
    await line.say(Events(journal=JOURNAL, events=numbered(1, 2)))
    await line.say(Report(cpus=5))
    assert (await until(store, lambda d: d.guest.report is not None)).guest.events == {}
    shelf.is_open.set()
    assert (await line.hear(EventsTaken))[0] == EventsTaken(journal=JOURNAL, number=2, token=1002)
    assert (await until(store, lambda d: bool(d.guest.events))).guest.events == {"warning": 2}


async def test_an_event_that_comes_again_counts_once_and_is_acknowledged_again(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet(GREETING)
    assert (await tell(line, 1, 2)).number == 2
    assert (await tell(line, 1, 2, 3)).number == 3
    assert (await until(store, lambda d: d.guest.events.get("warning") == 3)).guest.events == {"warning": 3}


async def test_a_guest_that_greets_is_told_which_events_are_here(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet(GREETING)
    await tell(line, 1, 2, 3)
    welcome = await line.greet(replace(GREETING, nonce=43))
    assert (welcome.events_taken, welcome.events_taken_token) == (3, 1003)
    assert (await line.greet(replace(GREETING, nonce=44, journal=JOURNAL + 1))).events_taken is None
    assert (await until(store, lambda d: d.guest.sessions == 3)).guest.events == {"warning": 3}


async def test_a_guest_that_was_set_back_and_has_yet_to_find_out_is_told_what_is_here_and_nothing_is_taken(
    store: Store, qemu: Qemu, shelf: Shelf
) -> None:
    line = await qemu.line()
    await line.greet(GREETING)
    await tell(line, 1, 2)
    others = tuple(replace(event, token=7) for event in numbered(2, 3))
    await line.say(Events(journal=JOURNAL, events=others))
    assert (await line.hear(EventsTaken))[0] == EventsTaken(journal=JOURNAL, number=2, token=1002)
    assert shelf.kept[UUID, JOURNAL] == Mark(2, 1002)


async def test_events_beyond_what_a_domain_may_send_are_not_acknowledged_and_may_come_again(
    store: Store, qemu: Qemu, shelf: Shelf
) -> None:
    line = await qemu.line()
    await line.greet(GREETING)
    shelf.most = 1
    assert (await tell(line, 1, 2)).number == 1
    shelf.most = 1_000
    assert (await tell(line, 2)).number == 2
    assert (await until(store, lambda d: d.guest.events.get("warning") == 2)).guest.reconnects == 0


async def test_a_guest_is_welcomed_without_events_while_the_history_does_not_answer(
    store: Store, qemu: Qemu, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HISTORY_SECONDS", 0.01)
    shelf.is_open.clear()
    line = await qemu.line()
    assert (await line.greet(GREETING)).capabilities == ()
    await line.say(Report())
    assert (await until(store, lambda d: d.guest.report is not None)).guest.is_connected


async def test_events_that_do_not_wait_for_the_last_ones_are_dropped_and_counted(
    store: Store, qemu: Qemu, shelf: Shelf
) -> None:
    line = await qemu.line()
    await line.greet(GREETING)
    shelf.is_open.clear()
    before = dropped("early")
    for number in (1, 2, 3):
        await line.say(Events(journal=JOURNAL, events=numbered(number)))
    await line.say(Report(cpus=5))
    await until(store, lambda d: d.guest.report is not None)
    assert dropped("early") == before + 2
    shelf.is_open.set()
    assert (await line.hear(EventsTaken))[0].number == 1


async def test_a_guest_is_told_what_happened_to_it_until_it_answers_and_over_any_connection(
    store: Store, qemu: Qemu
) -> None:
    store.tell(changes.DomainEvent(uuid=UUID, name="alpha", event="started", detail="migrated", at=_soon()))
    line = await qemu.line()
    await line.greet(GREETING)
    told, sequence = await line.hear(Notice)
    assert (told.kind, told.severity) == ("moved", "info")
    await line.say(Ack(sequence=sequence))
    line.close()
    line = await qemu.line()
    await line.greet(replace(GREETING, nonce=43))
    again, sequence = await line.hear(Notice)
    assert again == told
    await line.say(Ack(sequence=sequence))
    await line.say(NoticeAnswer(number=told.number, status="seen"))
    await line.say(NoticeAnswer(number=told.number, status="done"))
    (notice,) = (await until(store, lambda d: d.notices[0].answer == "done")).notices
    assert notice.number == told.number
    line.close()
    line = await qemu.line()
    await line.greet(replace(GREETING, nonce=44))
    store.tell(changes.DomainEvent(uuid=UUID, name="alpha", event="started", detail="restored", at=_soon()))
    await line.say(Report())
    assert (await line.hear(Notice))[0].kind == "restored"


async def test_an_answer_to_what_was_never_told_changes_nothing(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet(GREETING)
    await line.say(NoticeAnswer(number=7, status="seen"))
    await line.say(Report())
    assert (await until(store, lambda d: d.guest.report is not None)).notices == ()


async def test_notices_wait_for_credit(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet(replace(GREETING, window=1))  # the metrics take it
    store.tell(changes.DomainEvent(uuid=UUID, name="alpha", event="started", detail="migrated", at=_soon()))
    await line.say(Report())
    domain = await until(store, lambda d: d.guest.report is not None)
    assert domain.guest.reconnects == 0  # to say more than is granted would be a fault
    await line.say(Ack(sequence=1))
    assert (await line.hear(Notice))[0].kind == "moved"


def _soon() -> float:
    return 4_000_000_000.0  # not before the test's own time, or the notice would be too old to tell
