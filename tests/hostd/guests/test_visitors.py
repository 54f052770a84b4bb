"""Guests that come over vsock. No host here has a vsock device: a unix socket stands in, and says who came."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hostd import telemetry
from hostd.config import ConfigError
from hostd.guests import budget, visitors
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.settings import GuestSettings
from hostd.store import Store
from protocol.messages import Report
from tests.hostd.guests.conftest import post
from tests.support.builders import HELLO, OTHER_UUID, UUID, channel, facts, world
from tests.support.guest import Line
from tests.support.running import running

SETTINGS = GuestSettings(report_interval_seconds=3600.0)


class Listener(socket.socket):
    """Says of everybody who connects that they are who the test says."""

    comes_from = (3, 700)

    def accept(self) -> tuple[socket.socket, tuple[int, int]]:
        line, _ = super().accept()
        return line, self.comes_from


class Host:
    """Two domains, of which the second has a channel, and who comes to them."""

    def __init__(self, path: Path) -> None:
        alpha = Domain(facts=facts(vsock_cid=3))
        beta = Domain(facts=facts(OTHER_UUID, "beta", vsock_cid=4, channel=channel()))
        self.store = Store(world(alpha, beta))
        self.listener = Listener(socket.AF_UNIX)
        self.listener.setblocking(False)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self._path = path
        self._lines: list[Line] = []

    async def visit(self, cid: int = 3, port: int = 700) -> Line:
        """Somebody comes from there."""
        self.listener.comes_from = (cid, port)
        line = Line(*await asyncio.open_unix_connection(self._path))
        self._lines.append(line)
        return line

    async def until_connected(self, sessions: int = 1) -> None:
        await self.store.until(
            lambda w: w.domains[UUID].guest.sessions == sessions and w.domains[UUID].guest.is_connected
        )

    def close(self) -> None:
        for line in self._lines:
            line.close()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    host = Host(tmp_path / "vsock")
    async with running(visitors.keep([post(host.store, SETTINGS)], host.listener)):
        yield host
        host.close()


def counted(outcome: str) -> float:
    labels = {"connection": "", "outcome": outcome}
    return telemetry.REGISTRY.get_sample_value("hostd_guest_connects_total", labels) or 0.0


async def flood(line: Line) -> None:
    while True:
        await line.push(b"\0\xff" + b"junk" * 10 + b"\0")


async def hung_up(line: Line) -> None:
    assert await line._reader.read() == b""


async def test_a_guest_that_comes_is_heard_as_the_domain_with_its_address(host: Host) -> None:
    line = await host.visit()
    await line.greet()
    await host.until_connected()
    await line.say(Report(cpus=7))
    await host.store.until(lambda w: w.domains[UUID].guest.report == Report(cpus=7))


async def test_a_guest_that_goes_is_lost_and_may_come_again(host: Host) -> None:
    line = await host.visit()
    await line.greet()
    await host.until_connected()
    line.close()
    await host.store.until(lambda w: not w.domains[UUID].guest.is_connected)
    await (await host.visit()).greet(replace(HELLO, nonce=43))
    await host.until_connected(sessions=2)
    assert host.store.world.domains[UUID].guest.reconnects == 0


async def test_the_newest_of_a_domain_is_heard(host: Host) -> None:
    first = await host.visit()
    await first.greet()
    await host.until_connected()
    second = await host.visit()
    await hung_up(first)
    await second.greet(replace(HELLO, nonce=43))
    await host.until_connected(sessions=2)


@pytest.mark.parametrize(
    ("cid", "port", "outcome"), [(9, 700, "stranger"), (3, 1024, "unprivileged"), (4, 700, "has_channel")]
)
async def test_who_is_not_heard_is_hung_up_on_and_counted(host: Host, cid: int, port: int, outcome: str) -> None:
    before = counted(outcome)
    await hung_up(await host.visit(cid, port))
    assert counted(outcome) == before + 1


async def test_a_guest_in_quarantine_is_not_heard(host: Host) -> None:
    host.store.tell(changes.GuestQuarantined(uuid=UUID, fault="flood"))
    await hung_up(await host.visit())


async def test_a_guest_that_earns_a_quarantine_is_heard_again_after_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "QUARANTINE_FIRST_SECONDS", 0.1)
    line = await host.visit()
    with suppress(ConnectionError):
        await flood(line)
    await host.store.until(lambda w: w.domains[UUID].guest.is_quarantined)
    await host.store.until(lambda w: not w.domains[UUID].guest.is_quarantined)
    await (await host.visit()).greet()
    await host.until_connected()


def test_a_port_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    with visitors.listening(51_999) as first:
        assert first.getsockname()[1] == 51_999
        with pytest.raises(ConfigError, match=r"^guests\.vsock_port: cannot listen at 51999: "):
            visitors.listening(51_999)
