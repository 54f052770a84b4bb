"""Guests that ask as of vhostmd over real sockets: what they are answered, and what none of them may cost another."""

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hostd import telemetry
from hostd.channels import line as line_module
from hostd.channels import peer
from hostd.model import changes
from hostd.model.domain import DomainFacts
from hostd.model.stats import DomainState
from hostd.model.world import World
from hostd.store import Store
from hostd.vhostmd import asker
from hostd.vhostmd.server import keep
from protocol import vhostmd
from protocol.vhostmd import INVALID, REQUEST, Metric
from tests.support.builders import OTHER_UUID, UUID, channel, facts, shut_off, world
from tests.support.running import running, until
from tests.support.vhostmd import Port, Qemu, qemu_at

CRLF_REQUEST = b"GET /metrics/XML\r\n\r\n"


class Documents:
    """What hostd has for its guests: each document says whose and the how many-eth it is."""

    def __init__(self) -> None:
        self.made = 0
        self.padding = ""

    def answer(self, world: World, uuid: str) -> bytes:
        self.made += 1
        return document_of(self.made, world.domains[uuid].name + self.padding)


def document_of(number: int, name: str = "alpha") -> bytes:
    return vhostmd.document([Metric(name="Whose", value=f"{name} {number}")]) + b"\n"


