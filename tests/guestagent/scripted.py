"""An agent for tests, and a port that does and fails as a test says."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from guestagent.agent import Agent
from guestagent.clock import boot_seconds
from guestagent.conversation import Conversation
from guestagent.ports.port import HostAway, Port, PortLost
from guestagent.report import Reporter
from protocol.connection import Connection, Dropped
from protocol.messages import (
    TAKES_EVENTS,
    Hello,
    Report,
    Role,
    Welcome,
)
from tests.guestagent.host import soon
from tests.guestagent.journal import MemoryJournal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from guestagent.ports import Opener
    from protocol.connection import Message


def conversing(root: Path, journal: MemoryJournal | None = None) -> Conversation:
    reporter = Reporter(root=root)
    return Conversation(hello=reporter.hello, report=reporter.report, journal=journal)


@contextlib.asynccontextmanager
async def running(
    conversation: Conversation, open_port: Opener, clock: Callable[[], float] = boot_seconds
) -> AsyncIterator[Agent]:
    """The agent as a task, told to stop at the end; a bug in it fails the test."""
    agent = Agent(conversation, open_port, clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run(), name="agent")
        yield agent
        agent.stop()


class ScriptedPort:
    """A port whose host comes, goes and speaks when the test says so."""

    path = "scripted"
    sees_host = True

    def __init__(self) -> None:
        self.host = Connection(Role.HOST)
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.is_there = asyncio.Event()
        self.is_awaited = asyncio.Event()
        self.said: asyncio.Queue[bytes | PortLost] = asyncio.Queue()
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.takes = True
        self.is_closed = False

    async def read(self) -> bytes:
        said = await self.said.get()
        if isinstance(said, PortLost):
            raise said
        return said

    async def write(self, frame: bytes) -> None:
        if not self.takes:
            raise HostAway("scripted: takes nothing")
        await self.may_take.wait()
        for piece in self.host.receive(frame):
            assert not isinstance(piece, Dropped)
            self.heard.put_nowait(piece.message)

    async def wait_for_host(self) -> None:
        self.is_awaited.set()
        await self.is_there.wait()
        self.is_awaited.clear()

    def close(self) -> None:
        self.is_closed = True

    async def hear(self) -> Message:
        return await soon(self.heard.get())

    def say(self, message: Message) -> None:
        for frame in self.host.send(message):
            self.said.put_nowait(frame)

    async def missed(self) -> None:
        """Return when the agent knows that the host is not there."""
        await soon(self.is_awaited.wait())
        self.host.reset()

    async def greeted(self) -> None:
        hello = await self.hear()
        assert isinstance(hello, Hello)
        able = (TAKES_EVENTS,)
        self.say(Welcome(version=1, nonce=hello.nonce, session=7, report_interval_seconds=300, capabilities=able))
        assert isinstance(await self.hear(), Report)


def opening(*steps: Port | Exception) -> Opener:
    """Each step in turn: a port to give, or what is wrong."""
    left = list(steps)

    async def open_port() -> Port:
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    return open_port
