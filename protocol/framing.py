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
    stuffed = bytearray()
    for run in content.split(DELIMITER):
        whole = len(run) - len(run) % _BLOCK_BYTES
        for start in range(0, whole, _BLOCK_BYTES):
            stuffed.append(_BLOCK_BYTES + 1)
            stuffed += run[start : start + _BLOCK_BYTES]
        stuffed.append(len(run) - whole + 1)
        stuffed += run[whole:]
    return bytes(stuffed)


def unstuff(stuffed: bytes) -> bytes:
    """What `stuff` was given.

    Raises:
        RemoteProtocolError: the input is empty, holds a zero, or announces more than it has.

    """
    content = bytearray()
    at, end = 0, len(stuffed)
    while at < end:
        code = stuffed[at]
        run = stuffed[at + 1 : at + code]
        if code == 0 or len(run) != code - 1:
            raise RemoteProtocolError(DropReason.FRAMING, f"code byte {code} at {at} of {end} does not fit")
        content += run
        at += code
        if code <= _BLOCK_BYTES and at < end:
            content.append(0)
    return bytes(content)


class Deframer:
    """Cuts a byte stream at its delimiters; holds at most one frame's worth of an unfinished piece."""

    def __init__(self) -> None:
        self._unfinished = bytearray()
        self._is_skipping = False

    @property
    def is_within_frame(self) -> bool:
        """Whether a frame has begun and not ended: what a deadline on slow peers looks at."""
        return self._is_skipping or bool(self._unfinished)

    def feed(self, data: bytes) -> Iterator[bytes | RemoteProtocolError]:
        """Each piece that `data` completes, in order; an overlong one as the error it is, once."""
        *ended, rest = data.split(DELIMITER)
        for piece in ended:
            yield from self._extend(piece)
            if self._unfinished:
                yield bytes(self._unfinished)
            self.reset()
        yield from self._extend(rest)

    def reset(self) -> None:
        """Forget the unfinished piece: a new connection begins, or a delimiter came."""
        self._unfinished.clear()
        self._is_skipping = False

    def _extend(self, piece: bytes) -> Iterator[RemoteProtocolError]:
        if self._is_skipping:
            return
        if len(self._unfinished) + len(piece) > MAX_FRAME_BYTES - 2:
            self._unfinished.clear()
            self._is_skipping = True
            yield RemoteProtocolError(DropReason.OVERSIZE, f"no delimiter within {MAX_FRAME_BYTES} bytes")
            return
        self._unfinished += piece
