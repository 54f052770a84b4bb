"""The roster: a session for every active domain with our channel, whatever becomes of the domains."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hostd import telemetry
from hostd.guests import dialogue, roster, telling
from hostd.guests.roster import keep
from hostd.model import changes
from hostd.model.domain import Domain, DomainFacts, Guest
from hostd.model.host import Connection as HypervisorConnection
from hostd.model.stats import DomainState
from hostd.model.world import World
from hostd.settings import GuestSettings
from hostd.store import Store
from hostd.systemd import Supervisor
from protocol.connection import Connection
from protocol.messages import HelloRequest, Metrics, Notice, Report, Role
from tests.hostd.guests.conftest import post
from tests.support.builders import HELLO, OTHER_UUID, REPORT, UUID, channel, facts, shut_off, world
from tests.support.guest import Line, Qemu, qemu_at
from tests.support.running import running

SETTINGS = GuestSettings(report_interval_seconds=0.1)


class Host:
    """A store that the roster attends to, and QEMUs for domains to have."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.store = Store(world())
        self._folder = folder
        self._stack = stack

    async def qemu(self, name: str) -> Qemu:
        return await self._stack.enter_async_context(qemu_at(self._folder / f"{name}.sock"))

    def describe(self, its: DomainFacts) -> None:
        self.store.tell(changes.DomainDescribed(facts=its))

    async def until_connected(self, uuid: str, *, sessions: int = 1) -> None:
        await self.store.until(
            lambda w: w.domains[uuid].guest.is_connected and w.domains[uuid].guest.sessions == sessions
        )


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with AsyncExitStack() as stack:
        host = Host(tmp_path, stack)
        await stack.enter_async_context(running(keep(post(host.store, SETTINGS), Supervisor())))
        yield host


def at(qemu: Qemu, uuid: str = UUID, name: str = "alpha") -> DomainFacts:
    """A running domain whose channel is there."""
    return facts(uuid, name, channel=channel(str(qemu.path)))


async def hung_up(line: Line) -> None:
    """Wait until the host has closed its end."""
    while await line._reader.read(65536):
        pass


async def flood(line: Line, data: bytes) -> None:
    """Say the same until the host has had enough, and read what it says to it."""
    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(hung_up(line))
            while not reading.done():
                await line.push(data)
    except* ConnectionError:
        pass


def is_held_back(guest: Guest) -> bool:
    return guest.is_quarantined or guest.throttled_seconds > 0


async def test_a_domain_that_has_the_channel_is_attended_to(host: Host) -> None:
    qemu = await host.qemu("alpha")
    host.describe(at(qemu))
    await (await qemu.line()).greet()
    await host.until_connected(UUID)
    assert telemetry.REGISTRY.get_sample_value("hostd_guest_channels", {"connection": ""}) == 1


async def test_a_domain_without_the_channel_or_not_active_is_not(host: Host) -> None:
    qemu = await host.qemu("alpha")
    host.describe(facts(OTHER_UUID, "beta"))
    host.describe(shut_off(channel=channel(str(qemu.path))))
    assert roster._wanted(host.store.world) == {}


async def test_a_domain_that_stops_has_its_session_ended(host: Host) -> None:
    qemu = await host.qemu("alpha")
    host.describe(at(qemu))
    line = await qemu.line()
    await line.greet()
    await host.until_connected(UUID)
    host.describe(shut_off())
    await hung_up(line)
    guest = host.store.world.domains[UUID].guest
    assert (guest.is_connected, guest.reconnects) == (False, 0)


async def test_a_domain_that_is_gone_has_its_session_ended(host: Host) -> None:
    qemu = await host.qemu("alpha")
    host.describe(at(qemu))
    line = await qemu.line()
    await line.greet()
    await host.until_connected(UUID)
    host.store.tell(changes.DomainGone(uuid=UUID))
    await hung_up(line)


async def test_a_domain_that_starts_anew_has_its_new_channel_attended_to_and_not_the_old(host: Host) -> None:
    first, second = await host.qemu("alpha-1"), await host.qemu("alpha-2")
    host.describe(at(first))
    line = await first.line()
    await line.greet()
    await host.until_connected(UUID)
    host.describe(at(second))
    await hung_up(line)
    await (await second.line()).greet()
    await host.until_connected(UUID, sessions=2)
    assert host.store.world.domains[UUID].guest.reconnects == 0


async def test_a_paused_domain_keeps_its_session(host: Host) -> None:
    qemu = await host.qemu("alpha")
    host.describe(at(qemu))
    line = await qemu.line()
    await line.greet()
    await host.until_connected(UUID)
    host.store.tell(changes.DomainEvent(uuid=UUID, name="alpha", event="suspended", detail="paused", at=1.0))
    await line.hear_and_acknowledge(Metrics)
    await line.hear(Metrics)
    assert host.store.world.domains[UUID].guest.sessions == 1


