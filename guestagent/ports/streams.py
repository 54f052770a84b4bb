"""A pair of asyncio streams as a port: what unix sockets and serial lines have in common.

Neither can say that the host is away and will be back: a socket ends for good, and a serial line never ends at all.
"""

from __future__ import annotations

import asyncio

from guestagent.ports.port import READ_BYTES, WRITE_SECONDS, PortLost


class StreamPort:
    """An open stream to the host; `path` begins its messages."""

    def __init__(
        self,
        path: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        self.path = path
        self._reader = reader
        self._writer = writer
        self._write_seconds = write_seconds
        writer.transport.set_write_buffer_limits(high=0)  # so that drain means "the kernel has it"

    async def read(self) -> bytes:
        """Some bytes; the end of the stream is the end of the port."""
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise PortLost(f"{self.path}: {error}") from error
        if not data:
            raise PortLost(f"{self.path}: closed by the host")
        return data

    async def write(self, frame: bytes) -> None:
        """The frame, in one `write`; a host that does not take it in time gets a new connection."""
        self._writer.write(frame)
        try:
            await asyncio.wait_for(self._writer.drain(), self._write_seconds)
        except asyncio.TimeoutError:
            raise PortLost(f"{self.path}: the host has taken nothing for {self._write_seconds:g} s") from None
        except OSError as error:
            raise PortLost(f"{self.path}: {error}") from error

    async def wait_for_host(self) -> None:
        """Return at once: an open stream is all we can know."""

    def close(self) -> None:
        """Close it; what was not taken by now is dropped."""
        self._writer.transport.abort()
