"""One gzip member from a part that was compressed before and a tail that was not.

Deflate can be flushed so that nothing after the flush refers to anything before it (Z_FULL_FLUSH, on a byte's border):
what was compressed once is then good in front of any tail. Not two members one after the other, which RFC 1952 allows
too: not every client of HTTP reads on after the first.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEVEL = 1
"""Of 1 to 9. On a page of 10 MB, 1 takes 25 ms and leaves 8.1 %; 4 takes 41 ms for 6.8 %, 6 takes 69 ms for no less."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate; no name, no time; compressed fast; by no matter what


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflated:
    """The compressed beginning of a page, with what the end of its member has to know."""

    data: bytes
    crc: int
    size: int


def deflated(start: Sequence[bytes]) -> Deflated:
    """`start`, ready to stand before any tail."""
    crc = 0
    for piece in start:
        crc = zlib.crc32(piece, crc)
    return Deflated(data=_deflate(start, zlib.Z_FULL_FLUSH), crc=crc, size=sum(map(len, start)))


def member(start: Deflated, tail: bytes) -> bytes:
    """The whole as one gzip member; only `tail` is compressed."""
    trailer = struct.pack("<II", zlib.crc32(tail, start.crc), (start.size + len(tail)) % 2**32)
    return b"".join((_HEADER, start.data, _deflate((tail,), zlib.Z_FINISH), trailer))


def _deflate(pieces: Iterable[bytes], end: int) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)  # negative: bare deflate
    return b"".join([*map(compressor.compress, pieces), compressor.flush(end)])
