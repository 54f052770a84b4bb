"""A message longer than a frame, cut into chunks and put together again: pure, and bounded.

The chunks of a message are numbered one after the other and nothing is sent between them: what comes instead of the
next one says at once that the rest is lost, and parts of two messages are never taken for one. A line that loses a
chunk loses the message, and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import DropReason, LocalProtocolError, RemoteProtocolError
from protocol.messages import MAX_CHUNK_BYTES, Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MESSAGE_BYTES = 256 * 1024
"""The longest body: what one side must be ready to hold of a message that is not whole yet."""


def cut(kind: int, body: bytes) -> Iterator[Chunk]:
    """The chunks of `body`.

    Raises:
        LocalProtocolError: it is over `MAX_MESSAGE_BYTES`.

    """
    if len(body) > MAX_MESSAGE_BYTES:
        msg = f"a message of {len(body)} bytes is over the {MAX_MESSAGE_BYTES} that the other side would take"
        raise LocalProtocolError(msg)
    of = -(-len(body) // MAX_CHUNK_BYTES)
    return (
        Chunk(kind=kind, index=index, of=of, data=body[index * MAX_CHUNK_BYTES :][:MAX_CHUNK_BYTES])
        for index in range(of)
    )


class Assembly:
    """The message that is being put together, at most one at a time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._kind = 0
        self._of = 0
        self._due = 0  # the sequence number of the next chunk

    @property
    def is_unfinished(self) -> bool:
        """Whether a message has begun to arrive and is not whole."""
        return bool(self._parts)

    def reset(self) -> None:
        """Forget what there is of a message."""
        self._parts = []

    def is_cut_short_by(self, sequence: int, chunk: Chunk | None) -> bool:
        """Whether a frame of that number means that the rest of the unfinished message will never come.

        Its chunks have numbers one after the other: two messages that each lost a part never become one.
        """
        if not self._parts:
            return False
        return chunk is None or (sequence, chunk.kind, chunk.of, chunk.index) != (
            self._due,
            self._kind,
            self._of,
            len(self._parts),
        )

    def add(self, chunk: Chunk, sequence: int) -> bytes | None:
        """The body that `chunk` completes, if it does; `is_cut_short_by` has been asked before.

        Raises:
            RemoteProtocolError: the beginning is missing, or the whole is too long; the message is lost.

        """
        if not self._parts:
            if chunk.index:
                raise RemoteProtocolError(DropReason.CHUNK, f"{chunk.index} of {chunk.of} came where 0 was due")
            self._kind, self._of = chunk.kind, chunk.of
        self._parts.append(chunk.data)
        self._due = sequence + 1
        if len(self._parts) < self._of:
            return None
        body = b"".join(self._parts)
        self.reset()
        if len(body) > MAX_MESSAGE_BYTES:
            raise RemoteProtocolError(DropReason.OVERSIZE, f"a message of {len(body)} bytes is over the limit")
        return body
