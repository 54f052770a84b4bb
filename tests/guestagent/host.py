"""A host on a unix socket that does as the test says: one protocol connection a visit, and nothing by itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from protocol.connection import Connection, Received
from protocol.messages import Hello, Role, Welcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from protocol.connection import Message

T = TypeVar("T")

PATIENCE_SECONDS = 60
"""How long a test waits for what must happen; only a failure takes so long."""


async def soon(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, PATIENCE_SECONDS)


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop go on until that is so."""

    async def looking() -> None:
        while not is_so():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)

    await soon(looking())


class Visit:
    """One connection of the agent to this host."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection = Connection(Role.HOST)
        self._reader = reader
        self._writer = writer
        self._heard: list[Received] = []

    async def hear(self, kind: type[T]) -> T:
        """The next message of this kind; what comes before it is passed over."""
        while True:
            while self._heard:
                message = self._heard.pop(0).message
                if isinstance(message, kind):
                    return message
            data = await soon(self._reader.read(65536))
            assert data, f"the agent hung up before {kind.__name__}"
            self._heard += [piece for piece in self.connection.receive(data) if isinstance(piece, Received)]

    def say(self, message: Message) -> None:
        self._writer.writelines(self.connection.send(message))

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def welcome(self, *, session: int = 7, events_taken: int | None = None) -> Hello:
        """Wait to be greeted, and open a session."""
        hello = await self.hear(Hello)
        self.say(
            Welcome(
                version=1,
                nonce=hello.nonce,
                session=session,
                report_interval_seconds=1,
                capabilities=("events",),
                events_taken=events_taken,
            )
        )
        return hello

    def leave(self) -> None:
        self._writer.close()

    def die(self) -> None:
        self._writer.transport.abort()


class Host:
    """Where agents connect to."""

    def __init__(self) -> None:
        self._visits: asyncio.Queue[Visit] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._visits.put_nowait(Visit(reader, writer))

    async def visit(self) -> Visit:
        return await soon(self._visits.get())

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await soon(writer.wait_closed())


@contextlib.asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Host]:
    host = Host()
    server = await asyncio.start_unix_server(host.receive, path)
    try:
        yield host
    finally:
        server.close()
        await host.close()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - Python 3.13 has removed it
