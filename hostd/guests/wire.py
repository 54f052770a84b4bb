"""The bytes of one connection: read in small helpings, and not at all while too much waits.

Not reading is how a guest is held back: QEMU's buffers fill, then the guest's, and the writer in the guest waits.
"""

import asyncio
from collections import deque

from hostd.guests.patience import LineDown

READ_BYTES = 4 * 1024  # at most this is decoded before other guests have their turn; QEMU's own helpings
MAX_UNREAD_BYTES = 2 * READ_BYTES  # what has been read and not looked at; past it, reading waits
MAX_UNSENT_BYTES = 64 * 1024  # a guest that does not read may hold this much of our memory


class Wire(asyncio.BufferedProtocol):
    """What asyncio moves the bytes of one connection with."""

    _buffer = memoryview(bytearray(READ_BYTES))
    """One for all: the loop fills it and hands it over in one go."""

    def __init__(self) -> None:
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._came = asyncio.Event()
        self._is_closed = False
        self._is_held = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """QEMU is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - as asyncio calls it
        """Where the next helping goes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """A helping came."""
        self._unread.append(bytes(self._buffer[:nbytes]))
        self._unread_bytes += nbytes
        self._came.set()
        if self._unread_bytes >= MAX_UNREAD_BYTES:
            self._hold()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whichever way: QEMU is not there
        """QEMU is gone; what came before can still be read."""
        self._is_closed = True
        self._came.set()

    async def read(self, until: float) -> bytes:
        """What has come by `until` (the loop's clock): `b""` if nothing has.

        Raises:
            LineDown: QEMU closed its end, and all that came before is read.

        """
        if not self._unread and not self._is_closed:
            self._came.clear()
            self._let_on()
            timer = asyncio.get_running_loop().call_at(until, self._came.set)  # half of what `timeout_at` costs
            try:
                await self._came.wait()
            finally:
                timer.cancel()
        if self._unread:
            data = self._unread.popleft()
            self._unread_bytes -= len(data)
            return data
        if self._is_closed:
            raise LineDown("QEMU closed the channel")
        return b""

    def poke(self) -> None:
        """Have `read` return, though nothing came."""
        self._came.set()

    def write(self, frames: list[bytes]) -> None:
        """Send them.

        Raises:
            LineDown: the guest does not read, or QEMU is gone.

        """
        assert self._transport is not None
        for frame in frames:
            if self._is_closed or self._transport.is_closing():
                raise LineDown("QEMU closed the channel")
            if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
                raise LineDown(f"the guest has not read {MAX_UNSENT_BYTES} bytes")
            self._transport.write(frame)

    async def rest(self, seconds: float) -> None:
        """Read nothing for so long: QEMU's buffers fill, and then the guest's."""
        self._hold()
        await asyncio.sleep(seconds)

    def _hold(self) -> None:
        if not self._is_held and self._transport is not None and not self._is_closed:
            self._is_held = True
            self._transport.pause_reading()

    def _let_on(self) -> None:
        if self._is_held and self._transport is not None and not self._is_closed:
            self._is_held = False
            self._transport.resume_reading()
