"""The host's end of the protocol over one socket that blocks: what an agent is measured against."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from protocol.connection import Connection, Message, Received
from protocol.messages import OLDEST_VERSION, PROTOCOL_VERSION, TAKES_EVENTS, Hello, HelloRequest, Role, Welcome

T = TypeVar("T")

DEADLINE_SECONDS = 60.0
READ_BYTES = 65536


class HostEnd:
    """One connection, over which everything is said and heard in the caller's own time."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._connection = Connection(Role.HOST)

    def say(self, message: Message) -> int:
        """Send it; how many bytes that was."""
        data = b"".join(self._connection.send(message))
        self._line.sendall(data)
        return len(data)

    def hear(self, kind: type[T], *, deadline: float = DEADLINE_SECONDS) -> T:
        """The next message of that kind; what comes before it is passed over.

        Raises:
            TimeoutError: none came in time, or the agent hung up.

        """
        end = time.monotonic() + deadline
        while (left := end - time.monotonic()) > 0:
            self._line.settimeout(left)
            data = self._line.recv(READ_BYTES)
            if not data:
                break
            for item in self._connection.receive(data):
                if isinstance(item, Received) and isinstance(item.message, kind):
                    return item.message
        raise TimeoutError(f"the agent has not sent a {kind.__name__} within {deadline:g} s")

    def ask_for_hello(self) -> None:
        """Say what a host says to an agent that may have greeted somebody else."""
        self.say(HelloRequest(version_min=OLDEST_VERSION, version_max=PROTOCOL_VERSION))

    def welcome(self, *, report_interval_seconds: float) -> None:
        """Wait to be greeted, and open a session."""
        hello = self.hear(Hello)
        self.say(
            Welcome(
                version=PROTOCOL_VERSION,
                nonce=hello.nonce,
                session=1,
                report_interval_seconds=report_interval_seconds,
                capabilities=(TAKES_EVENTS,),
                events_taken=hello.events_acknowledged,
            )
        )


@contextlib.contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """A socket to whoever listens at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(DEADLINE_SECONDS)
        line.connect(str(path))
        yield line


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket on which whoever connects to `path` is accepted."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.settimeout(DEADLINE_SECONDS)
        listener.bind(str(path))
        listener.listen()
        try:
            yield listener
        finally:
            path.unlink()
