"""What stands in for systemd: hears what a daemon tells it, keeps sockets for it, and starts it with them."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.running import GENEROUS_SECONDS

Message = dict[str, str]

_START = """
import fcntl, os, sys
passed = [int(number) for number in sys.argv[1].split(",") if number]
files = [fcntl.fcntl(number, fcntl.F_DUPFD, 200) for number in passed]
for number in passed:
    os.close(number)
for at, file in enumerate(files):
    os.dup2(file, 3 + at)
    os.close(file)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Only the process itself knows its number, and the files have to be at 3 and on."""


class Systemd:
    """The notify socket, what came over it, and the store of sockets."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self.messages: list[Message] = []
        self.stored: dict[str, int] = {}  # name to file

    def next(self) -> Message:
        """The next message; what it asks for is done."""
        assert select.select([self._socket], [], [], GENEROUS_SECONDS)[0], "nothing was told"
        data, files, _, _ = socket.recv_fds(self._socket, 4096, 4)
        message = dict(line.split("=", 1) for line in data.decode().split("\n"))
        self.messages.append(message)
        if "FDSTORE" in message:
            assert len(files) == 1
            self.put(message["FDNAME"], files[0])
        else:
            assert files == []
        if "FDSTOREREMOVE" in message:
            os.close(self.stored.pop(message["FDNAME"]))
        return message

    @property
    def has_more(self) -> bool:
        """Whether something was told that nobody has looked at."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def until(self, is_it: Callable[[Message], bool]) -> Message:
        """The next message of which `is_it` is true."""
        deadline = time.monotonic() + GENEROUS_SECONDS
        while not is_it(message := self.next()):
            assert time.monotonic() < deadline
        return message

    def put(self, name: str, file: int) -> None:
        """Keep that; the copy that was there by that name is closed."""
        if name in self.stored:
            os.close(self.stored.pop(name))
        self.stored[name] = file

    @contextmanager
    def started(self, *command: str, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
        """Run that with all that is stored, as a service of type notify; killed at the end if it still runs."""
        files = list(self.stored.values())
        its = {
            **os.environ,
            **(environment or {}),
            "NOTIFY_SOCKET": self.address,
            "LISTEN_FDS": str(len(files)),
            "LISTEN_FDNAMES": ":".join(self.stored),
        }
        wrapped = [sys.executable, "-c", _START, ",".join(map(str, files)), *command]
        with subprocess.Popen(wrapped, pass_fds=files, env=its, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def close(self) -> None:
        """End; what was stored is closed."""
        self._socket.close()
        for file in self.stored.values():
            os.close(file)
        self.stored.clear()


@contextmanager
def systemd_in(folder: Path) -> Iterator[Systemd]:
    """A stand-in whose notify socket is in that folder."""
    systemd = Systemd(folder)
    try:
        yield systemd
    finally:
        systemd.close()


def is_hung_up(theirs: socket.socket) -> bool:
    """Whether nobody has the other end any more."""
    theirs.setblocking(False)
    with suppress(BlockingIOError):
        return theirs.recv(1) == b""
    return False
