"""The virtio port over what behaves nearly like one: a socket pair (two ways), a FIFO (the other end goes and returns).

The real thing is met in the lab's tests; here are the faults that a lab cannot order.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from typing import TYPE_CHECKING

import pytest

from guestagent.ports import virtio
from guestagent.ports.port import HostAway, PortBusy, PortLost, PortUnavailable
from guestagent.ports.virtio import VirtioPort
from tests.guestagent.host import soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def pair() -> AsyncIterator[tuple[VirtioPort, socket.socket]]:
    """A port, and the host's end."""
    guest, host = socket.socketpair()
    host.setblocking(False)
    guest.setblocking(False)
    port = VirtioPort("port", guest.detach(), write_seconds=60)
    with host:
        yield port, host
    port.close()


@pytest.fixture
async def fifo(tmp_path: Path) -> AsyncIterator[tuple[VirtioPort, Path]]:
    """A port that can only be read, and where a host may open its end."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    port = VirtioPort("port", os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    yield port, path
    port.close()


def failing(number: int) -> Callable[..., bytes]:
    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    return fail


async def test_what_the_host_writes_is_read(pair: tuple[VirtioPort, socket.socket]) -> None:
    port, host = pair
    await soon(port.wait_for_host())
    host.send(b"early")
    assert await soon(port.read()) == b"early"
    asyncio.get_running_loop().call_soon(host.send, b"late")
    assert await soon(port.read()) == b"late"


async def test_a_port_is_read_while_a_frame_waits_for_room(pair: tuple[VirtioPort, socket.socket]) -> None:
    port, host = pair
    frame = b"x" * (4 << 20)  # more than any socket takes while nobody reads
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(port.write(frame), name="writing")
        for number in range(3):
            host.send(b"%d" % number)
            assert await soon(port.read()) == b"%d" % number
        reading = tasks.create_task(port.read(), name="reading")
        await asyncio.sleep(0)
        assert not writing.done()
        taken = 0
        while taken < len(frame):
            taken += len(await soon(asyncio.get_running_loop().sock_recv(host, 1 << 20)))
        await soon(writing)
        assert not reading.done()
        host.send(b"last")
        assert await soon(reading) == b"last"


async def test_a_frame_goes_out_in_one_write(
    pair: tuple[VirtioPort, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, host = pair
    writes: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        writes.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    await soon(port.write(b"x" * 32768))
    assert writes == [32768]
    assert len(host.recv(65536)) == 32768


async def test_a_frame_that_finds_no_room_goes_out_when_there_is_some(pair: tuple[VirtioPort, socket.socket]) -> None:
    port, host = pair
    received = bytearray()
    loop = asyncio.get_running_loop()
    sent = b""
    loop.call_later(0.05, loop.add_reader, host.fileno(), lambda: received.extend(host.recv(65536)))
    for number in range(64):
        sent += bytes([number]) * 32768
        await soon(port.write(bytes([number]) * 32768))
    loop.remove_reader(host.fileno())
    while len(received) < len(sent):
        received += await soon(loop.sock_recv(host, 65536))
    assert received == sent


async def test_a_short_write_is_continued_and_one_of_nothing_is_waited_out(
    pair: tuple[VirtioPort, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, _ = pair
    takes = iter([3, 0, 4])
    given: list[bytes] = []

    def write(_: int, data: bytes) -> int:
        taken = next(takes)
        given.append(data)
        if not taken:
            port._edge.set()  # the ring has room again
        return taken

    monkeypatch.setattr(os, "write", write)
    await soon(port.write(b"1234567"))
    assert given == [b"1234567", b"4567", b"4567"]


async def test_a_host_that_takes_nothing_in_time_counts_as_away() -> None:
    guest, host = socket.socketpair()
    guest.setblocking(False)
    port = VirtioPort("port", guest.detach(), write_seconds=0.05)
    with host, pytest.raises(HostAway, match=r"port: .* nothing for 0.05 s"):  # noqa: PT012 - as many as fit
        while True:
            await soon(port.write(b"x" * 32768))
    port.close()


async def test_a_write_to_a_host_that_is_away_is_told_at_once(
    pair: tuple[VirtioPort, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, host = pair
    host.close()
    monkeypatch.setattr(os, "write", failing(errno.EAGAIN))
    with pytest.raises(HostAway, match="closed"):
        await soon(port.write(b"x"))


async def test_what_was_queued_comes_before_the_end(pair: tuple[VirtioPort, socket.socket]) -> None:
    port, host = pair
    host.send(b"last words")
    host.close()
    assert await soon(port.read()) == b"last words"
    assert await soon(port.read()) == b""
    assert await soon(port.read()) == b""


async def test_a_host_that_returns_is_noticed_on_the_same_descriptor(fifo: tuple[VirtioPort, Path]) -> None:
    port, path = fifo
    for words in (b"first", b"second"):
        host = os.open(path, os.O_WRONLY)
        await soon(port.wait_for_host())
        os.write(host, words)
        assert await soon(port.read()) == words
        os.close(host)
        assert await soon(port.read()) == b""


async def test_waiting_for_the_host_takes_no_turns_of_the_loop(
    fifo: tuple[VirtioPort, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, path = fifo
    os.close(os.open(path, os.O_WRONLY))
    turns = 0
    clear = port._edge.clear

    def counted() -> None:
        nonlocal turns
        turns += 1
        clear()

    monkeypatch.setattr(port._edge, "clear", counted)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(port.wait_for_host(), 0.3)
    assert turns < 5


async def test_a_cancelled_read_loses_nothing(pair: tuple[VirtioPort, socket.socket]) -> None:
    port, host = pair
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(port.read(), 0.01)
    host.send(b"late")
    assert await soon(port.read()) == b"late"


@pytest.mark.parametrize("name", ["read", "write"])
async def test_an_unplugged_port_is_lost(
    pair: tuple[VirtioPort, socket.socket], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    port, _ = pair
    monkeypatch.setattr(os, name, failing(errno.ENODEV))
    with pytest.raises(PortLost, match="port: No such device"):
        await soon(port.write(b"x") if name == "write" else port.read())


async def test_a_port_unplugged_while_the_host_is_away_is_lost(
    pair: tuple[VirtioPort, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, _ = pair
    monkeypatch.setattr(port, "_events", lambda: select.POLLHUP)
    monkeypatch.setattr(os, "read", failing(errno.ENODEV))
    with pytest.raises(PortLost):
        await soon(port.wait_for_host())


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EBUSY, PortBusy, "held open by another program"),
        (errno.ENOENT, PortUnavailable, "No such file"),
        (errno.ENXIO, PortUnavailable, "No such device or address .a console's port"),
        (errno.EACCES, PortUnavailable, "Permission denied .run the agent as root, or let its group have the node"),
    ],
)
async def test_a_port_that_cannot_be_opened_says_why(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[PortUnavailable], words: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing(number))
        with pytest.raises(kind, match=f"/dev/vport0p1: {words}"):
            await virtio.open_port("/dev/vport0p1")


async def test_an_opened_port_is_not_inherited_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    port = await virtio.open_port(str(tmp_path / "fifo"))
    assert not os.get_inheritable(port._descriptor)
    assert not os.get_blocking(port._descriptor)
    port.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(port._descriptor)
