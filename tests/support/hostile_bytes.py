"""What a hostile or broken peer may send, as bytes: for the tests of the wire, of each end, and of a running host.

Nothing here knows a limit by heart; what is "just over" one is made from the limit itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgpack

from protocol import framing, schema
from protocol.connection import Connection
from protocol.messages import MAX_CHUNKS, MESSAGES, Chunk, Hello, Welcome

NUMBERS: Mapping[type[object], int] = {row.message: row.number for row in MESSAGES}

BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "a byte that msgpack never uses": b"\xc1",
    "a map": b"\x80",
    "a map that claims four thousand million": b"\xdf\xff\xff\xff\xff",
    "an array that claims four thousand million": b"\xdd\xff\xff\xff\xff",
    "a text that claims four thousand million": b"\xdb\xff\xff\xff\xff",
    "bytes that claim four thousand million": b"\xc6\xff\xff\xff\xff",
    "an extension that claims four thousand million": b"\xc9\xff\xff\xff\xff\x00",
    "a timestamp": b"\xd6\xff\x00\x00\x00\x00",
    "a timestamp far away": b"\x91\xc7\x0c\xff" + b"\xff" * 12,
    "an empty extension": b"\x91\xc7\x00\x05",
    "nested arrays": b"\x91" * 5000,
    "nested arrays that each claim a million": b"\xdd\x00\x10\x00\x00" * 1000,
    "nested arrays that each claim the most": (b"\xdc" + schema.MAX_ITEMS.to_bytes(2, "big")) * 1000,
    "as many empty arrays as fit": b"\xdc\x00\x80" + (b"\xdc\x00\xf0" + b"\x90" * 0xF0) * 120 + b"\xc0" * 8,
    "one item too many": msgpack.packb([None] * (schema.MAX_ITEMS + 1)),
    "the most items": msgpack.packb([None] * schema.MAX_ITEMS),
    "text that is not UTF-8": b"\x91\xa1\xff",
    "text with half a surrogate": b"\x91\xa3\xed\xa0\x80",
    "text that is too long": msgpack.packb(["a" * (schema.MAX_TEXT_BYTES + 1)]),
    "text that turns around": msgpack.packb(["\u202e\u2066\u200b\ufeff"] * 8),
    "text that moves the cursor": msgpack.packb(["\x1b[2J\x07\r\n\0"] * 8),
    "not a number": msgpack.packb([float("nan")] * 8),
    "infinities": msgpack.packb([float("inf"), float("-inf")] * 8),
    "the largest integers": msgpack.packb([2**64 - 1] * 8),
    "the smallest integers": msgpack.packb([-(2**63)] * 8),
    "numbers almost beyond": msgpack.packb([1.7e308] * 8),
    "flags for numbers": msgpack.packb([True, False] * 4),
    "two bodies": b"\x90\x90",
}
"""Each under what it is. Some are well-formed msgpack, and a class without needed fields may even take them."""


def frame(message_type: int, body: bytes, *, session: int = 0, sequence: int = 0, seed: int = 0) -> bytes:
    """A whole frame, checksum and all, whatever is in it."""
    return framing.encode(framing.Frame(type=message_type, session=session, sequence=sequence, body=body), seed)


def forged(peer: Connection, message_type: int, body: bytes, *, sequence: int | None = None) -> bytes:
    """A frame of the session that `peer` is in, as if it had sent it; by default with the number it would use next."""
    return frame(
        message_type,
        body,
        session=peer.session,
        sequence=peer._sent + 1 if sequence is None else sequence,
        seed=peer._seed,
    )


def chunk(kind: int, index: int, of: int, data: bytes) -> bytes:
    """The body of a chunk."""
    return schema.pack(schema.Record(Chunk), Chunk(kind=kind, index=index, of=of, data=data))


def chunked(peer: Connection, kind: int, body: bytes, *, chunk_bytes: int = 30 * 1024, first: int = 1) -> list[bytes]:
    """The frames of `body` in chunks of that session, however many and however large; the first is number `first`."""
    parts = [body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes)]
    return [
        forged(peer, NUMBERS[Chunk], chunk(kind, index, len(parts), part), sequence=first + index)
        for index, part in enumerate(parts)
    ]


def with_layout(layout: int) -> bytes:
    """A sound frame of a header that does not exist."""
    return with_content(framing.HEADER.pack(layout, 2, 0, 0))


def with_content(content: bytes) -> bytes:
    """A frame around anything, with the right checksum."""
    return b"\0" + framing.stuff(content + framing.CHECKSUM.pack(zlib.crc32(content))) + b"\0"


def streams() -> Mapping[str, bytes]:
    """What may come before anybody has greeted, each under what it is."""
    hello = frame(NUMBERS[Hello], msgpack.packb([1, 1, 7, "hostile"]))
    return {
        "zeros": b"\0" * 4096,
        "no zero at all": b"\xff" * 2 * framing.MAX_FRAME_BYTES,
        "single bytes": b"\0\x01" * 2048,
        "pieces just too short": (b"\0" + b"\x01" * 14) * 200,
        "pieces just long enough": (b"\0" + b"\x01" * 15) * 200,
        "a terminal's noise": b"\r\nlogin: \x1b[2J\0\r\nPassword:",
        "half a frame": hello[: len(hello) // 2],
        "half a frame and a whole one": hello[: len(hello) // 2] + hello,
        "a hello a hundred times": hello * 100,
        "a hello with a wrong checksum": hello[:-3] + bytes([hello[-3] ^ 1 or 2]) + hello[-2:],
        "frames of a layout that does not exist": with_layout(99) + with_layout(0),
        "an empty frame": with_content(b""),
        "frames of sessions that never were": b"".join(frame(number, b"\x90", session=9) for number in range(256)),
        "every type without a session": b"".join(frame(number, b"\x90", sequence=1) for number in range(256)),
        "a welcome to a host": frame(NUMBERS[Welcome], msgpack.packb([1, 1, 1, 1.0])),
        "a greeting in chunks": frame(NUMBERS[Chunk], chunk(NUMBERS[Hello], 0, 2, b"\x94")),
        "every body as a hello": b"".join(frame(NUMBERS[Hello], body) for body in BODIES.values()),
    }


def session_streams(peer: Connection) -> Mapping[str, bytes]:
    """What may come from the other end of an open session, each under what it is."""
    kinds = [row.number for row in MESSAGES]
    nested = chunk(NUMBERS[Chunk], 0, 2, chunk(NUMBERS[Hello], 0, 2, b""))
    return {
        "every body as every message": b"".join(
            forged(peer, kind, body, sequence=at + 1)
            for at, (kind, body) in enumerate((kind, body) for body in BODIES.values() for kind in kinds)
        ),
        "every body in chunks": b"".join(
            b"".join(chunked(peer, kind, body, chunk_bytes=-(-len(body) // 2), first=2 * at + 1))
            for at, (kind, body) in enumerate((kind, body) for body in BODIES.values() if body for kind in kinds)
        ),
        "chunks within chunks": forged(peer, NUMBERS[Chunk], nested),
        "first chunks without end": b"".join(
            forged(peer, NUMBERS[Chunk], chunk(0x10, 0, MAX_CHUNKS, b"\x90"), sequence=at + 1) for at in range(50)
        ),
        "more chunks than there may be": b"".join(chunked(peer, 0x10, b"\xc0" * 300, chunk_bytes=10)),
        "the highest number first": forged(peer, 0x10, b"\x90", sequence=0xFFFF_FFFF) + forged(peer, 0x10, b"\x90"),
        "numbers backwards": b"".join(forged(peer, 0x10, b"\x90", sequence=at) for at in range(50, -1, -1)),
    }
