"""Guests that come to us: over vsock, where a domain has no channel. hostd listens, the agent connects.

A vsock address is a domain's by libvirt's word (the CID in its live XML), so who a visitor is need not be asked. That
it is the agent and not just anybody in the guest shows only in its port: below 1024 it is root's. One at a time is
heard of each domain, the newest: after a reboot nobody may have told that the last one is gone.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from hostd import telemetry
from hostd.config import ConfigError
from hostd.guests.session import Conduct, Post, attend_once, newcomer
from hostd.model.domain import Domain

_log = logging.getLogger(__name__)

PRIVILEGED_BELOW = 1024
HEARD = "connected"
WAITING = 128  # that are not accepted yet: a host full of guests may come back at once


@dataclass(frozen=True, slots=True)
class _Visit:
    """A way that is open already."""

    uuid: str
    path: str
    channel: socket.socket

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[socket.socket]:
        with self.channel:
            yield self.channel


def listening(port: int) -> socket.socket:
    """A socket that listens for guests at vsock `port`, for `keep`.

    Raises:
        ConfigError: it cannot be had.

    """
    with ExitStack() as unless_listening:
        try:
            listener = unless_listening.enter_context(socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
            listener.setblocking(False)
            listener.bind((socket.VMADDR_CID_ANY, port))
            listener.listen(WAITING)
        except OSError as error:
            raise ConfigError(f"guests.vsock_port: cannot listen at {port}: {error.strerror}") from error
        unless_listening.pop_all()
    return listener


async def keep(posts: Sequence[Post], listener: socket.socket) -> NoReturn:
    """Run for ever: have a session with whoever comes from one of our domains."""
    loop = asyncio.get_running_loop()
    conducts: dict[str, Conduct] = {}  # by UUID, and so is the next
    visits: dict[str, asyncio.Task[str]] = {}
    with listener:
        async with asyncio.TaskGroup() as group:
            while True:
                channel, (cid, port) = await loop.sock_accept(listener)
                for uuid in conducts.keys() - {uuid for post in posts for uuid in post.store.world.domains}:
                    del conducts[uuid]
                post, domain = next(_owners(posts, cid), (posts[0], None))
                outcome = "stranger" if domain is None else _judge(domain, port)
                telemetry.GUEST_CONNECTS.labels(post.store.world.connection.name, outcome).inc()
                if domain is None or outcome != HEARD:
                    _log.debug("vsock: CID %d, port %d: not heard: %s", cid, port, outcome)
                    channel.close()
                    continue
                uuid = domain.uuid
                if uuid in visits:
                    visits[uuid].cancel()
                conduct = conducts.get(uuid) or conducts.setdefault(uuid, Conduct(post, uuid))
                visit = _Visit(uuid, f"vsock:{cid}:{port}", channel)
                hearing = attend_once(post, visit, newcomer(conduct), is_retried=False)
                visits[uuid] = group.create_task(hearing, name=f"guest {uuid} over vsock")
    raise AssertionError("guests do not cease to come")


def _judge(domain: Domain, port: int) -> str:
    """Whether somebody from that domain is heard, or why not."""
    if port >= PRIVILEGED_BELOW:
        return "unprivileged"
    if domain.facts.channel is not None:
        return "has_channel"
    return "quarantined" if domain.guest.is_quarantined else HEARD


def _owners(posts: Sequence[Post], cid: int) -> Iterator[tuple[Post, Domain]]:
    for post in posts:
        for domain in post.store.world.domains.values():
            if domain.is_active and domain.facts.vsock_cid == cid:
                yield post, domain
