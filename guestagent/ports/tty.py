"""A real serial line: isa-serial, USB, `/dev/hvcN` of a Xen guest, or a pyserial URL such as `socket://host:port`.

pyserial-asyncio is loaded only here and only when such a port is asked for: the agent's other ports need nothing but
Python. It opens the line raw (all 256 byte values pass) and throws away what arrived before.
"""

from __future__ import annotations

from guestagent.ports.port import PortUnavailable, TransportMissing
from guestagent.ports.streams import StreamPort

BAUD_RATE = 115200
"""Virtual lines ignore it; a real one has to be set to something."""


async def open_port(path: str) -> StreamPort:
    """The serial line at `path`.

    Raises:
        TransportMissing: pyserial-asyncio is not installed.
        PortUnavailable: there is no such line, or it may not be opened.

    """
    try:
        import serial_asyncio  # noqa: PLC0415 - optional, and slow to load on a small guest
    except ImportError as error:
        raise TransportMissing(
            f"{path}: a serial line needs pyserial-asyncio (pip install 'virtwire[serial]')"
        ) from error
    try:
        reader, writer = await serial_asyncio.open_serial_connection(url=path, baudrate=BAUD_RATE)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        raise PortUnavailable(f"{path}: {error}") from error
    return StreamPort(path, reader, writer)