class Host:
    """A store whose domains are answered, and QEMUs for them to have."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.store = Store(world())
        self.documents = Documents()
        self._folder = folder
        self._stack = stack

    def qemu(self, name: str = "alpha") -> Qemu:
        return self._stack.enter_context(qemu_at(self._folder / f"{name}.sock"))

    def describe(self, its: DomainFacts) -> None:
        self.store.tell(changes.DomainDescribed(facts=its))

    async def port(self, uuid: str = UUID, name: str = "alpha") -> Port:
        qemu = self.qemu(name)
        self.describe(at(qemu, uuid, name))
        return await qemu.port()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with AsyncExitStack() as stack:
        host = Host(tmp_path, stack)
        await stack.enter_async_context(running(keep(host.store, host.documents.answer)))
        yield host


def at(qemu: Qemu, uuid: str = UUID, name: str = "alpha", **others: object) -> DomainFacts:
    """A running domain with the channel."""
    return facts(uuid, name, vhostmd_channel=channel(str(qemu.path)), **others)


def counted(name: str, **labels: str) -> float:
    value = telemetry.REGISTRY.get_sample_value(name, {"connection": "", **labels})
    assert value is not None, "the series is there before the first"
    return value


def requests(result: str) -> Callable[[], float]:
    """How many more there are by now."""
    before = counted("hostd_vhostmd_requests_total", result=result)
    return lambda: counted("hostd_vhostmd_requests_total", result=result) - before


def holds(reason: str) -> Callable[[], float]:
    before = counted("hostd_vhostmd_held_back_total", reason=reason)
    return lambda: counted("hostd_vhostmd_held_back_total", reason=reason) - before


def bytewise(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[at : at + 1] for at in range(len(data)))


def lines(size: int) -> bytes:
    """A message of that size which ends as a request does."""
    return b"G" * (size - 2) + b"\n\n"


ANSWERED: dict[str, tuple[bytes, ...]] = {
    "LF": (REQUEST,),
    "CRLF": (CRLF_REQUEST,),
    "LF, byte by byte": bytewise(REQUEST),
    "CRLF, byte by byte": bytewise(CRLF_REQUEST),
    "NULs in front": (b"\0\0" + REQUEST,),
    "NULs in front, in a piece of their own": (b"\0" * 600, REQUEST),
    "a NUL and more behind": (REQUEST + b"\0and more\n\n",),
    **{f"split after {at}": (REQUEST[:at], REQUEST[at:]) for at in range(1, len(REQUEST))},
    **{f"CRLF split after {at}": (CRLF_REQUEST[:at], CRLF_REQUEST[at:]) for at in range(1, len(CRLF_REQUEST))},
}
INVALID_ONES: dict[str, tuple[bytes, ...]] = {
    "HTTP/1.0": (b"GET /metrics/XML HTTP/1.0\r\n\r\n",),
    "lower case": (b"get /metrics/xml\n\n",),
    "another path": (b"GET /metrics\n\n",),
    "a space at the end": (b"GET /metrics/XML \n\n",),
    "a newline in front": (b"\n" + REQUEST,),
    "endings mixed": (b"GET /metrics/XML\r\n\n\n",),
    "two in one piece": (REQUEST * 2,),
    "the rest of another in front": (b"GET /metr", REQUEST),
    "nothing but the end": (b"\n\n",),
    "binary": (bytes(range(1, 256)) + b"\n\n",),
    "510 bytes": (lines(510),),
    "511 bytes": (lines(511),),
    "a bare end that comes late": (b"GET /metrics/XML\n\r\n", b"\n\n"),
}
OVERLONG_ONES: dict[str, tuple[bytes, ...]] = {
    "512 bytes": (lines(512),),
    "512 bytes without an end": (b"G" * 512,),
    "600 bytes": (lines(600),),
    "600 bytes, byte by byte": bytewise(b"G" * 512),
    "a helping": (b"\xff" * 4096,),
}
UNFINISHED: dict[str, tuple[bytes, ...]] = {
    "an end that is none": (b"GET /metrics/XML\n\r\n",),
    "a NUL within": (b"GET /metr\0ics/XML\n\n",),
    "511 bytes without an end": (b"G" * 511,),
    "one newline": (b"GET /metrics/XML\n",),
    "NULs": (b"\0" * 4096,),
}


@pytest.mark.parametrize("pieces", ANSWERED.values(), ids=ANSWERED)
async def test_a_request_is_answered_with_the_document(host: Host, pieces: tuple[bytes, ...]) -> None:
    port, answered = await host.port(), requests("answered")
    assert await port.asked(*pieces) == document_of(1)
    await until(lambda: answered() == 1)


@pytest.mark.parametrize(
    ("pieces", "result"),
    [*((pieces, "invalid") for pieces in INVALID_ONES.values()), *((p, "overlong") for p in OVERLONG_ONES.values())],
    ids=[*INVALID_ONES, *OVERLONG_ONES],
)
async def test_anything_else_is_refused_and_spoils_nothing(host: Host, pieces: tuple[bytes, ...], result: str) -> None:
    port, refused = await host.port(), requests(result)
    assert await port.asked(*pieces) == INVALID
    assert await port.asked(REQUEST) == document_of(1)
    assert refused() == 1


@pytest.mark.parametrize("pieces", UNFINISHED.values(), ids=UNFINISHED)
async def test_what_is_not_finished_is_not_answered(host: Host, pieces: tuple[bytes, ...]) -> None:
    port, quiet = await host.port(), await host.port(OTHER_UUID, "beta")
    await port.say(*pieces)
    assert await quiet.asked(REQUEST) == document_of(1, "beta")  # and so there was time to answer
    assert not port.has_answer


async def test_what_was_begun_is_forgotten_after_a_while(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asker, "FORGET_SECONDS", 0.0)
    port, forgotten = await host.port(), requests("forgotten")
    await port.say(b"GET /metr")
    assert await port.asked(REQUEST) == document_of(1)
    assert forgotten() == 1


async def test_each_answer_is_made_when_it_is_sent(host: Host) -> None:
    port = await host.port()
    for number in range(1, 4):
        assert await port.asked(REQUEST) == document_of(number)


async def test_an_answer_that_is_longer_than_sockets_hold_comes_whole(host: Host) -> None:
    port = await host.port()
    host.documents.padding = "." * (3 << 20)
    assert await port.asked(REQUEST) == document_of(1, "alpha" + host.documents.padding)


@pytest.mark.parametrize("refused", [False, True], ids=["asked", "refused"])
async def test_the_first_answer_comes_at_once_and_the_next_not_before_its_time_and_nothing_is_read_meanwhile(
    host: Host, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    monkeypatch.setattr(asker, "PACE_SECONDS", 3600.0)
    port, held = await host.port(), holds("pace")
    assert await port.asked(b"\n\n" if refused else REQUEST) == (INVALID if refused else document_of(1))
    await port.say(REQUEST)
    await until(lambda: held() == 1)
    port.push(REQUEST)
    assert host.documents.made == (0 if refused else 1)
    quiet = await host.port(OTHER_UUID, "beta")
    await quiet.asked(REQUEST)  # and so there was time to answer
    assert not port.has_answer
    assert not peer.is_taken(port.channel)


async def test_an_answer_that_was_delayed_is_fresh(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asker, "PACE_SECONDS", 0.1)
    port, held = await host.port(), holds("pace")
    for number in range(1, 4):
        assert await port.asked(REQUEST) == document_of(number)
    assert held() >= 1  # not each: a busy machine may take a tenth of a second for one


async def test_a_guest_that_writes_in_small_pieces_is_read_only_so_often(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asker, "READS_RESERVE", 20.0)
    monkeypatch.setattr(asker, "READS_PER_SECOND", 1e-3)
    port, held = await host.port(), holds("reads")
    await port.say(*[b"\0"] * 21)  # NULs alone never come to a request
    await until(lambda: held() == 1)
    port.push(REQUEST)
    quiet = await host.port(OTHER_UUID, "beta")
    assert await quiet.asked(*bytewise(REQUEST)) == document_of(1, "beta")
    assert not peer.is_taken(port.channel)


async def test_what_a_guest_has_cost_a_new_connection_does_not_give_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asker, "PACE_SECONDS", 3600.0)
    qemu, held = host.qemu(), holds("pace")
    host.describe(at(qemu))
    port = await qemu.port()
    await port.asked(REQUEST)
    port.channel.close()
    await (await qemu.port()).say(REQUEST)
    await until(lambda: held() == 1)


@pytest.mark.parametrize("size", [0, 3 << 20], ids=["short", "longer than sockets hold"])
async def test_an_answer_that_nobody_reads_is_taken_away_with_the_connection(
    host: Host, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    qemu, unread, answered = host.qemu(), requests("unread"), requests("answered")
    host.describe(at(qemu))
    host.documents.padding = "." * size
    port = await qemu.port()
    monkeypatch.setattr(asker, "TAKEN_SECONDS", 0.0)
    await port.say(REQUEST)
    again = await qemu.port()
    monkeypatch.setattr(asker, "TAKEN_SECONDS", 3600.0)
    host.documents.padding = ""
    assert await again.asked(REQUEST) == document_of(2)
    await until(lambda: (unread(), answered()) == (1, 1))


async def test_the_time_that_a_domain_stands_still_is_not_its_guests(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu, unread = host.qemu(), requests("unread")
    host.describe(at(qemu))
    port = await qemu.port()
    monkeypatch.setattr(asker, "TAKEN_SECONDS", 0.02)
    host.describe(at(qemu, state=DomainState.PAUSED))
    await port.say(REQUEST)
    await until(lambda: port.has_answer)
    looked = looks_of(monkeypatch)
    await until(lambda: looked() >= 3)
    assert unread() == 0
    host.describe(at(qemu))
    await until(lambda: unread() == 1)


def looks_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often hostd has looked since whether an answer was taken."""
    looks, is_taken = [0], peer.is_taken

    def look(its: socket.socket) -> bool:
        looks[0] += 1
        return is_taken(its)

    monkeypatch.setattr(peer, "is_taken", look)
    return lambda: looks[0]


