"""A message longer than a frame, cut into chunks and put together again: pure, and bounded.

Cutting is here and not in the framing so that a long message never keeps short ones waiting: between two of its chunks
anything else may pass. A line that loses one chunk loses the message, and no other.
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

    @property
    def is_unfinished(self) -> bool:
        """Whether a message has begun to arrive and is not whole."""
        return bool(self._parts)

    def reset(self) -> None:
        """Forget what there is of a message."""
        self._parts = []

    def add(self, chunk: Chunk) -> bytes | None:
        """The body that `chunk` completes, if it does.

        Raises:
            RemoteProtocolError: it does not follow the last one, or the whole is too long; the message is lost.

        """
        if chunk.index == 0 and not self._parts:
            self._kind, self._of = chunk.kind, chunk.of
        elif (chunk.kind, chunk.of, chunk.index) != (self._kind, self._of, len(self._parts)):
            begun = len(self._parts)
            self.reset()
            if chunk.index == 0:  # of another message: that one may still become whole
                self._kind, self._of = chunk.kind, chunk.of
                self._parts = [chunk.data]
            raise RemoteProtocolError(DropReason.CHUNK, f"{chunk.index} of {chunk.of} came where {begun} was due")
        self._parts.append(chunk.data)
        if len(self._parts) < self._of:
            return None
        body = b"".join(self._parts)
        self.reset()
        if len(body) > MAX_MESSAGE_BYTES:
            raise RemoteProtocolError(DropReason.OVERSIZE, f"a message of {len(body)} bytes is over the limit")
        return body
