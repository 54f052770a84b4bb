"""vhostmd's virtio port: one question on it, one answer, and it is let go.

The port is anybody's, one at a time, and knows no sessions: an answer that the one before us did not wait for is ours
to read first. So what is there before the question is thrown away, and so is the rest of it where only a part was
there. With no host the port is ready and empty for ever; hence edges are waited for, as in `guestagent.ports.virtio`.
"""

from __future__ import annotations

import errno
import os
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING

from guestagent import find
from guestagent.vhostmd.source import Found, SourceFailed
from protocol.vhostmd import CHANNEL, END, INVALID, REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 5.0
"""For each of question and answer, however much arrives meanwhile."""

MAX_ANSWER_BYTES = 16 * 1024 * 1024
READ_BYTES = 64 * 1024

LOOK_SECONDS = 0.5
"""So often it is looked without being woken: an edge comes for everything, but an answer is worth a second look."""

_SAID = "get_virtio_metrics(): "
_BEGINNINGS = (b"<metrics", b"<?xml", INVALID)


def read(dev: str = "/dev", sys: str = "/sys", seconds: float = SECONDS) -> Found:
    """What the host answers.

    Raises:
        SourceFailed: there is no such port, it is held by another, or nobody answers in time.

    """
    path = str(find.by_name(CHANNEL, dev=Path(dev), sys=Path(sys)) or f"{dev}/virtio-ports/{CHANNEL}")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "")
        raise SourceFailed(
            f"{path}: {error.strerror}{advice}", f"{_SAID}Unable to export metrics: open({path}) {error.strerror}"
        ) from error
    try:
        return Found(ask(descriptor, seconds), path)
    except SourceFailed as error:
        raise SourceFailed(f"{path}: {error}", error.said) from error
    finally:
        os.close(descriptor)


_ADVICE = {
    errno.EBUSY: " (another program is asking)",
    errno.EACCES: " (root may ask)",
    errno.ENOENT: " (has the domain such a channel?)",
}


def ask(descriptor: int, seconds: float = SECONDS) -> bytes:
    """Ask on a port that is open and does not block; the answer up to a NUL, its empty line included.

    Raises:
        SourceFailed: it could not be asked, or did not answer, in so many seconds each.

    """
    with select.epoll() as edges:
        edges.register(descriptor, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        line = _Line(descriptor, edges.poll)
        try:
            stale = line.drain()
        except OSError as error:
            raise _failed("read metrics", error.strerror) from error
        line.begin(seconds)
        _send(line, seconds)
        line.begin(seconds)
        return _answer(line, seconds, is_behind_another=bool(stale) and not _is_end(stale)).partition(b"\0")[0]


def _send(line: _Line, seconds: float) -> None:
    question = REQUEST
    while question:
        try:
            question = question[line.give(question) :]
        except OSError as error:
            raise _failed("send metrics request", error.strerror) from error
        if question and not line.wait():
            raise _failed("send metrics request", f"timeout after {seconds:g}s", "; no host reads what is written")


def _answer(line: _Line, seconds: float, *, is_behind_another: bool) -> bytes:
    answer = bytearray()
    while True:
        try:
            piece = line.take()
        except OSError as error:
            raise _failed("read metrics", error.strerror) from error
        answer += piece
        if is_behind_another and END in answer:
            if not answer.startswith(_BEGINNINGS):  # the rest of it
                answer = answer.partition(END)[2]
            is_behind_another = False
        if _is_end(answer):
            return bytes(answer)
        if len(answer) > MAX_ANSWER_BYTES:
            raise _failed("read metrics", f"more than {MAX_ANSWER_BYTES} bytes")
        if not line.wait(is_needed=not piece):
            raise _failed("read metrics", f"timeout after {seconds:g}s", "; the host has not answered")


def _is_end(data: bytes | bytearray) -> bool:
    return data[-READ_BYTES:].rstrip(b"\0").endswith(END)


class _Line:
    """The port, and how long it may be waited for."""

    def __init__(self, descriptor: int, poll: Callable[[float], object]) -> None:
        self._descriptor = descriptor
        self._poll = poll
        self._deadline = 0.0

    def begin(self, seconds: float) -> None:
        """From now on it may take so long."""
        self._deadline = time.monotonic() + seconds

    def wait(self, *, is_needed: bool = True) -> bool:
        """Until something may have changed; whether there is time left."""
        left = self._deadline - time.monotonic()
        if is_needed and left > 0:
            self._poll(min(left, LOOK_SECONDS))
        return left > 0

    def drain(self) -> bytes:
        """What is there by now; its end at least, of an answer's most."""
        there = b""
        for _ in range(MAX_ANSWER_BYTES // READ_BYTES):
            piece = self.take()
            if not piece:
                break
            there = (there + piece)[-READ_BYTES:]
        return there

    def take(self) -> bytes:
        """Some bytes; none while there are none, or no host."""
        try:
            return os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return b""

    def give(self, data: bytes) -> int:
        """How many of the bytes it took."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0


def _failed(what: str, how: str | None, more: str = "") -> SourceFailed:
    said = f"Unable to {what} - {how}"
    return SourceFailed(said + more, _SAID + said)
