"""The search for a port: which way is taken, what is told of it, and what is done meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from guestagent import ports
from guestagent.ports import holder, search, uevents
from guestagent.ports.port import PortAbsent, PortBusy, PortUnavailable, TransportMissing
from guestagent.ports.search import Search, Way
from tests.guestagent.host import PATIENCE_SECONDS, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from guestagent.ports.port import Port, PortError


class Opened:
    """A port that does nothing."""

    def __init__(self, path: str, *, sees_host: bool = True) -> None:
        self.path = path
        self.sees_host = sees_host

    async def read(self) -> bytes:
        return b""

    async def write(self, frame: bytes) -> None: ...

    async def wait_for_host(self) -> None: ...

    def close(self) -> None: ...


class Place:
    """Where a port may be: `is_there` is the port, or what is wrong."""

    def __init__(self, is_there: Port | PortError) -> None:
        self.is_there = is_there
        self.tries = 0
        self.tried = asyncio.Event()

    async def open_port(self) -> Port:
        self.tries += 1
        self.tried.set()
        if isinstance(self.is_there, Exception):
            raise self.is_there
        return self.is_there


class Guest:
    """A guest with three places for a port, whose kernel and clock do as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.news = uevents.Uevents(None)
        self.best, self.lesser, self.least = (Place(PortAbsent(f"{name}: not there")) for name in "abc")
        self.search = Search(
            [
                Way(self.best.open_port),
                Way(self.lesser.open_port, after_seconds=10),
                Way(self.least.open_port, after_seconds=20),
            ],
            clock=lambda: self.now,
        )

    @contextlib.contextmanager
    def listening(self) -> Iterator[uevents.Uevents]:
        yield self.news

    async def find(self) -> str:
        return (await soon(self.search())).path

    async def complaint(self, kind: type[PortError] = PortUnavailable) -> str:
        with pytest.raises(kind) as caught:
            await soon(self.search())
        return str(caught.value)


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Guest:
    guest = Guest()
    monkeypatch.setattr(uevents, "listening", guest.listening)
    monkeypatch.setattr(search, "LOOK_MOST_SECONDS", 0.01)
    return guest


async def test_the_best_way_is_taken_and_the_others_are_not_even_tried(guest: Guest) -> None:
    guest.best.is_there, guest.lesser.is_there = Opened("best"), Opened("lesser")
    guest.now += 3600
    assert await guest.find() == "best"
    assert guest.lesser.tries == 0


