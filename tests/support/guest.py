"""QEMU's end of a channel, with an agent behind it that says what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from protocol.connection import Connection, Dropped, Message, Received
from protocol.messages import Ack, Hello, HelloRequest, Role, Welcome
from tests.support.builders import HELLO

M = TypeVar("M")


class Line:
    """One connection that the host opened, from the guest's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection = Connection(Role.GUEST)
        self._reader = reader
        self._writer = writer
        self._heard: list[Received] = []
        self._was_asked = False

    async def greet(self, hello: Hello = HELLO) -> Welcome:
        """Say hello, once the host has asked for it (theirs and ours would cross), and wait for the welcome."""
        if not self._was_asked:
            await self.hear(HelloRequest)
        await self.say(hello)
        return (await self.hear(Welcome))[0]

    async def say(self, message: Message) -> bytes:
        """Send one message; the bytes that went."""
        data = b"".join(self.connection.send(message))
        await self.push(data)
        return data

    async def push(self, data: bytes) -> None:
        """Send bytes, whatever they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def hear(self, kind: type[M]) -> tuple[M, int]:
        """The host's next message of that kind, and its number; others before it are passed over."""
        while True:
            received = await self._next()
            if isinstance(received.message, kind):
                return received.message, received.sequence

    async def hear_and_acknowledge(self, kind: type[M]) -> tuple[M, int]:
        """The same, and tell the host that it came."""
        message, sequence = await self.hear(kind)
        await self.say(Ack(sequence=sequence))
        return message, sequence

    async def next(self) -> Message:
        """Whatever the host says next."""
        return (await self._next()).message

    def close(self) -> None:
        """QEMU ends, or the domain does."""
        self._writer.transport.abort()

    async def _next(self) -> Received:
        while not self._heard:
            data = await self._reader.read(65536)
            assert data, "the host hung up"
            for item in self.connection.receive(data):
                assert not isinstance(item, Dropped), f"the guest could not take what the host said: {item}"
                self._heard.append(item)
                self._was_asked = self._was_asked or isinstance(item.message, HelloRequest)
        return self._heard.pop(0)


class Qemu:
    """Listens at `path`, as QEMU does for a channel."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: asyncio.Queue[Line] = asyncio.Queue()
        self._all: list[Line] = []

    async def line(self) -> Line:
        """The next connection that the host opens."""
        return await self._lines.get()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection came."""
        line = Line(reader, writer)
        self._all.append(line)
        self._lines.put_nowait(line)

    def close(self) -> None:
        """End every connection."""
        for line in self._all:
            line.close()


@asynccontextmanager
async def qemu_at(path: Path) -> AsyncIterator[Qemu]:
    """A QEMU that listens at `path` while the body runs."""
    qemu = Qemu(path)
    server = await asyncio.start_unix_server(qemu.take, path)
    try:
        yield qemu
    finally:
        server.close()
        qemu.close()
