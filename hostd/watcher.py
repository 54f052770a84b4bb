"""Keeps the connection to libvirt and learns from it who there is: at connecting, at each event, and now and then.

Events make it prompt and the listing makes it right: an event that was lost, or that libvirt never sent, is made good
at the next listing. When libvirt's daemon goes away, at the start or at any time, this waits it out.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import NoReturn

from hostd import telemetry
from hostd.hypervisor import (
    CallFailed,
    ClosedNotice,
    Hypervisor,
    HypervisorError,
    LifecycleNotice,
    NoSuchDomain,
    Notice,
    TimedOut,
    Unavailable,
    WrongUri,
)
from hostd.model import changes
from hostd.store import Store
from protocol.backoff import Backoff

_log = logging.getLogger(__name__)

RELIST_SECONDS = 15.0
FIRST_RETRY_SECONDS = 0.5
MOST_RETRY_SECONDS = 10.0
MAX_NOTICES = 10_000  # events that wait to be looked at; past it, listing anew is cheaper than looking at each


async def watch(store: Store, hypervisor: Hypervisor) -> NoReturn:
    """Run for ever.

    Raises:
        WrongUri: the first attempt shows that no driver will ever serve the URI.

    """
    retry = Backoff(first_seconds=FIRST_RETRY_SECONDS, most_seconds=MOST_RETRY_SECONDS)
    while True:
        try:
            await _Watch(store, hypervisor, retry).run()
        except WrongUri:
            if store.world.connection.connects == 0:
                raise
            _lose(store, "no driver serves the URI any more")
        except HypervisorError as error:
            _lose(store, str(error))
        await hypervisor.close()
        await asyncio.sleep(retry.wait_seconds())


def _lose(store: Store, why: str) -> None:
    connection = store.world.connection
    if connection.is_up or connection.why_down != why:  # once a reason, not once a try
        _log.warning("libvirt at %s: %s; trying again", connection.uri, why)
    store.tell(changes.HypervisorLost(why=why))


class _Watch:
    """One connection, from opening it to losing it."""

    def __init__(self, store: Store, hypervisor: Hypervisor, retry: Backoff) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._retry = retry
        self._notices: asyncio.Queue[Notice] = asyncio.Queue(MAX_NOTICES)
        self._must_relist = False
        self._why_closed: str | None = None

    async def run(self) -> None:
        facts = await self._hypervisor.connect(self._hear)
        domains = await self._hypervisor.list_domains()
        self._store.tell(changes.HypervisorConnected(facts=facts))
        self._store.tell(changes.DomainsListed(domains=domains))
        self._retry.reset()
        _log.info(
            "libvirt at %s: connected, driver %s, %d domains",
            self._store.world.connection.uri,
            facts.driver,
            len(domains),
        )
        while True:
            await self._follow(until=time.monotonic() + RELIST_SECONDS)
            self._store.tell(changes.DomainsListed(domains=await self._hypervisor.list_domains()))

    def _hear(self, notice: Notice) -> None:
        if isinstance(notice, ClosedNotice):
            self._why_closed = notice.why
        try:
            self._notices.put_nowait(notice)
        except asyncio.QueueFull:
            telemetry.EVENTS_DROPPED.labels(self._store.world.connection.name).inc()
            self._must_relist = True

    async def _follow(self, *, until: float) -> None:
        """Look at each notice as it comes, until it is time to list all again."""
        while not self._must_relist:
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    first = await self._notices.get()
            except TimeoutError:
                return
            await self._take([first, *self._waiting()])
        self._must_relist = False

    def _waiting(self) -> Sequence[Notice]:
        return [self._notices.get_nowait() for _ in range(self._notices.qsize())]

    async def _take(self, notices: Sequence[Notice]) -> None:
        """Tell of each; ask libvirt once about each domain they name."""
        if self._why_closed is not None:
            raise Unavailable(f"connection closed: {self._why_closed}")
        lifecycle = [n for n in notices if isinstance(n, LifecycleNotice)]
        unknown = {n.uuid for n in lifecycle if n.uuid not in self._store.world.domains}
        for uuid in unknown:
            await self._describe(uuid)
        for notice in lifecycle:
            _log.info("domain %r: %s, %s", notice.name, notice.event, notice.detail)
            self._store.tell(
                changes.DomainEvent(uuid=notice.uuid, name=notice.name, event=notice.event, detail=notice.detail)
            )
        for uuid in {n.uuid for n in lifecycle}:
            await self._describe(uuid)

    async def _describe(self, uuid: str) -> None:
        try:
            facts = await self._hypervisor.describe(uuid)
        except NoSuchDomain:
            self._store.tell(changes.DomainGone(uuid=uuid))
        except (CallFailed, TimedOut) as error:  # this domain's trouble alone; the next listing asks again
            _log.warning("domain %s: %s", uuid, error)
        else:
            self._store.tell(changes.DomainDescribed(facts=facts))