async def test_a_lesser_way_is_taken_when_the_better_ones_have_been_missing_for_a_while(
    guest: Guest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    guest.lesser.is_there = Opened("lesser")
    assert await guest.complaint() == "a: not there"
    guest.now += 9.9
    assert guest.lesser.tries == 0
    guest.now += 0.1
    assert await guest.find() == "lesser"
    assert caplog.messages == ["lesser: open, for want of a better way: a: not there"]


async def test_the_least_is_taken_when_nothing_else_is_there(guest: Guest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    guest.least.is_there = Opened("least", sees_host=False)
    assert await guest.complaint() == "a: not there"
    guest.now += 10
    assert await guest.complaint() == "a: not there; b: not there"
    guest.now += 10
    assert await guest.find() == "least"
    assert caplog.messages[0].startswith("least: open (it does not tell whether a host is there), for want of")


async def test_a_better_way_that_has_appeared_meanwhile_is_taken_at_the_next_opening(guest: Guest) -> None:
    guest.lesser.is_there = Opened("lesser")
    await guest.complaint()
    guest.now += 10
    assert await guest.find() == "lesser"
    guest.best.is_there = Opened("best")
    assert await guest.find() == "best"


async def test_a_better_way_gets_its_time_again_at_each_opening(guest: Guest) -> None:
    guest.lesser.is_there = Opened("lesser")
    await guest.complaint()
    guest.now += 10
    assert await guest.find() == "lesser"
    assert await guest.complaint() == "a: not there"


async def test_a_way_that_cannot_be_opened_is_as_good_as_none(guest: Guest) -> None:
    guest.best.is_there = PortUnavailable("a: Permission denied")
    guest.lesser.is_there = Opened("lesser")
    assert await guest.complaint() == "a: Permission denied"
    guest.now += 10
    assert await guest.find() == "lesser"


async def test_the_same_reason_is_raised_once_however_often_it_is_found(guest: Guest) -> None:
    assert await guest.complaint() == "a: not there"
    asking = asyncio.ensure_future(guest.find())  # noqa: TID251 - it ends within the test
    for _ in range(5):
        guest.best.tried.clear()
        await soon(guest.best.tried.wait())
    assert not asking.done()
    guest.best.is_there = Opened("best")
    assert await soon(asking) == "best"


async def test_another_reason_is_raised(guest: Guest) -> None:
    assert await guest.complaint() == "a: not there"
    guest.best.is_there = PortUnavailable("a: Permission denied")
    assert await guest.complaint() == "a: Permission denied"


async def test_a_reason_is_raised_again_after_there_was_a_port(guest: Guest) -> None:
    await guest.complaint()
    guest.best.is_there = Opened("best")
    await guest.find()
    guest.best.is_there = PortAbsent("a: not there")
    assert await guest.complaint() == "a: not there"


async def test_a_library_that_is_missing_ends_the_search_only_if_no_other_way_is_left(guest: Guest) -> None:
    guest.now += 100
    guest.best.is_there = TransportMissing("a: needs a library")
    assert await guest.complaint() == "a: needs a library"
    guest.now += 20
    assert await guest.complaint() == "a: needs a library; b: not there; c: not there"
    guest.lesser.is_there = guest.least.is_there = guest.best.is_there
    assert await guest.complaint(TransportMissing) == "a: needs a library"


async def test_who_holds_a_busy_port_is_looked_up_once_for_the_message(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def describe(node: str) -> str:
        looked.append(node)
        return "pid 7 (cat)"

    monkeypatch.setattr(holder, "describe", describe)
    guest.best.is_there = PortBusy("a: held open by another program", "/dev/a")
    assert await guest.complaint() == "a: held open by another program: pid 7 (cat)"
    asking = asyncio.ensure_future(guest.find())  # noqa: TID251 - it ends within the test
    for _ in range(3):
        guest.best.tried.clear()
        await soon(guest.best.tried.wait())
    guest.best.is_there = Opened("best")
    assert await soon(asking) == "best"
    assert looked == ["/dev/a"]


async def test_news_from_the_kernel_make_us_look_at_once(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest.search, "_wait_seconds", lambda *_, **__: 3600.0)
    await guest.complaint()
    asking = asyncio.ensure_future(guest.find())  # noqa: TID251 - it ends within the test
    guest.best.tried.clear()
    await soon(guest.best.tried.wait())
    guest.best.is_there = Opened("best")
    guest.news._heard.set()
    assert await soon(asking) == "best"


@pytest.mark.parametrize(
    ("error", "are_heard", "most_seconds"),
    [
        (PortAbsent("a"), True, 30.0),
        (PortAbsent("a"), False, 2.0),
        (PortUnavailable("a"), True, 2.0),
        (PortBusy("a"), True, 2.0),
    ],
)
def test_what_the_kernel_does_not_announce_is_looked_for_more_often(
    error: PortError, are_heard: bool, most_seconds: float
) -> None:
    searching = Search([Way(lambda: asyncio.sleep(0, Opened("a")))], clock=lambda: 0.0)
    searching._backoff._draw = lambda _, high: high
    waits = [searching._wait_seconds([error], are_heard=are_heard) for _ in range(12)]
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert waits[-1] == most_seconds


async def test_no_wait_is_longer_than_until_the_next_way_may_be_tried(guest: Guest) -> None:
    await guest.complaint()
    guest.search._backoff._draw = lambda *_: 30.0
    guest.now += 9
    assert guest.search._wait_seconds([PortAbsent("a")], are_heard=True) == pytest.approx(1.0)
    guest.now += 9
    assert guest.search._wait_seconds([PortAbsent("a")], are_heard=True) == pytest.approx(2.0)
    guest.now += 9
    assert guest.search._wait_seconds([PortAbsent("a")], are_heard=True) == pytest.approx(30.0)


async def test_what_the_operator_wants_is_all_that_is_tried(tmp_path: Path) -> None:
    with pytest.raises(PortUnavailable, match=r"nowhere: not there$"):
        await ports.opener(ports.Wanted(name="x", port=str(tmp_path / "nowhere"), serial="/dev/null"))()


@pytest.mark.parametrize(
    ("wanted", "afters"),
    [
        (ports.Wanted(name="x"), [0]),
        (ports.Wanted(name="x", vsock="vsock:1"), [0, 10]),
        (ports.Wanted(name="x", serial="/dev/ttyS1"), [0, 10]),
        (ports.Wanted(name="x", vsock="vsock:1", serial="/dev/ttyS1"), [0, 10, 20]),
        (ports.Wanted(name="x", port="/dev/ttyS1", vsock="vsock:1"), [0]),
    ],
)
def test_only_what_the_operator_names_is_a_last_resort(wanted: ports.Wanted, afters: list[float]) -> None:
    assert [way.after_seconds for way in ports.opener(wanted)._ways] == afters


NEWS = b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=virtio-ports\0DEVNAME=vport0p3\0SEQNUM=7\0"


@pytest.mark.parametrize(
    ("message", "sender", "is_news"),
    [
        (NEWS, 0, True),
        (NEWS.replace(b"=add", b"=change"), 0, True),
        (NEWS.replace(b"virtio-ports", b"tty"), 0, True),
        (NEWS.replace(b"=add", b"=remove"), 0, False),
        (NEWS.replace(b"virtio-ports", b"block"), 0, False),
        (NEWS, 4711, False),
        (b"", 0, False),
        (b"\xff=\xff\0=\0SUBSYSTEM", 0, False),
        (b"libudev\0\xfe\xed\xca\xfe" + bytes(40), 0, False),
    ],
)
def test_only_the_kernels_words_of_ports_are_news(message: bytes, sender: int, is_news: bool) -> None:
    assert uevents.is_news(message, sender) is is_news


class Listener:
    """A netlink socket that gives what it is told to."""

    def __init__(self, *heard: tuple[bytes, tuple[int, int]] | OSError) -> None:
        self._heard = list(heard)

    def recvfrom(self, _: int) -> tuple[bytes, tuple[int, int]]:
        heard = self._heard.pop(0)
        if isinstance(heard, OSError):
            raise heard
        return heard


@pytest.mark.parametrize(
    ("heard", "is_news"),
    [
        ((NEWS, (0, 1)), True),
        ((NEWS, (12, 1)), False),
        (BlockingIOError(), False),
        (OSError(105, "No buffer space available"), True),
    ],
)
async def test_what_is_heard_wakes_us_also_when_some_of_it_was_lost(
    heard: tuple[bytes, tuple[int, int]] | OSError, is_news: bool
) -> None:
    listener = uevents.Uevents(Listener(heard))  # type: ignore[arg-type]
    listener.take()
    assert await listener.wait(PATIENCE_SECONDS if is_news else 0) is is_news


async def test_a_guest_whose_kernel_tells_nothing_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    with uevents.listening() as news:
        assert news.are_heard
    monkeypatch.setattr(socket, "socket", refuse)
    with uevents.listening() as news:
        assert not news.are_heard
        assert not await news.wait(0)


def test_the_holder_of_a_device_is_found_by_what_it_has_open(tmp_path: Path) -> None:
    node = tmp_path / "vport0p1"
    node.touch()
    link = tmp_path / "link"
    link.symlink_to(node)
    _process(tmp_path, "12", b"cat\n", {"0": "/dev/null"})
    _process(tmp_path, "345", b"evil\x1b[2J\n\xff" + b"x" * 99, {"0": "pipe:[1]", "9": str(node)})
    (tmp_path / "proc" / "self").mkdir()
    described = holder.describe(str(link), proc=tmp_path / "proc")
    assert described.startswith("pid 345 (evil\\x1b[2J\\n\\ufffdx")
    assert described.isprintable()
    assert len(described) < 50


def test_a_holder_that_is_not_seen_is_not_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _process(tmp_path, "12", b"cat\n", {"0": "/dev/null"})
    _process(tmp_path, str(os.getpid()), b"us\n", {"0": "/dev/vport0p1"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    seen = holder.describe("/dev/vport0p1", proc=tmp_path / "proc")
    assert seen == "a program that cannot be seen from here (root can)"


def test_the_search_for_a_holder_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder, "MOST_DESCRIPTORS", 1)
    _process(tmp_path, "12", b"cat\n", {"0": "/dev/a", "1": "/dev/a"})
    monkeypatch.setattr(os, "readlink", Once(os.readlink))
    assert holder.describe("/dev/b", proc=tmp_path / "proc").startswith("a program that cannot be seen")


def _process(folder: Path, pid: str, name: bytes, descriptors: dict[str, str]) -> None:
    process = folder / "proc" / pid
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_bytes(name)
    for number, target in descriptors.items():
        (process / "fd" / number).symlink_to(target)


class Once:
    """A function that may be called once."""

    def __init__(self, function: Callable[[str], str]) -> None:
        self._functions = [function]

    def __call__(self, path: str) -> str:
        return self._functions.pop()(path)