async def test_an_answer_that_qemu_did_not_live_to_read_is_unread(host: Host) -> None:
    qemu, unread = host.qemu(), requests("unread")
    host.describe(at(qemu))
    host.documents.padding = "." * (3 << 20)
    port = await qemu.port()
    await port.say(REQUEST)
    await until(lambda: port.has_answer)
    port.channel.close()
    await qemu.port()
    assert unread() == 1


async def test_a_document_that_is_too_long_becomes_an_empty_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    port, too_long = await host.port(), requests("too_long")
    monkeypatch.setattr(asker, "MAX_ANSWER_BYTES", len(document_of(1)))
    assert await port.asked(REQUEST) == document_of(1)
    host.documents.padding = "."
    assert await port.asked(REQUEST) == b"<metrics>\n</metrics>\n\n"
    await until(lambda: too_long() == 1)


@pytest.mark.parametrize("text", [b"", b"<metrics>\n</metrics>\n", b"<metrics>\n\n</metrics>\n\n", b"\n\n\n"])
async def test_a_document_that_would_not_end_where_it_ends_becomes_an_empty_one(
    host: Host, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    malformed = requests("malformed")
    monkeypatch.setattr(Documents, "answer", lambda *_: text)
    async with running(keep(host.store, lambda *_: text)):
        qemu = host.qemu("gamma")
        host.describe(at(qemu))
        assert await (await qemu.port()).asked(REQUEST) == asker.EMPTY
        await until(lambda: malformed() == 1)


def test_an_empty_document_is_as_long_as_it_may_be() -> None:
    assert (asker.EMPTY, asker.MAX_ANSWER_BYTES) == (b"<metrics>\n</metrics>\n\n", 16 * 1024 * 1024 - 2)


async def test_a_channel_that_qemu_closes_is_opened_anew(host: Host) -> None:
    qemu = host.qemu()
    host.describe(at(qemu))
    port = await qemu.port()
    await port.say(b"GET /metr")
    port.channel.close()
    assert await (await qemu.port()).asked(REQUEST) == document_of(1)  # what came before is not in front of it


async def test_a_channel_on_which_nothing_comes_for_long_is_opened_anew(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asker, "QUIET_SECONDS", 0.01)
    qemu = host.qemu()
    host.describe(at(qemu))
    port = await qemu.port()
    assert await port.hung_up() == b""
    await qemu.port()


async def test_it_is_not_while_the_domain_stands_still(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asker, "QUIET_SECONDS", 0.001)
    qemu = host.qemu()
    host.describe(at(qemu, state=DomainState.PAUSED))
    port = await qemu.port()
    assert await port.asked(REQUEST) == document_of(1)


async def test_a_guest_that_floods_or_never_reads_costs_no_other_its_answer(host: Host) -> None:
    flooding, unreading = await host.port(), await host.port(OTHER_UUID, "beta")
    quiet = await host.port("33333333-3333-4333-8333-333333333333", "gamma")
    await unreading.say(REQUEST)
    loop = asyncio.get_running_loop()
    flood = loop.create_task(loop.sock_sendall(flooding.channel, REQUEST * 1_000_000))
    for _ in range(5):
        assert b"gamma" in await quiet.asked(REQUEST)
    flood.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flood


async def test_a_domain_that_stops_or_is_gone_is_hung_up_on(host: Host) -> None:
    alpha, beta = await host.port(), await host.port(OTHER_UUID, "beta")
    await until(lambda: counted("hostd_vhostmd_channels") == 2)
    host.describe(shut_off())
    host.store.tell(changes.DomainGone(uuid=OTHER_UUID))
    assert (await alpha.hung_up(), await beta.hung_up()) == (b"", b"")
    await until(lambda: counted("hostd_vhostmd_channels") == 0)


async def test_a_channel_may_come_go_and_move_while_its_domain_runs(host: Host) -> None:
    first, second = host.qemu("first"), host.qemu("second")
    host.describe(facts())
    host.describe(at(first))
    port = await first.port()
    host.describe(at(second))
    assert await port.hung_up() == b""
    port = await second.port()
    assert await port.asked(REQUEST) == document_of(1)
    host.describe(facts())
    assert await port.hung_up() == b""


async def test_a_domain_without_the_channel_or_not_active_is_left_alone(host: Host) -> None:
    qemu = host.qemu()
    host.describe(facts(OTHER_UUID, "beta", channel=channel(str(qemu.path))))
    host.describe(shut_off(vhostmd_channel=channel(str(qemu.path))))
    other = await host.port("33333333-3333-4333-8333-333333333333", "gamma")
    await other.asked(REQUEST)
    with pytest.raises(BlockingIOError):
        qemu._listener.accept()


async def test_losing_libvirt_costs_nobody_its_answer(host: Host) -> None:
    port = await host.port()
    host.store.tell(changes.HypervisorLost(why="end of file"))
    assert await port.asked(REQUEST) == document_of(1)


HOLD = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"


async def test_a_vhostmd_that_still_runs_is_named_once_and_its_place_taken_when_it_has_ended(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line_module, "ACCEPT_SECONDS", 0.01)
    qemu = host.qemu()
    before = counted("hostd_vhostmd_connects_total", outcome="occupied")
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, str(qemu.path), stdin=subprocess.PIPE)
    theirs = await qemu.port()
    host.describe(at(qemu))
    await until(lambda: counted("hostd_vhostmd_connects_total", outcome="occupied") >= before + 3)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1
    assert said[0].startswith(f"vhostmd channel of {UUID}: {qemu.path}: process {other.pid} (python")
    assert "end vhostmd" in said[0]
    monkeypatch.setattr(line_module, "ACCEPT_SECONDS", 3600.0)
    await other.communicate(b"")
    theirs.channel.close()
    while True:  # those that hostd gave up while they waited are taken up first
        port = await qemu.port()
        try:
            assert await port.asked(REQUEST) == document_of(1)
        except (ConnectionError, AssertionError):
            continue
        break
