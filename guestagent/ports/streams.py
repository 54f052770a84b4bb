"""A pair of asyncio streams as a port: what sockets and serial lines have in common.

Neither can say that the host is away and will be back: a socket ends for good, and a serial line never ends at all.
"""

from __future__ import annotations

import asyncio

from guestagent.ports.port import READ_BYTES, WRITE_SECONDS, PortLost


class StreamPort:
    """An open stream to the host; `path` begins its messages."""

    sees_host = True

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
        seconds = self._patience_seconds(len(frame))
        self._writer.write(frame)
        try:
            await asyncio.wait_for(self._taken(), seconds)
        except asyncio.TimeoutError:
            raise PortLost(f"{self.path}: the host has taken nothing for {seconds:.3g} s") from None
        except OSError as error:
            raise PortLost(f"{self.path}: {error}") from error

    async def wait_for_host(self) -> None:
        """Return at once: an open stream is all we can know."""

    def close(self) -> None:
        """Close it; what was not taken by now is dropped."""
        self._writer.transport.abort()

    def _patience_seconds(self, _length: int) -> float:
        return self._write_seconds

    async def _taken(self) -> None:
        """Return when what was written is out of our hands."""
        await self._writer.drain()
