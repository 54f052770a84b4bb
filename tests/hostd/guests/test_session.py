"""A session with a guest over a real socket: greeted, told, heard, and everything a guest may do wrong."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hostd import telemetry
from hostd.channels.line import Line as HostsLine
from hostd.guests import budget, dialogue, patience, session
from hostd.guests.patience import LineDown
from hostd.guests.session import attend
from hostd.model.domain import Domain, Guest
from hostd.model.world import World
from hostd.settings import GuestSettings
from hostd.store import Store
from protocol import framing
from protocol.connection import Connection
from protocol.errors import DropReason
from protocol.messages import Ack, Chunk, Goodbye, HelloRequest, Metrics, Refusal, Report, Role
from tests.hostd.guests.conftest import post
from tests.support.builders import HELLO, REPORT, UUID, channel, facts, world
from tests.support.guest import Line, Qemu, qemu_at
from tests.support.hostile_bytes import NUMBERS, chunk, forged
from tests.support.running import GENEROUS_SECONDS, running

SETTINGS = GuestSettings(report_interval_seconds=0.1)


@pytest.fixture
async def qemu(tmp_path: Path) -> AsyncIterator[Qemu]:
    async with qemu_at(tmp_path / "alpha.sock") as qemu:
        yield qemu


@pytest.fixture(autouse=True)
def _short_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "QUARANTINE_FIRST_SECONDS", 0.2)


@pytest.fixture
async def store(qemu: Qemu) -> AsyncIterator[Store]:
    """A World with one running domain, whose guest is attended to."""
    store = Store(world(Domain(facts=facts(channel=channel(str(qemu.path))))))
    async with running(attend(post(store, SETTINGS), HostsLine(path=str(qemu.path), uuid=UUID))):
        yield store


def guest_in(known: World) -> Guest:
    return known.domains[UUID].guest


async def until(store: Store, is_so: Callable[[Guest], bool]) -> Guest:
    return guest_in(await store.until(lambda known: is_so(guest_in(known))))


async def test_the_host_asks_for_a_greeting_and_says_nothing_else_before_it(
    qemu: Qemu, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setattr(dialogue, "REQUEST_SECONDS", 0.01)
    line = await qemu.line()
    assert isinstance(await line.next(), HelloRequest)
    assert isinstance(await line.next(), HelloRequest)
    assert not guest_in(store.world).is_connected


async def test_a_guest_that_greets_is_welcomed_and_known(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    welcome = await line.greet()
    assert (welcome.version, welcome.nonce) == (1, HELLO.nonce)
    assert welcome.report_interval_seconds == SETTINGS.report_interval_seconds
    guest = await until(store, lambda g: g.is_connected)
    assert (guest.hello, guest.sessions, guest.report) == (HELLO, 1, None)


async def test_a_report_is_known_with_the_hosts_time_of_it(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet()
    await line.say(REPORT)
    guest = await until(store, lambda g: g.report is not None)
    assert (guest.report, guest.reports) == (REPORT, 1)
    assert guest.reported_at is not None
    await line.say(Report(cpus=7))
    assert (await until(store, lambda g: g.reports == 2)).report == Report(cpus=7)


async def test_a_welcomed_guest_is_told_of_its_host_at_once_and_again_after_each_acknowledgement(
    store: Store, qemu: Qemu
) -> None:
    line = await qemu.line()
    await line.greet()
    for number in range(1, 4):
        told, sequence = await line.hear_and_acknowledge(Metrics)
        assert (told.host_cpus, told.host_name, sequence) == (16, None, number)


async def test_nothing_more_is_told_before_the_last_is_acknowledged(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet()
    _, first = await line.hear(Metrics)
    for number in range(1, 21):  # each is an occasion for the host to speak
        await line.say(REPORT)
        await until(store, lambda g, number=number: g.reports == number)  # type: ignore[misc]  # of this turn
    await line.say(Ack(sequence=first))
    _, second = await line.hear(Metrics)
    assert second == first + 1


async def test_an_acknowledgement_of_something_else_earns_nothing(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet()
    _, first = await line.hear(Metrics)
    for wrong in (0, first + 1, 0xFFFF_FFFF):
        await line.say(Ack(sequence=wrong))
    await line.say(REPORT)
    await until(store, lambda g: g.reports == 1)
    await line.say(Ack(sequence=first))
    assert (await line.hear(Metrics))[1] == first + 1


def frame(type_: int, body: bytes = b"\x90", *, session: int = 0, sequence: int = 0) -> bytes:
    return framing.encode(framing.Frame(type=type_, session=session, sequence=sequence, body=body))


def of_another_layout() -> bytes:
    content = framing.HEADER.pack(99, 2, 0, 0)
    return b"\0" + framing.stuff(content + framing.CHECKSUM.pack(zlib.crc32(content))) + b"\0"


def damaged() -> bytes:
    whole = bytearray(frame(0x02))
    whole[-2] ^= 0xFF if whole[-2] != 0xFF else 0x01  # the last byte of the checksum, and not to zero
    return bytes(whole)


BAD_INPUT = [
    (DropReason.FRAMING, b"\0\xffshort\0"),
    (DropReason.FRAMING, b"\0" + framing.stuff(b"tiny") + b"\0"),
    (DropReason.FRAMING, frame(0x02, bytes(range(1, 200)))[:100] + b"\0"),
    (DropReason.OVERSIZE, b"\0" + b"a" * 40_000 + b"\0"),
    (DropReason.CHECKSUM, damaged()),
    (DropReason.VERSION, of_another_layout()),
    (DropReason.TYPE, frame(0x7F)),
    (DropReason.SCHEMA, frame(0x02, b"\x93\x01\x01\xa1x")),
    (DropReason.SCHEMA, frame(0x02, b"\xc1")),
    (DropReason.SENDER, b"".join(Connection(Role.HOST).send(HelloRequest(version_min=1, version_max=1)))),
    (DropReason.SESSION, frame(0x10, session=0xDEAD, sequence=99)),
]


@pytest.mark.parametrize(("reason", "data"), BAD_INPUT, ids=[f"{r.value}{n}" for n, (r, _) in enumerate(BAD_INPUT)])
async def test_bad_input_is_counted_by_reason_and_the_session_goes_on(
    store: Store, qemu: Qemu, reason: DropReason, data: bytes
) -> None:
    line = await qemu.line()
    await line.greet()
    await line.push(data)
    await line.say(REPORT)
    guest = await until(store, lambda g: g.report is not None)
    assert guest.drops == {reason: 1}
    assert (guest.sessions, guest.reconnects) == (1, 0)


def test_every_reason_to_drop_has_an_example_but_the_one_a_guest_cannot_bring_about() -> None:
    elsewhere = {DropReason.SEQUENCE, DropReason.CHUNK}  # below: it takes frames of the session
    impossible = {DropReason.STATE}  # outside a session a frame's session is wrong before its message is
    assert {reason for reason, _ in BAD_INPUT} == set(DropReason) - elsewhere - impossible


async def test_an_acknowledgement_is_for_all_before_it_whatever_it_names(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet(replace(HELLO, window=4, journal=7))
    _, metrics = await line.hear(Metrics)
    await line.say(Ack(sequence=metrics + 1))  # nothing has that number: credit for nothing
    await line.say(Report(cpus=1))
    await until(store, lambda g: g.report == Report(cpus=1))
    await line.say(Ack(sequence=metrics))
    await line.hear(Metrics)


async def test_a_frame_that_comes_twice_is_taken_once(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet()
    again = await line.say(REPORT)
    await line.push(again)
    guest = await until(store, lambda g: bool(g.drops))
    assert (guest.drops, guest.reports) == ({DropReason.SEQUENCE: 1}, 1)


async def test_a_message_of_which_a_part_is_missing_is_dropped_and_the_session_goes_on(
    store: Store, qemu: Qemu
) -> None:
    line = await qemu.line()
    await line.greet()
    line.connection.send(REPORT)  # whose number the chunk takes
    await line.push(forged(line.connection, NUMBERS[Chunk], chunk(NUMBERS[Report], 1, 2, b"end"), sequence=1))
    await line.say(REPORT)
    guest = await until(store, lambda g: g.report is not None)
    assert guest.drops == {DropReason.CHUNK: 1}


async def test_what_an_earlier_connection_left_behind_is_dropped_before_the_greeting(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    stale = Connection(Role.GUEST)
    stale.send(HELLO)
    await line.push(frame(0x10, session=7, sequence=3)[20:] + frame(0x10, session=7, sequence=4) * 100)
    await line.greet()
    guest = await until(store, lambda g: g.is_connected)
    assert guest.drops[DropReason.SESSION] == 100


async def test_a_guest_of_another_version_is_refused_told_why_and_may_come_back(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.hear(HelloRequest)
    await line.say(replace(HELLO, version_min=2, version_max=9))
    refusal, _ = await line.hear(Refusal)
    assert (refusal.nonce, refusal.reason) == (HELLO.nonce, "this host speaks versions 1 to 1")
    assert not guest_in(store.world).is_connected
    await line.greet()
    assert (await until(store, lambda g: g.is_connected)).sessions == 1


async def test_a_guest_that_says_goodbye_is_disconnected_and_asked_again_later(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet()
    await line.say(REPORT)
    await until(store, lambda g: g.report is not None)
    await line.say(Goodbye(reason="shutting down"))
    guest = await until(store, lambda g: not g.is_connected)
    assert (guest.report, guest.reconnects) == (None, 0)
    await line.hear(HelloRequest)
    await line.greet()
    await until(store, lambda g: g.sessions == 2)


async def test_a_guest_that_greets_again_has_a_new_session_and_the_old_one_is_void(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    first = await line.greet()
    late = b"".join(line.connection.send(REPORT))
    second = await line.greet(replace(HELLO, nonce=43))
    assert second.session != first.session
    await line.push(late)
    await line.say(Report(cpus=3))
    guest = await until(store, lambda g: g.report is not None)
    assert (guest.report, guest.sessions, guest.reports) == (Report(cpus=3), 2, 1)
    assert guest.drops == {DropReason.SESSION: 1}


async def flood(line: Line, data: bytes) -> None:
    """Until the host hangs up."""
    while True:
        await line.push(data * 100)


async def test_a_guest_that_greets_without_end_and_never_reads_is_put_in_quarantine_for_a_while(
    qemu: Qemu, store: Store
) -> None:
    line = await qemu.line()
    hello = b"".join(Connection(Role.GUEST).send(HELLO))
    with pytest.raises(ConnectionError):
        await flood(line, hello)
    guest = await until(store, lambda g: g.is_quarantined)
    assert (guest.is_connected, guest.quarantines) == (False, {"sessions": 1})
    await until(store, lambda g: not g.is_quarantined)
    await (await qemu.line()).greet()


async def test_a_guest_that_sends_only_junk_is_put_in_quarantine(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet()
    with pytest.raises(ConnectionError):
        await flood(line, b"\0\xff" + b"junk" * 10 + b"\0")
    guest = await until(store, lambda g: g.is_quarantined)
    assert guest.quarantines == {"mistakes": 1}
    assert guest.drops[DropReason.FRAMING] > 100


async def test_a_guest_that_says_more_than_it_may_is_not_read_for_a_while(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet()
    reports = b"".join(b"".join(line.connection.send(REPORT)) for _ in range(budget.FRAMES_RESERVE + 500))
    await line.push(reports)
    guest = await until(store, lambda g: g.throttled_seconds > 0)
    assert (guest.is_connected, guest.drops) == (True, {})


async def test_a_channel_that_qemu_closes_is_opened_anew(store: Store, qemu: Qemu) -> None:
    line = await qemu.line()
    await line.greet()
    await until(store, lambda g: g.is_connected)
    line.close()
    guest = await until(store, lambda g: not g.is_connected)
    assert guest.reconnects == 1
    again = await qemu.line()
    await again.greet()
    await until(store, lambda g: g.sessions == 2)


async def test_a_frame_that_does_not_end_costs_the_connection(
    qemu: Qemu, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setattr(patience, "MESSAGE_SECONDS", 0.01)
    line = await qemu.line()
    await line.push(b"\0half a fra")
    await (await qemu.line()).greet()
    assert (await until(store, lambda g: g.is_connected)).reconnects == 1


async def test_an_error_that_nobody_foresaw_costs_that_session_and_is_counted(
    store: Store, qemu: Qemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = telemetry.REGISTRY.get_sample_value("hostd_guest_session_faults_total") or 0.0
    with monkeypatch.context() as patched:
        patched.setattr(dialogue, "metrics_for", lambda *_, **__: 1 // 0)
        line = await qemu.line()
        await line.hear(HelloRequest)
        await line.say(HELLO)
        await until(store, lambda g: g.reconnects == 1)
    again = await qemu.line()
    await again.greet()
    await again.hear(Metrics)
    assert telemetry.REGISTRY.get_sample_value("hostd_guest_session_faults_total") == before + 1


async def test_a_session_that_fails_in_the_moment_that_it_is_ended_is_ended(
    qemu: Qemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(world(Domain(facts=facts(channel=channel(str(qemu.path))))))
    line = HostsLine(path=str(qemu.path), uuid=UUID)
    async with asyncio.TaskGroup() as group:
        attending: asyncio.Task[None] = group.create_task(attend(post(store, SETTINGS), line))

        async def fail(_: object) -> None:
            attending.cancel()
            raise LineDown("in the same moment")

        monkeypatch.setattr(session._Session, "ask", fail)
        await asyncio.wait([attending], timeout=GENEROUS_SECONDS)
        assert attending.cancelled()


async def test_a_socket_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "late.sock"
    store = Store(world(Domain(facts=facts(channel=channel(str(path))))))
    async with running(attend(post(store, SETTINGS), HostsLine(path=str(path), uuid=UUID))):
        await until(store, lambda g: g.reconnects >= 2)
        async with qemu_at(path) as qemu:
            await (await qemu.line()).greet()
            await until(store, lambda g: g.is_connected)
