"""The kernel's own news of devices, so that a port that is plugged in is taken at once and not at the next look.

They come over netlink, without udev and without privilege. A fresh virtio port is announced twice, by `add`, and by
`change` some 20 ms later when it has its name. Anything may also send us such messages, so only those of the kernel
count, and all that they do is to make us look.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROTOCOL = 15  # NETLINK_KOBJECT_UEVENT
_GROUP = 1  # the kernel's; 2 is udev's
_KERNEL = 0
_MESSAGE_BYTES = 8192

_SUBSYSTEMS = frozenset((b"virtio-ports", b"tty"))
_ACTIONS = frozenset((b"add", b"change"))


def is_news(message: bytes, sender: int) -> bool:
    """Whether `message` says that something which may be a port has come, or has got its name."""
    fields = dict(field.partition(b"=")[::2] for field in message.split(b"\0"))
    return sender == _KERNEL and fields.get(b"SUBSYSTEM") in _SUBSYSTEMS and fields.get(b"ACTION") in _ACTIONS


class Uevents:
    """What is heard on `listener`; without one nothing ever is."""

    def __init__(self, listener: socket.socket | None) -> None:
        self._listener = listener
        self._heard = asyncio.Event()

    @property
    def are_heard(self) -> bool:
        """Whether the kernel tells us at all; in some containers it does not."""
        return self._listener is not None

    async def wait(self, seconds: float) -> bool:
        """Wait for news; whether there was any within `seconds`."""
        try:
            await asyncio.wait_for(self._heard.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        self._heard.clear()
        return True

    def take(self) -> None:
        """Read one message; asyncio calls this when there is one."""
        if self._listener is None:
            return
        try:
            message, (sender, _groups) = self._listener.recvfrom(_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: there were more than the socket holds, and who knows what they said
            self._heard.set()
            return
        if is_news(message, sender):
            self._heard.set()


@contextlib.contextmanager
def listening() -> Iterator[Uevents]:
    """Listen for as long as the block lasts."""
    with contextlib.ExitStack() as done:
        listener = _subscribed()
        uevents = Uevents(listener)
        if listener is not None:
            done.enter_context(listener)
            loop = asyncio.get_running_loop()
            loop.add_reader(listener, uevents.take)
            done.callback(loop.remove_reader, listener)
        yield uevents


def _subscribed() -> socket.socket | None:
    try:
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _PROTOCOL)
    except OSError:
        return None
    try:
        listener.bind((0, _GROUP))
    except OSError:
        listener.close()
        return None
    return listener
