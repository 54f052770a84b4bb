"""Commands in a guest, from the host's side of the lab's own virtio-serial port.

Each command is a connection of its own. A port is not a pipe: bytes of an earlier connection may come first,
ours may vanish (nobody has opened the port yet, or it is wedged after a migration until its first client
has gone), and a second client waits unheard behind the first. So each connection first asks "is anybody
there?" with a fresh id, starts anew when nobody is, and sends the command only then.
"""

import contextlib
import itertools
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.waiting import pause

_GREETING_SECONDS = 3.0  # an emulated guest that boots beside others may be slow to answer
_RETRY_SECONDS = 0.1
_ids = itertools.count(1)


class NoAnswerError(RuntimeError):
    """The guest's command server did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command in a guest ended."""

    status: int
    stdout: str
    stderr: str


def ask(port: Callable[[], Path], argv: Sequence[str], *, timeout: float, stdin: str = "") -> Finished:
    """Run a command in the guest behind a port (whose path may change meanwhile) and give how it ended."""
    with _answering(port, deadline=timeout) as line:
        reply = line.exchange({"argv": list(argv), "timeout": timeout, "stdin": stdin}, timeout + 5)
        return Finished(status=reply["status"], stdout=reply["stdout"], stderr=reply["stderr"])


def greet(port: Callable[[], Path], *, deadline: float) -> None:
    """Wait until the guest's command server answers."""
    with _answering(port, deadline=deadline):
        pass


class _Line:
    """One connection to a port."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_GREETING_SECONDS)
        self._socket.connect(str(path))
        self._received = b""

    def exchange(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and wait for the line that answers it; whatever else comes is old."""
        request["id"] = f"{os.getpid()}-{next(_ids)}"
        end = time.monotonic() + seconds
        self._socket.settimeout(seconds)
        self._socket.sendall(b"\n" + json.dumps(request).encode() + b"\n")  # the newline ends what was cut
        while True:
            *lines, self._received = self._received.split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError, TypeError):
                    reply: dict[str, Any] = json.loads(line)
                    if reply["id"] == request["id"]:
                        return reply
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            if not (data := self._socket.recv(65536)):
                raise ConnectionResetError("the guest's QEMU closed the port")
            self._received += data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # or QEMU would not see it while someone is in recv()
        self._socket.close()


@contextlib.contextmanager
def _answering(port: Callable[[], Path], *, deadline: float) -> Iterator[_Line]:
    end = time.monotonic() + deadline
    while True:
        line = None
        try:
            line = _Line(port())
            line.exchange({}, _GREETING_SECONDS)
        except OSError as error:
            if line:
                line.close()
            if time.monotonic() > end:
                raise NoAnswerError(f"no answer within {deadline:g} s") from error
            pause(_RETRY_SECONDS)
        else:
            break
    try:
        yield line
    finally:
        line.close()
