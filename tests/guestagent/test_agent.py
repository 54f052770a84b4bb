"""The agent with a host on a real socket, and over a port that fails on order."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING

import pytest

from guestagent import ports
from guestagent.agent import Agent
from guestagent.ports.port import Port, PortBusy, PortLost, TransportMissing
from protocol.messages import (
    Ack,
    Events,
    Goodbye,
    Hello,
    HelloRequest,
    Metrics,
    Notice,
    NoticeAnswer,
    Ping,
    Refusal,
    Report,
)
from tests.guestagent.host import listening, soon, until
from tests.guestagent.journal import MemoryJournal
from tests.guestagent.scripted import ScriptedPort, conversing, opening, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from guestagent.notices import KeptNotice

ASK = HelloRequest(version_min=1, version_max=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host"


@pytest.fixture
async def agent(root: Path, path: Path) -> AsyncIterator[Agent]:
    async with running(conversing(root), functools.partial(ports.open_at, str(path))) as agent:
        yield agent


async def test_the_agent_reports_and_keeps_what_the_host_says(agent: Agent, path: Path) -> None:
    async with listening(path) as host:
        visit = await host.visit()
        hello = await visit.welcome()
        assert hello.os_name == "Debian GNU/Linux 12 (bookworm)"
        report = await visit.hear(Report)
        assert report.cpus == 2
        visit.say(Metrics(host_cpus=4))
        assert await visit.hear(Ack) == Ack(sequence=1)
        assert agent.conversation.metrics == Metrics(host_cpus=4)
        visit.say(Metrics(host_cpus=8))
        assert await visit.hear(Ack) == Ack(sequence=2)
        assert (await visit.hear(Report)).uptime_seconds == report.uptime_seconds


async def test_a_host_that_is_not_there_at_the_start_is_waited_for(
    root: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = 0
    enough = asyncio.Event()

    async def open_port() -> Port:
        nonlocal attempts
        attempts += 1
        if attempts == 5:
            enough.set()
        return await ports.open_at(str(path))

    async with running(conversing(root), open_port):
        await soon(enough.wait())
        async with listening(path) as host:
            await (await host.visit()).welcome()
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert messages == [f"waiting for the port: {path}: not there"]


async def test_a_host_that_goes_and_returns_is_greeted_anew(agent: Agent, path: Path) -> None:
    async with listening(path) as host:
        visit = await host.visit()
        first = await visit.welcome()
        await visit.hear(Report)
        visit.leave()
        visit = await host.visit()
        second = await visit.welcome()
        await visit.hear(Report)
        assert first.nonce != second.nonce
        assert first.boot_id == second.boot_id


async def test_a_host_that_dies_within_a_frame_leaves_nothing_behind(agent: Agent, path: Path) -> None:
    async with listening(path) as host:
        visit = await host.visit()
        await visit.welcome()
        await visit.hear(Report)
        (frame,) = visit.connection.send(Metrics(host_cpus=4))
        visit.write(frame[:-5])
        visit.die()
        visit = await host.visit()
        await visit.welcome()
        assert (await visit.hear(Report)).dropped_frames == 0
        visit.say(Metrics(host_cpus=8))
        assert await visit.hear(Ack) == Ack(sequence=1)
        assert agent.conversation.metrics == Metrics(host_cpus=8)


async def test_junk_from_the_host_costs_nothing_but_itself(agent: Agent, path: Path) -> None:
    async with listening(path) as host:
        visit = await host.visit()
        visit.write(b"\xff" * 100_000)
        await visit.welcome()
        await visit.hear(Report)
        (frame,) = visit.connection.send(Metrics(host_cpus=4))
        visit.write(b"\xffjunk that is no frame\0" + frame[:10] + b"\0" + frame + b"\0junk")
        await visit.hear(Ack)
        assert agent.conversation.metrics == Metrics(host_cpus=4)
        assert (await visit.hear(Report)).dropped_frames == 3


async def test_a_host_that_refused_and_then_asks_is_greeted(agent: Agent, path: Path) -> None:
    async with listening(path) as host:
        visit = await host.visit()
        hello = await visit.hear(Hello)
        visit.say(Refusal(nonce=hello.nonce, reason="not yet"))
        visit.say(ASK)
        await visit.welcome()
        await visit.hear(Report)


async def test_a_host_that_asks_in_a_session_gets_a_new_one(agent: Agent, path: Path) -> None:
    async with listening(path) as host:
        visit = await host.visit()
        await visit.welcome(session=7)
        await visit.hear(Report)
        visit.say(ASK)
        await visit.welcome(session=8)
        await visit.hear(Report)
        assert visit.connection.session == 8


async def test_an_agent_that_stops_says_goodbye(root: Path, path: Path) -> None:
    async with listening(path) as host:
        async with running(conversing(root), functools.partial(ports.open_at, str(path))):
            visit = await host.visit()
            await visit.welcome()
            await visit.hear(Report)
        assert await visit.hear(Goodbye) == Goodbye(reason="the agent stops")


async def test_an_agent_without_a_session_stops_without_a_word(root: Path) -> None:
    port = ScriptedPort()
    async with running(conversing(root), opening(port)):
        pass
    port = ScriptedPort()
    port.is_there.set()
    async with running(conversing(root), opening(port)):
        assert isinstance(await port.hear(), Hello)
    assert port.is_closed
    assert port.heard.empty()


async def test_an_agent_stops_while_it_waits_for_a_port(root: Path, tmp_path: Path) -> None:
    async with running(conversing(root), functools.partial(ports.open_at, str(tmp_path / "never"))):
        await asyncio.sleep(0)


async def test_an_agent_stops_though_the_host_takes_no_goodbye(root: Path) -> None:
    port = ScriptedPort()
    port.is_there.set()
    async with running(conversing(root), opening(port)):
        await port.greeted()
        port.takes = False
    assert port.is_closed


async def test_a_host_that_takes_nothing_until_it_is_heard_is_heard(root: Path) -> None:
    """Both sides' buffers are full: were one to read only once its own words are taken, neither ever would."""
    port = ScriptedPort()
    port.is_there.set()
    async with running(conversing(root), opening(port)) as agent:
        await port.greeted()
        port.may_take.clear()
        port.say(Ping())
        port.say(Metrics(host_cpus=4))
        await until(lambda: agent.conversation.metrics is not None)
        assert port.heard.empty()
        port.may_take.set()
        assert await port.hear() in (Ack(sequence=1), Ack(sequence=2))


