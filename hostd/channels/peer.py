"""Who is at the other end of a socket, by what the kernel says: nothing here is said by the guest.

A connect to a socket that QEMU listens on succeeds as soon as there is room in its backlog, and QEMU takes one client
at a time: whoever comes second waits there unseen. The kernel's socket diagnostics (sock_diag(7)) tell the two apart,
and who the first is.
"""

import itertools
import os
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

PROC = Path("/proc")
MAX_LOOKS = 100_000  # open files that are looked at to find a process: half a second at the most

_CREDENTIALS = struct.Struct("=iII")  # struct ucred: process, user, group
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_QUESTION = struct.Struct("=BBHIIIII")  # struct unix_diag_req
_ANSWER = struct.Struct("=BBBBIII")  # struct unix_diag_msg
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_UDIAG_SHOW_PEER = 0x4
_UNIX_DIAG_PEER = 2
_NO_COOKIE = 0xFFFF_FFFF
_ANSWER_BYTES = 8192
_CONNECTED = "03"  # SS_CONNECTED, as /proc/net/unix writes it
_INT = struct.Struct("=i")
_FIELDS = 8  # of a line of it: number, references, protocol, flags, type, state, inode, path


@dataclass(frozen=True, slots=True)
class Process:
    """One that can be told of; its name is what it calls itself."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


def credentials_of(channel: socket.socket) -> tuple[int, int]:
    """Process and user of who listened there when it was connected to; the process is 0 if it cannot be seen."""
    size = _CREDENTIALS.size
    pid, uid, _ = _CREDENTIALS.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, uid


def is_accepted(channel: socket.socket) -> bool | None:
    """Whether the other side has taken the connection up, rather than left it in its backlog; None if unknown."""
    with suppress(OSError, struct.error):
        return _peer_of(os.fstat(channel.fileno()).st_ino) != 0
    return None


def is_taken(channel: socket.socket) -> bool:
    """Whether the other side has read all that was sent to it."""
    held = ioctl(channel.fileno(), termios.TIOCOUTQ, bytes(_INT.size))  # SIOCOUTQ: 0 once it has, and not its bytes
    return bool(_INT.unpack(held) == (0,))


def holder_of(path: str) -> Process | None:
    """Whose connection to the socket at `path` is taken up; None if there is none or nobody says. Takes its time."""
    with suppress(OSError, struct.error):
        clients = {_peer_of(inode) for inode in _taken_up_at(path)} - {0, None}
        links = {f"socket:[{inode}]" for inode in clients}
        return _whose(links) if links else None
    return None


def _taken_up_at(path: str) -> Iterator[int]:
    """The inodes of the connections that were accepted there: they go by the name that was listened at."""
    for line in (PROC / "net" / "unix").read_text(errors="surrogateescape").splitlines():
        fields = line.split(maxsplit=_FIELDS - 1)
        if len(fields) == _FIELDS and fields[-1] == path and fields[5] == _CONNECTED:
            yield int(fields[6])


_known: set[str] = set()
"""Who had a channel is looked at first: as a rule it has the others too, as vhostmd does."""


def _whose(links: set[str]) -> Process | None:
    looks = 0
    for folder in itertools.chain(map(PROC.joinpath, tuple(_known)), PROC.glob("[0-9]*")):
        with suppress(OSError):
            for file in (folder / "fd").iterdir():
                looks += 1
                if looks > MAX_LOOKS:
                    return None
                if str(file.readlink()) in links:
                    _known.clear()
                    _known.add(folder.name)
                    return Process(int(folder.name), (folder / "comm").read_text().rstrip("\n"))
    return None


def _peer_of(inode: int) -> int | None:
    """The inode of the socket that the one with this inode is connected to: 0 while nobody has accepted that."""
    question = _QUESTION.pack(socket.AF_UNIX, 0, 0, _NO_COOKIE, inode, _UDIAG_SHOW_PEER, _NO_COOKIE, _NO_COOKIE)
    header = _HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(header + question)
        answer = kernel.recv(_ANSWER_BYTES)  # the kernel has answered by the time that send returns
    size, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return None
    at = _HEADER.size + _ANSWER.size
    while at < size:
        length, attribute = _ATTRIBUTE.unpack_from(answer, at)
        if attribute == _UNIX_DIAG_PEER:
            return int.from_bytes(answer[at + _ATTRIBUTE.size : at + length], sys.byteorder)
        at += max(_ATTRIBUTE.size, -(-length // 4) * 4)
    return None
