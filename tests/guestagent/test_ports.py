"""Which transport a path gets, and the two that are streams."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import pty
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from guestagent import find, ports
from guestagent.ports import sockets, tty
from guestagent.ports.port import (
    WRITE_SECONDS,
    Port,
    PortAbsent,
    PortBusy,
    PortLost,
    PortUnavailable,
    PortUnusable,
    TransportMissing,
)
from guestagent.ports.streams import StreamPort
from guestagent.ports.virtio import VirtioPort
from protocol import vhostmd
from protocol.connection import Connection, Received
from protocol.messages import Hello, Role
from tests.guestagent.host import Host, listening, soon

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
    monkeypatch.setattr(find, "is_virtio", lambda path: path.name == "null")
    assert transport_of("/dev/null") == "virtio"
    assert transport_of("/dev/zero") == "tty"


@pytest.mark.parametrize(("name", "words"), [("missing", "not there"), ("", "no socket, virtio port or serial line")])
async def test_a_path_that_is_no_port_may_become_one(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(PortUnavailable, match=words):
        await ports.open_at(str(tmp_path / name))


async def test_a_name_without_a_port_says_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "by_name", lambda _: None)
    with pytest.raises(PortUnavailable, match=r"no virtio port is named io\.x: has the domain such a channel"):
        await ports.open_named("io.x")


async def test_a_name_with_a_port_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "vport0p1")
    monkeypatch.setattr(find, "by_name", lambda _: tmp_path / "vport0p1")
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
        await soon(port.write(b"".join(Connection(Role.GUEST).send(hello))))
        assert await visit.hear(Hello) == hello
        visit.leave()
        with pytest.raises(PortLost, match="closed by the host"):
            await soon(port.read())
        with pytest.raises(PortLost):  # noqa: PT012 - the first write after a hang-up may still succeed
            while True:
                await soon(port.write(b"x"))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
async def test_a_tcp_port_of_the_host_is_a_socket_too(address: str) -> None:
    host = Host()
    try:
        server = await asyncio.start_server(host.receive, "localhost" if address == "localhost" else address)
    except OSError:
        assert address == "::1", "the loopback is there"  # but not everywhere in both families
        return
    number = server.sockets[0].getsockname()[1]
    url = f"socket://[{address}]:{number}" if ":" in address else f"socket://{address}:{number}"
    async with opened(url) as port:
        (await host.visit()).write(b"from the host")
        assert await soon(port.read()) == b"from the host"
        assert port.sees_host
    await host.close()
    server.close()
    with pytest.raises(PortUnavailable, match=f"{number}: "):
        await ports.open_at(url)


async def test_a_host_whose_name_is_not_known_is_waited_for() -> None:
    with pytest.raises(PortUnavailable, match=r"socket://no-such-host\.invalid:1: "):
        await ports.open_at("socket://no-such-host.invalid:1")


@pytest.mark.parametrize("address", ["vsock:1:977", "vsock://1:977"])
async def test_a_vsock_port_that_nobody_listens_on_is_waited_for(address: str) -> None:
    """On any machine: with vsock, without its module, without a loopback. The lab has a host that listens."""
    with pytest.raises(PortUnavailable, match=f"{address}: "):
        await ports.open_at(address)


async def test_a_host_that_does_not_take_the_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(sockets, "CONNECT_SECONDS", 0.01)
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never)
    with pytest.raises(PortUnavailable, match=r"vsock:977: no answer within 0\.01 s"):
        await ports.open_at("vsock:977")


async def test_without_more_words_a_vsock_port_is_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    async def refuse(_: object, address: tuple[int, int]) -> None:
        asked.append(address)
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", refuse)
    for address in ("vsock:977", "vsock://host:977", "vsock:2:977"):
        with pytest.raises(PortUnavailable, match="nobody listens there"):
            await ports.open_at(address)
    assert asked == [(sockets.VSOCK_HOST, 977)] * 3


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
    path, end = line
    every_byte = bytes(range(256))
    hello = Hello(version_min=1, version_max=1, nonce=1, agent_version="0")
    async with opened(path) as port:
        await soon(port.wait_for_host())
        await soon(port.write(b"".join(Connection(Role.GUEST).send(hello))))
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


async def test_a_serial_line_does_not_tell_whether_a_host_is_there(line: tuple[str, VirtioPort]) -> None:
    path, end = line
    assert end.sees_host
    async with opened(path) as port:
        assert not port.sees_host
        assert port.path == path


async def test_a_serial_line_is_for_one_agent(line: tuple[str, VirtioPort]) -> None:
    path, _ = line
    async with opened(path):
        with pytest.raises(PortBusy, match="locked by another program") as caught:
            await ports.open_at(path)
    assert caught.value.node == path
    async with opened(path):
        pass


async def test_a_serial_line_that_takes_nothing_is_closed_without_waiting(line: tuple[str, VirtioPort]) -> None:
    path, end = line
    port = await tty.open_port(path)
    port._write_seconds = 0.05
    with pytest.raises(PortLost, match="taken nothing for"):  # noqa: PT012 - as many as fit
        while True:
            await soon(port.write(b"x" * 512))
    port.close()
    await asyncio.sleep(0)
    assert await soon(end.read()) != b""


async def test_a_long_frame_has_the_time_that_a_slow_line_takes(line: tuple[str, VirtioPort]) -> None:
    port = await tty.open_port(line[0])
    assert port._patience_seconds(0) == WRITE_SECONDS
    assert port._patience_seconds(11520) == WRITE_SECONDS + 1
    port.close()
    await asyncio.sleep(0)


async def test_a_frame_is_written_when_the_kernel_has_passed_it_on(
    line: tuple[str, VirtioPort], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [300, 7, 0]
    async with opened(line[0]) as port:
        monkeypatch.setattr(type(port._writer.transport.serial), "out_waiting", property(lambda _: left.pop(0)))  # type: ignore[attr-defined]
        await soon(port.write(b"frame"))
    assert left == []


async def test_a_serial_line_that_hangs_up_is_lost() -> None:
    host, guest = pty.openpty()
    port = await tty.open_port(os.ttyname(guest))
    os.close(host)
    with pytest.raises(PortLost):
        await soon(port.read())
    with pytest.raises(PortLost):
        await soon(port.write(b"x"))
    port.close()
    port.close()
    await asyncio.sleep(0)
    os.close(guest)


async def test_a_serial_line_that_cannot_be_opened_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(PortAbsent, match="ttyS99: No such file"):
        await tty.open_port(str(tmp_path / "ttyS99"))
    with pytest.raises(PortUnavailable, match=r"/dev/null: .*\(no serial line\)"):
        await tty.open_port("/dev/null")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EIO, "no line is behind this node"), (errno.EACCES, "run the agent as root, or let its group have")],
)
async def test_a_serial_line_that_cannot_be_used_says_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch, line: tuple[str, VirtioPort], number: int, words: str
) -> None:
    def fail(*_: object) -> None:
        raise termios.error(number, os.strerror(number))

    monkeypatch.setattr(termios, "tcgetattr", fail)
    with pytest.raises(PortUnavailable, match=f"{line[0]}: .*{words}"):
        await tty.open_port(line[0])


async def test_a_serial_line_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial_asyncio", None)
    with pytest.raises(TransportMissing, match=r"virtwire\[serial\]"):
        await tty.open_port("/dev/ttyS1")


@pytest.mark.parametrize(
    "wanted",
    [
        ports.Wanted(name=vhostmd.CHANNEL),
        ports.Wanted(name="ours", port=f"/dev/virtio-ports/{vhostmd.CHANNEL}"),
        ports.Wanted(name=vhostmd.CHANNEL, vsock="vsock:977"),
    ],
)
def test_vhostmds_port_is_never_ours_to_hold(wanted: ports.Wanted) -> None:
    with pytest.raises(PortUnusable, match=r"^org\.github\.vhostmd\.1: this is vhostmd's port"):
        ports.opener(wanted)


async def test_a_path_that_leads_to_vhostmds_port_is_refused_whatever_it_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sys = tmp_path / "sys"
    entry = sys / "class/virtio-ports/vport0p2"
    entry.mkdir(parents=True)
    (entry / "name").write_text(vhostmd.CHANNEL + "\n")
    link = tmp_path / "mine"
    link.symlink_to("vport0p2")
    (tmp_path / "vport0p2").touch()
    monkeypatch.setattr(find, "name_at", functools.partial(find.name_at, sys=sys))
    with pytest.raises(PortUnusable, match="vhostmd's port"):
        ports.opener(ports.Wanted(name="ours", port=str(link)))
    with pytest.raises(PortUnusable, match="vhostmd's port"):
        await ports.open_at(str(link))
