"""QEMU's end of a domain's channel of vhostmd: sockets that do nothing by themselves."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hostd.channels import peer
from protocol import vhostmd
from tests.support.running import until

_BACKLOG = 5


class Port:
    """One connection that hostd opened."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel

    async def say(self, *pieces: bytes) -> None:
        """What the guest writes; each piece is read by hostd before the next is there."""
        for piece in pieces:
            self.push(piece)
            await until(lambda: peer.is_taken(self.channel))

    def push(self, data: bytes) -> None:
        """The same, and whether hostd reads it is another matter."""
        assert self.channel.send(data) == len(data)

    async def answer(self) -> bytes:
        """All up to the next end of an answer: there is one, and nothing behind it."""
        loop, heard = asyncio.get_running_loop(), b""
        while not heard.endswith(vhostmd.END):
            data = await loop.sock_recv(self.channel, 1 << 20)
            assert data, f"hostd hung up after {heard!r}"
            heard += data
        return heard

    async def asked(self, *pieces: bytes) -> bytes:
        """What the guest is answered to that."""
        await self.say(*pieces)
        return await self.answer()

    @property
    def has_answer(self) -> bool:
        """Whether there is anything to read."""
        try:
            return bool(self.channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    async def hung_up(self) -> bytes:
        """Wait until hostd is gone; what it had said that nobody has read."""
        loop, heard = asyncio.get_running_loop(), b""
        while data := await loop.sock_recv(self.channel, 1 << 20):
            heard += data
        return heard


class Qemu:
    """Listens at `path`, as QEMU does for a channel; connections are taken up as a test asks for them."""

    def __init__(self, path: Path, listener: socket.socket, stack: ExitStack) -> None:
        self.path = path
        self._listener = listener
        self._stack = stack

    async def port(self) -> Port:
        """The next connection that hostd opens."""
        channel, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        return Port(self._stack.enter_context(channel))


@contextmanager
def qemu_at(path: Path) -> Iterator[Qemu]:
    """One, while the body runs."""
    with ExitStack() as stack, socket.socket(socket.AF_UNIX) as listener:
        listener.setblocking(False)
        listener.bind(str(path))
        listener.listen(_BACKLOG)
        yield Qemu(path, listener, stack)
