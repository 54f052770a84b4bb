"""vhostmd's metrics disk: a document and a header of 16 bytes in a raw image that guests have as a read-only disk.

Nothing locks it, so the two sides keep to an order: the writer marks the disk busy before it touches anything else,
sets the sum only once the content is whole, and lets go last; the reader takes the content between two looks at the
header, and believes it only if neither was busy and both had the same sum. (vhostmd sets the sum before the content: a
look that is torn, with the mark of before and that sum, could then not be told from the second one.)
Pure: which bytes go where, and what may be believed.

Header: signature, busy, sum, length, each 32 bits and big-endian. The sum adds up bytes and is compared with nothing
but its former self, so the writer has to see to it that it changes with the content (`distinct`). libmetrics reads in
steps of 64 KiB and takes no less, so a size is a multiple of that.

Light on purpose: a guest's monitoring may start `vm-dump-metrics` every few seconds, hence no dataclasses.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Collection

SIGNATURE = b"mvbd"
HEADER_BYTES = 16
STEP_BYTES = 64 * 1024
DEFAULT_BYTES = 256 * 1024
MAX_BYTES = 256 * 1024 * 1024

_HEADER = struct.Struct(">4sIII")
_BUSY_AT = 4
_WORD = struct.Struct(">I")
_SUM_AT = 8
_SUM_AND_LENGTH = struct.Struct(">II")
_ASCII = bytes(range(0x80))


class NotMetricsDisk(ProtocolError):  # noqa: N818 - named for what is so
    """There is no such header: it is another disk."""


class TooLarge(ProtocolError):  # noqa: N818
    """The content does not fit; the message says into what."""


class Header(NamedTuple):
    """What a disk says of itself."""

    is_busy: bool
    sum: int
    length: int  # of the content, in bytes; a claim like all else here


class Write(NamedTuple):
    """Bytes, and where on the disk they go."""

    offset: int
    data: bytes


def checksum(content: bytes) -> int:
    """The bytes added up as C's `char`, which is signed on x86, in 32 bits."""
    high = len(content.translate(None, _ASCII))
    return (sum(content) - (high << 8)) & 0xFFFF_FFFF


def distinct(content: bytes, last_sums: Collection[int]) -> bytes:
    """The content, with as many blanks and a newline at its end as make its sum none of those."""
    padded, blanks = content, 0
    while checksum(padded) in last_sums:
        blanks += 1
        padded = content + b" " * blanks + b"\n"
    return padded


def updating(content: bytes, size_bytes: int) -> tuple[Write, ...]:
    """The writes, to be done in this order, that put `content` on a disk of that size, whatever is on it.

    The signature comes after the mark: what was no metrics disk is not one before it is busy.

    Raises:
        TooLarge: there is no room for it.

    """
    room = size_bytes - HEADER_BYTES
    if len(content) > room:
        raise TooLarge(f"{len(content)} bytes of metrics do not fit into the {room} bytes of the disk")
    return (
        Write(_BUSY_AT, _WORD.pack(1)),
        Write(0, SIGNATURE),
        Write(HEADER_BYTES, content),
        Write(_SUM_AT, _SUM_AND_LENGTH.pack(checksum(content), len(content))),
        Write(_BUSY_AT, _WORD.pack(0)),
    )


def header_of(data: bytes) -> Header:
    """The header that a disk begins with.

    Raises:
        NotMetricsDisk: it begins otherwise, or is too short.

    """
    if len(data) < HEADER_BYTES or not data.startswith(SIGNATURE):
        raise NotMetricsDisk("no metrics disk: it does not begin with " + SIGNATURE.decode())
    _, busy, sum_, length = _HEADER.unpack_from(data)
    return Header(is_busy=busy != 0, sum=sum_, length=length)


def is_whole(before: Header, after: Header) -> bool:
    """Whether what was read between these two looks is one document. The length is compared as well as the sum."""
    return not before.is_busy and before == after