async def test_a_guest_is_told_at_once_what_happened_to_its_domain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "HEARTBEAT_SECONDS", 3600.0)
    seldom = GuestSettings(report_interval_seconds=3600.0)
    async with AsyncExitStack() as stack:
        host = Host(tmp_path, stack)
        await stack.enter_async_context(running(keep(post(host.store, seldom), Supervisor())))
        qemu = await host.qemu("alpha")
        host.describe(at(qemu))
        line = await qemu.line()
        await line.greet(replace(HELLO, window=4))
        await line.hear(Metrics)  # and from here on there is nothing that would wake the session by itself
        moved = changes.DomainEvent(uuid=UUID, name="alpha", event="started", detail="migrated", at=time.time())
        host.store.tell(moved)
        host.describe(at(qemu))
        told, _ = await line.hear(Notice)
        assert told.kind == "moved"


async def test_losing_libvirt_costs_no_guest_its_session(host: Host) -> None:
    qemu = await host.qemu("alpha")
    host.describe(at(qemu))
    line = await qemu.line()
    await line.greet()
    host.store.tell(changes.HypervisorLost(why="end of file"))
    await line.say(REPORT)
    await host.store.until(lambda w: w.domains[UUID].guest.report == REPORT)


@pytest.mark.parametrize(
    "data",
    [
        b"".join(Connection(Role.GUEST).send(HELLO)) * 200,
        b"\0" * 16384,
        b"\0\x02a" * 5000,
        b"a" * 16384,
    ],
    ids=["hellos", "zeros", "junk", "one long frame"],
)
async def test_a_guest_that_floods_leaves_the_others_served(host: Host, data: bytes) -> None:
    alpha, beta = await host.qemu("alpha"), await host.qemu("beta")
    host.describe(at(alpha))
    host.describe(at(beta, OTHER_UUID, "beta"))
    flooded, line = await alpha.line(), await beta.line()
    flooding = asyncio.get_running_loop().create_task(flood(flooded, data))
    await line.greet()
    for number in range(1, 6):
        await line.hear_and_acknowledge(Metrics)
        await line.say(Report(cpus=number))
        await host.store.until(
            lambda w, number=number: w.domains[OTHER_UUID].guest.report == Report(cpus=number)  # type: ignore[misc]  # of this turn
        )
    await host.store.until(lambda w: is_held_back(w.domains[UUID].guest))
    assert not is_held_back(host.store.world.domains[OTHER_UUID].guest)
    flooding.cancel()
    with suppress(asyncio.CancelledError):
        await flooding


async def test_a_session_that_fails_in_a_way_nobody_foresaw_leaves_the_others_served(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = telling.metrics_for

    def fail_for_alpha(known: object, uuid: str, *rest: object, **named: object) -> Metrics:
        return tell(known, uuid, *rest, **named) if uuid != UUID else Metrics(host_cpus=1 // 0)  # type: ignore[arg-type]

    monkeypatch.setattr(dialogue, "metrics_for", fail_for_alpha)
    alpha, beta = await host.qemu("alpha"), await host.qemu("beta")
    host.describe(at(alpha))
    host.describe(at(beta, OTHER_UUID, "beta"))
    line = await beta.line()
    await line.greet()
    failing = await alpha.line()
    await failing.hear(HelloRequest)
    await failing.say(HELLO)
    await host.store.until(lambda w: w.domains[UUID].guest.reconnects == 1)
    await line.hear_and_acknowledge(Metrics)
    await line.hear(Metrics)
    assert host.store.world.domains[OTHER_UUID].guest.reconnects == 0


async def test_a_channel_that_is_attached_while_the_domain_runs_is_attended_to_and_one_that_is_detached_is_not(
    host: Host,
) -> None:
    qemu = await host.qemu("alpha")
    host.describe(facts())
    host.describe(at(qemu))
    line = await qemu.line()
    await line.greet()
    await host.until_connected(UUID)
    host.describe(facts())
    await hung_up(line)
    assert not host.store.world.domains[UUID].guest.is_connected


async def test_a_domain_that_migrates_to_us_is_connected_to_while_it_stands_still(host: Host) -> None:
    qemu = await host.qemu("alpha")
    host.describe(replace(at(qemu), state=DomainState.PAUSED, reason="migration"))
    await (await qemu.line()).greet()
    await host.until_connected(UUID)


async def test_a_guests_report_does_not_make_the_roster_look_at_all_domains(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = await host.qemu("alpha")
    host.describe(at(qemu))
    line = await qemu.line()
    await line.greet()
    await host.until_connected(UUID)
    monkeypatch.setattr(roster, "_wanted", lambda _: pytest.fail("it looked"))
    for _ in range(20):
        await line.say(REPORT)
    await host.store.until(lambda w: w.domains[UUID].guest.reports == 20)


async def test_a_line_is_to_the_process_that_libvirt_says_the_domain_is() -> None:
    at_qemu = unconnected_to("qemu:///system", Domain(facts=facts(name="a&b", channel=channel())))
    assert roster._line(at_qemu, UUID, SETTINGS, Supervisor()).pid_file == Path("/run/libvirt/qemu/a&amp;b.pid")
    elsewhere = unconnected_to("test:///default", Domain(facts=facts(channel=channel())))
    assert roster._line(elsewhere, UUID, SETTINGS, Supervisor()).pid_file is None


def unconnected_to(uri: str, domain: Domain) -> World:
    return World(connection=HypervisorConnection(uri=uri, name=""), domains={domain.uuid: domain})
