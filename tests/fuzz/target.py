"""Any bytes as something that happens to a connection: what a fuzzer changes, and what the corpus is written in.

The first byte says to whom it happens and how the rest is meant (`Mode`): as the stream itself, or as a script of
frames that get their checksum and session here, because no search finds a CRC-32 by chance.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from protocol import framing
from protocol.connection import Connection
from protocol.messages import MESSAGES, Role
from tests.fuzz import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

GREETINGS = frozenset(row.number for row in MESSAGES if row.is_greeting)
FRAME_HEAD_BYTES = 4  # type, what its number adds to the last one, length in two bytes


class Mode(enum.IntFlag):
    """The first byte."""

    GUEST = 1  # it happens to a guest, and otherwise to a host
    SESSION = 2  # that is in a session already
    SCRIPT = 4  # the rest is a script, and otherwise the stream
    BYTEWISE = 8  # in reads of a few bytes, and otherwise in one


def run(data: bytes) -> None:
    """Let it happen.

    Raises:
        AssertionError: the contract is broken; any other exception says the same.

    """
    mode, rest = Mode(data[0] & 0x0F if data else 0), data[1:]
    role = Role.GUEST if mode & Mode.GUEST else Role.HOST
    end, peer = contract.in_session(role) if mode & Mode.SESSION else (Connection(role), None)
    stream = b"".join(frames(rest, peer)) if mode & Mode.SCRIPT else rest
    step = 7 if mode & Mode.BYTEWISE else max(1, len(stream))
    contract.take(end, (stream[at : at + step] for at in range(0, len(stream), step)))


def frames(script: bytes, peer: Connection | None) -> Iterator[bytes]:
    """The frames that the script tells, of the peer's session if it has one."""
    at, sequence = 0, 0
    session, seed = (peer.session, peer._seed) if peer else (0, 0)
    while at + FRAME_HEAD_BYTES <= len(script):
        message_type, more, high, low = script[at : at + FRAME_HEAD_BYTES]
        body = script[at + FRAME_HEAD_BYTES :][: (high << 8 | low) & 0x7FFF]
        at += FRAME_HEAD_BYTES + len(body)
        sequence = (sequence + more) & 0xFFFF_FFFF
        is_greeting = message_type in GREETINGS
        frame = framing.Frame(message_type, 0 if is_greeting else session, sequence, body[: 30 * 1024])
        yield framing.encode(frame, 0 if is_greeting else seed)


def script(*told: tuple[int, bytes]) -> bytes:
    """A script of such frames, numbered one after the other: (type, body) each."""
    return b"".join(bytes([kind, 1]) + len(body).to_bytes(2, "big") + body for kind, body in told)