async def test_a_host_that_never_stops_talking_does_not_keep_the_agent_from_answering(root: Path) -> None:
    port = ScriptedPort()
    port.is_there.set()
    async with running(conversing(root), opening(port)):
        await port.greeted()
        (frame,) = port.host.send(Ping())
        port.said.put_nowait(frame)
        for _ in range(1000):
            port.said.put_nowait(b"\0noise\0")
        assert await port.hear() == Ack(sequence=1)
        assert not port.said.empty()


async def test_a_journal_that_has_more_is_looked_at(root: Path) -> None:
    journal, port = MemoryJournal(), ScriptedPort()
    port.is_there.set()
    async with running(conversing(root, journal), opening(port)) as agent:
        journal.on_ready = agent.wake
        await port.greeted()
        journal.write("something")
        events = await port.hear()
        assert isinstance(events, Events)
        assert [event.text for event in events.events] == ["something"]


async def test_what_came_of_a_notice_is_told_when_it_is_known(root: Path) -> None:
    port = ScriptedPort()
    port.is_there.set()
    async with running(conversing(root), opening(port)) as agent:
        told: list[KeptNotice] = []
        agent.conversation.notices.listeners.append(told.append)
        await port.greeted()
        port.say(Notice(number=1, kind="test", severity="info", text=""))
        assert await port.hear() == Ack(sequence=1)
        assert await port.hear() == NoticeAnswer(number=1, status="seen")
        agent.finish(told[0], "done", None)
        assert await port.hear() == NoticeAnswer(number=1, status="done")


async def test_a_guest_that_slept_finds_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's timers stood still: a report is due in 300 s by them, long ago by the clock."""
    monkeypatch.setattr("guestagent.agent.LOOK_SECONDS", 0.01)
    now = 1000.0
    port = ScriptedPort()
    port.is_there.set()
    async with running(conversing(root), opening(port), clock=lambda: now):
        await port.greeted()
        now += 301
        assert isinstance(await port.hear(), Report)
        now += 86400
        assert isinstance(await port.hear(), Hello)


async def test_the_conversation_knows_why_nobody_is_there(root: Path) -> None:
    port = ScriptedPort()
    conversation = conversing(root)
    opens, absences = opening(PortBusy("first: held open"), port), []

    async def open_port() -> Port:
        absences.append(conversation.absence)
        return await opens()

    async with running(conversation, open_port):
        await soon(port.is_awaited.wait())
        assert absences == ["the agent has just started", "no port: first: held open"]
        assert (conversation.absence, conversation.port) == ("no host at the other end", "scripted")
        port.is_there.set()
        await port.greeted()
        assert conversation.absence is None
    assert conversation.port is None


async def test_a_host_that_returns_on_the_same_port_is_greeted_at_once(root: Path) -> None:
    port = ScriptedPort()
    async with running(conversing(root), opening(port)) as agent:
        for _ in range(3):
            port.is_there.set()
            await port.greeted()
            port.is_there.clear()
            port.said.put_nowait(b"")
            await port.missed()
        assert not port.is_closed
        assert agent.conversation.counters["hosts_away"] == 3


async def test_a_host_that_takes_nothing_is_greeted_again_when_it_does(root: Path) -> None:
    port = ScriptedPort()
    port.is_there.set()
    async with running(conversing(root), opening(port)):
        await port.greeted()
        port.takes = False
        port.is_there.clear()
        port.say(Metrics(host_cpus=4))
        await port.missed()
        port.takes = True
        port.is_there.set()
        await port.greeted()
        assert not port.is_closed


async def test_a_port_that_is_lost_is_opened_anew(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = ScriptedPort(), ScriptedPort()
    first.is_there.set()
    second.is_there.set()
    async with running(conversing(root), opening(first, PortBusy("second: held open"), second)) as agent:
        await first.greeted()
        first.said.put_nowait(PortLost("first: unplugged"))
        await second.greeted()
        assert first.is_closed
        assert agent.conversation.counters["ports_lost"] == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["port lost: first: unplugged", "waiting for the port: second: held open"]


async def test_a_port_that_cannot_ever_be_opened_ends_the_agent(root: Path) -> None:
    with pytest.raises(TransportMissing):
        await soon(Agent(conversing(root), opening(TransportMissing("no library"))).run())


@pytest.mark.parametrize("wait", [lambda _: asyncio.sleep(0), lambda port: port.hear()], ids=["opening", "talking"])
async def test_an_agent_that_is_cancelled_is_cancelled(root: Path, wait: Callable[[ScriptedPort], object]) -> None:
    port = ScriptedPort()
    port.is_there.set()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(Agent(conversing(root), opening(port)).run(), name="agent")
        await wait(port)  # type: ignore[misc]
        task.cancel()
    assert task.cancelled()
