"""Which transport a path gets, and the two that are streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import sys
from typing import TYPE_CHECKING

import pytest

from guestagent import ports
from guestagent.ports import tty
from guestagent.ports.port import Port, PortLost, PortUnavailable, TransportMissing
from guestagent.ports.streams import StreamPort
from guestagent.ports.virtio import VirtioPort
from protocol.connection import Connection, Received
from protocol.messages import Hello, Role
from tests.guestagent.host import listening, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from protocol.connection import Dropped


@pytest.fixture
async def line() -> AsyncIterator[tuple[str, VirtioPort]]:
    """A serial line: the guest's end by its path, and the host's end open (a virtio port reads any file)."""
    host, guest = pty.openpty()
    os.set_blocking(host, False)
    end = VirtioPort("line", host)
    yield os.ttyname(guest), end
    end.close()
    os.close(guest)


@contextlib.asynccontextmanager
async def opened(path: str) -> AsyncIterator[Port]:
    port = await ports.open_at(path)
    yield port
    port.close()
    await asyncio.sleep(0)


def transport_of(path: str) -> str:
    return next((transport.name for transport in ports.TRANSPORTS if transport.fits(path)), "none")


async def test_the_transport_is_chosen_by_what_the_path_is(tmp_path: Path, line: tuple[str, VirtioPort]) -> None:
    assert transport_of("socket://127.0.0.1:1") == "tcp"
    assert transport_of("vsock://2:9177") == transport_of("vsock:9177") == "vsock"
    assert transport_of(line[0]) == "tty"
    assert transport_of(str(tmp_path)) == "none"
    async with listening(tmp_path / "host"):
        assert transport_of(str(tmp_path / "host")) == "unix"


def test_a_character_device_that_sysfs_knows_is_a_virtio_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.find, "is_virtio", lambda path: path.name == "null")
    assert transport_of("/dev/null") == "virtio"
    assert transport_of("/dev/zero") == "tty"


@pytest.mark.parametrize(("name", "words"), [("missing", "not there"), ("", "no socket, virtio port or serial line")])
async def test_a_path_that_is_no_port_may_become_one(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(PortUnavailable, match=words):
        await ports.open_at(str(tmp_path / name))


async def test_a_name_without_a_port_says_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.find, "by_name", lambda _: None)
    with pytest.raises(PortUnavailable, match=r"no virtio port is named io\.x: has the domain such a channel"):
        await ports.open_named("io.x")


async def test_a_name_with_a_port_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "vport0p1")
    monkeypatch.setattr(ports.find, "by_name", lambda _: tmp_path / "vport0p1")
    port = await ports.open_named("io.x")
    assert isinstance(port, VirtioPort)
    port.close()


async def test_a_socket_nobody_listens_on_is_waited_for(tmp_path: Path) -> None:
    async with listening(tmp_path / "host"):
        os.link(tmp_path / "host", tmp_path / "stale")  # Path.hardlink_to came with 3.10
    with pytest.raises(PortUnavailable, match="refused"):
        await ports.open_at(str(tmp_path / "stale"))


async def test_a_socket_is_read_and_written_until_the_host_hangs_up(tmp_path: Path) -> None:
    async with listening(tmp_path / "host") as host, opened(str(tmp_path / "host")) as port:
        visit = await host.visit()
        await soon(port.wait_for_host())
        visit.write(b"from the host")
        assert await soon(port.read()) == b"from the host"
        hello = Hello(version_min=1, version_max=1, nonce=1, agent_version="0")
        await soon(port.write(Connection(Role.GUEST).send(hello)))
        assert await visit.hear(Hello) == hello
        visit.leave()
        with pytest.raises(PortLost, match="closed by the host"):
            await soon(port.read())
        with pytest.raises(PortLost):  # noqa: PT012 - the first write after a hang-up may still succeed
            while True:
                await soon(port.write(b"x"))


async def test_a_host_that_takes_nothing_loses_the_socket(tmp_path: Path) -> None:
    async with listening(tmp_path / "host") as host:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "host")
        port = StreamPort("port", reader, writer, write_seconds=0.05)
        visit = await host.visit()
        visit._reader._transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(PortLost, match=r"taken nothing for 0\.05 s"):  # noqa: PT012 - as many as fit
            while True:
                await soon(port.write(b"x" * 32768))
        port.close()
        visit.die()


async def test_a_serial_line_carries_frames_both_ways(line: tuple[str, VirtioPort]) -> None:
    pytest.importorskip("serial_asyncio")
    path, end = line
    every_byte = bytes(range(256))
    hello = Hello(version_min=1, version_max=1, nonce=1, agent_version="0")
    async with opened(path) as port:
        await soon(port.wait_for_host())
        await soon(port.write(Connection(Role.GUEST).send(hello)))
        host = Connection(Role.HOST)
        heard: list[Received | Dropped] = []
        while not heard:
            heard += list(host.receive(await soon(end.read())))
        assert heard == [Received(hello, 0)]
        await soon(end.write(every_byte))
        data = b""
        while len(data) < len(every_byte):
            data += await soon(port.read())
        assert data == every_byte


async def test_a_serial_line_that_cannot_be_opened_is_waited_for(tmp_path: Path) -> None:
    pytest.importorskip("serial_asyncio")
    with pytest.raises(PortUnavailable, match="ttyS99"):
        await tty.open_port(str(tmp_path / "ttyS99"))


async def test_a_serial_line_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial_asyncio", None)
    with pytest.raises(TransportMissing, match=r"virtwire\[serial\]"):
        await tty.open_port("/dev/ttyS1")
