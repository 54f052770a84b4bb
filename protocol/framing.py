"""Bytes to frames and back: `0x00 | COBS(header, body, CRC-32) | 0x00`, at most 32 KiB in all.

The checksum begins from a seed that only the two ends of a session know of each other: a frame of another session fails
even if its number happens to be the same, as it may be among clones of one snapshot.

Why so: a virtio-serial stream loses bytes in the middle, starts in the middle and repeats the tail of an earlier
connection, so a reader must find the next whole frame in linear time and must never take a payload for a frame. COBS
keeps 0x00 out of the payload; the leading delimiter flushes whatever debris came before. 32 KiB is what a Linux guest's
virtio port takes in one write, and a frame written at once is never cut by a reconnect.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.errors import DropReason, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_FRAME_BYTES = 32 * 1024
"""The largest frame, delimiters included: one write to a Linux virtio port."""

LAYOUT_VERSION = 1
"""The first byte of every frame: which header follows. Message versions are the handshake's business."""

DELIMITER = b"\0"
HEADER = struct.Struct(">BBII")  # layout version, message type, session, sequence number
CHECKSUM = struct.Struct(">I")
_BLOCK_BYTES = 254  # the longest run of non-zero bytes that one COBS code byte can announce
_CODES = tuple(bytes([length + 1]) for length in range(_BLOCK_BYTES + 1))  # by the length of the run
_LEAST_STUFFED_BYTES = 1 + HEADER.size + CHECKSUM.size
_MOST_STUFFED_BYTES = MAX_FRAME_BYTES - 2 * len(DELIMITER)


@dataclass(frozen=True)
class Frame:
    """One frame as it travels: who, where in the order, and the packed message."""

    type: int
    session: int
    sequence: int
    body: bytes


def encode(frame: Frame, seed: int = 0) -> bytes:
    """The frame's bytes, delimiters included; `seed` (32 bits) is the session's, 0 outside any.

    Raises:
        LocalProtocolError: it would be longer than `MAX_FRAME_BYTES`.

    """
    content = HEADER.pack(LAYOUT_VERSION, frame.type, frame.session, frame.sequence) + frame.body
    stuffed = stuff(content + CHECKSUM.pack(zlib.crc32(content, seed)))
    encoded = DELIMITER + stuffed + DELIMITER
    if len(encoded) > MAX_FRAME_BYTES:
        msg = f"a frame of {len(encoded)} bytes is over the {MAX_FRAME_BYTES} that a port takes at once"
        raise LocalProtocolError(msg)
    return encoded


def decode(stuffed: bytes, seed_of: Callable[[int], int | None] = lambda _: 0) -> Frame:
    """The frame within what stood between two delimiters.

    `seed_of` gives the seed of a session's number, `None` if this side has no such session.

    Raises:
        RemoteProtocolError: it is damaged, too short, of another layout or of another session.

    """
    content = unstuff(stuffed)
    if len(content) < HEADER.size + CHECKSUM.size:
        raise RemoteProtocolError(DropReason.FRAMING, f"{len(content)} bytes are too few for a frame")
    layout, message_type, session, sequence = HEADER.unpack_from(content)
    seed = seed_of(session)
    checked, (checksum,) = content[: -CHECKSUM.size], CHECKSUM.unpack(content[-CHECKSUM.size :])
    if zlib.crc32(checked, seed or 0) != checksum:
        if seed is None:
            raise RemoteProtocolError(DropReason.SESSION, f"session {session:#x} is over, or never was")
        raise RemoteProtocolError(DropReason.CHECKSUM, f"CRC-32 of {len(checked)} bytes does not match")
    if layout != LAYOUT_VERSION:
        raise RemoteProtocolError(DropReason.VERSION, f"frame layout {layout} is not {LAYOUT_VERSION}")
    return Frame(type=message_type, session=session, sequence=sequence, body=checked[HEADER.size :])


def stuff(content: bytes) -> bytes:
    """Consistent overhead byte stuffing (Cheshire and Baker, 1999): the same content without a zero byte."""
    runs = content.split(DELIMITER)
    return b"".join([_CODES[len(run)] + run if len(run) < _BLOCK_BYTES else _blocks(run) for run in runs])


def _blocks(run: bytes) -> bytes:
    """A run that is longer than one code byte can announce."""
    pieces = (run[start : start + _BLOCK_BYTES] for start in range(0, len(run) + 1, _BLOCK_BYTES))
    return b"".join([_CODES[len(piece)] + piece for piece in pieces])


def unstuff(stuffed: bytes) -> bytes:
    """What `stuff` was given.

    Raises:
        RemoteProtocolError: the input is empty, holds a zero, or announces more than it has.

    """
    if DELIMITER in stuffed:
        raise RemoteProtocolError(DropReason.FRAMING, f"a zero at {stuffed.index(DELIMITER)}")
    content = bytearray(stuffed)
    starts, at, end = [1], 0, len(stuffed)
    while at < end:
        code = stuffed[at]
        content[at] = 0  # what a code byte stands for, but for the first and those after a whole block
        at += code
        if code > _BLOCK_BYTES:
            starts.append(at + 1)
    if at != end or not end:
        raise RemoteProtocolError(DropReason.FRAMING, f"{end} bytes announce {at}")
    return b"".join([content[start : following - 1] for start, following in zip(starts, [*starts[1:], end + 1])])


class Deframer:
    """Cuts a byte stream at its delimiters; holds at most one frame's worth of an unfinished piece.

    Pieces too short to be frames are told once for each run of them: telling costs more than a byte or two should.
    """

    def __init__(self) -> None:
        self._unfinished = bytearray()
        self._is_skipping = False
        self._is_debris = False  # the last piece was too short to be a frame

    @property
    def is_within_frame(self) -> bool:
        """Whether a frame has begun and not ended: what a deadline on slow peers looks at."""
        return self._is_skipping or bool(self._unfinished)

    def feed(self, data: bytes) -> Iterator[bytes | RemoteProtocolError]:
        """Each piece that `data` completes, in order; one that cannot be a frame as the error it is, once."""
        first, *more = data.split(DELIMITER)
        yield from self._extend(first)
        if not more:
            return
        last = bytes(self._unfinished)
        self._unfinished.clear()
        self._is_skipping = False
        rest = more.pop()
        for piece in filter(None, (last, *more)):
            is_debris = len(piece) < _LEAST_STUFFED_BYTES
            if not is_debris:
                yield _overlong() if len(piece) > _MOST_STUFFED_BYTES else piece
            elif not self._is_debris:
                yield RemoteProtocolError(DropReason.FRAMING, f"{len(piece)} bytes are too few for a frame")
            self._is_debris = is_debris
        yield from self._extend(rest)

    def reset(self) -> None:
        """Forget the unfinished piece: a new connection begins."""
        self._unfinished.clear()
        self._is_skipping = False
        self._is_debris = False

    def _extend(self, piece: bytes) -> Iterator[RemoteProtocolError]:
        if self._is_skipping:
            return
        if len(self._unfinished) + len(piece) > _MOST_STUFFED_BYTES:
            self._unfinished.clear()
            self._is_skipping = True
            self._is_debris = False
            yield _overlong()
            return
        self._unfinished += piece


def _overlong() -> RemoteProtocolError:
    return RemoteProtocolError(DropReason.OVERSIZE, f"no delimiter within {MAX_FRAME_BYTES} bytes")
