"""A serial line: isa-serial and pci-serial (`/dev/ttyS1`), a virtio console (`/dev/hvc0`), USB.

pyserial-asyncio is loaded only here and only when such a port is asked for: the agent's other ports need nothing but
Python. It opens the line raw (all 256 byte values pass) and throws away what arrived before.

A line does not tell whether a host is there, and a stalled one must not stall us. Its descriptor does not block, but
closing it does: pyserial-asyncio waits in `tcdrain`, and the kernel in `close` (30 s), until the line has taken all.
So `write` returns only when the kernel's own queue is empty too, and `close` throws away what is left in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import termios

from guestagent.ports.port import PortBusy, PortUnavailable, TransportMissing, unavailable
from guestagent.ports.streams import StreamPort

BAUD_RATE = 115200
"""Emulated lines ignore it (they do some 75 kB/s); a real one has to be set to something."""

BYTES_PER_SECOND = BAUD_RATE / 10
"""What a real line of that rate carries: the least that a healthy one does."""

_LOOK_SECONDS = 0.005
"""The kernel does not tell when its queue is empty. A report is gone after one or two looks."""


async def open_port(path: str) -> SerialPort:
    """The serial line at `path`, for us alone.

    Raises:
        TransportMissing: pyserial-asyncio is not installed.
        PortBusy: another program has locked it.
        PortUnavailable: there is no such line, or it may not be opened.

    """
    try:
        import serial_asyncio  # noqa: PLC0415 - optional, and slow to load on a small guest
    except ImportError as error:
        raise TransportMissing(
            f"{path}: a serial line needs pyserial-asyncio"
            " (apt install python3-serial-asyncio, or pip install 'virtwire[serial]')"
        ) from error
    try:
        reader, writer = await serial_asyncio.open_serial_connection(url=path, baudrate=BAUD_RATE, exclusive=True)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        raise _refused(path, error) from error
    return SerialPort(path, reader, writer)


class SerialPort(StreamPort):
    """An open serial line."""

    sees_host = False

    def close(self) -> None:
        """Close it without waiting; what the line has not taken by now is dropped."""
        transport = self._writer.transport
        line = transport.get_extra_info("serial")
        if line is not None:
            with contextlib.suppress(OSError, termios.error):  # unplugged
                line.reset_output_buffer()
        if not transport.is_closing():  # a line that hung up closes by itself, and fails if it is told to once more
            super().close()

    def _patience_seconds(self, length: int) -> float:
        return self._write_seconds + length / BYTES_PER_SECOND

    async def _taken(self) -> None:
        await super()._taken()
        line = self._writer.transport.get_extra_info("serial")
        while line is not None and line.is_open and line.out_waiting:  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(_LOOK_SECONDS)


def _refused(path: str, error: Exception) -> PortUnavailable:
    hidden = error.__context__  # pyserial hides there what termios said
    number = hidden.args[0] if isinstance(hidden, termios.error) else getattr(error, "errno", None)
    if number == errno.EWOULDBLOCK:
        return PortBusy(f"{path}: locked by another program", path)
    return PortUnavailable(f"{path}: {error}") if number is None else unavailable(path, number)
