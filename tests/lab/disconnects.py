"""What may cut a guest's line, done for real: the agent dies, hostd dies or is restarted, the connection is dropped."""

import ctypes
import os
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.daemon import Hostd
from tests.lab.guest import AGENT_CHANNEL, Guest
from tests.lab.waiting import wait_for

# The agent's pid, in the guest's shell; the brackets keep the search from finding itself.
AGENT = "$(grep -l '[g]uestagent.pyz' /proc/[0-9]*/cmdline | cut -d / -f 3)"

_PIDFD_GETFD = 438  # pidfd_getfd(2), the same number on every architecture


def kill_agent(guest: Guest, _hostd: Hostd) -> None:
    """End the agent as a crash would, once there is one; what keeps it alive in the guest starts the next."""
    guest.shell(f"until kill -9 {AGENT} 2>/dev/null; do sleep 0.05; done")


def kill_hostd(_guest: Guest, hostd: Hostd) -> None:
    """End hostd as a crash would, and start the next one."""
    hostd.kill()
    hostd.start()


def restart_hostd(_guest: Guest, hostd: Hostd) -> None:
    """End hostd in order, and start the next one."""
    hostd.stop()
    hostd.start()


def drop_connection(guest: Guest, hostd: Hostd) -> None:
    """Cut the connection between hostd and the guest's QEMU, once there is one: both see the other's end close."""
    path = str(guest.channel_path(AGENT_CHANNEL))
    wait_for("a connection to drop", lambda: _drop(hostd.service.pid, path), deadline=60, evidence=hostd.evidence)


Cut = Callable[[Guest, Hostd], None]

CUTS: Sequence[Cut] = (kill_agent, kill_hostd, restart_hostd, drop_connection)


def in_any_order(count: int, ways: Sequence[Cut] = CUTS) -> list[Cut]:
    """So many cuts, of each way as many, in an order of chance."""
    cuts = [ways[number % len(ways)] for number in range(count)]
    random.shuffle(cuts)
    return cuts


def _drop(pid: int, path: str) -> bool:
    """Whether that process was connected there."""
    is_dropped = False
    for descriptor in _descriptors(pid):
        with suppress(OSError), _same(pid, descriptor) as line:  # it may be closed meanwhile, or connected to nobody
            if line.getpeername() == path:
                line.shutdown(socket.SHUT_RDWR)
                is_dropped = True
    return is_dropped


def _descriptors(pid: int) -> Iterator[int]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(link.readlink()).startswith("socket:"):
                yield int(link.name)


@contextmanager
def _same(pid: int, descriptor: int) -> Iterator[socket.socket]:
    """Another descriptor of what that process has open there: what one shuts down is shut down for both."""
    process = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        copy = libc.syscall(_PIDFD_GETFD, process, descriptor, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(process)
    with socket.socket(fileno=copy) as same:
        yield same
