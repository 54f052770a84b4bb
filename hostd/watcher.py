"""Keeps the connection to libvirt and learns from it who there is: at connecting, at each event, and now and then.

Events make it prompt and the listing makes it right: an event that was lost, or that libvirt never sent, is made good
at the next listing. When libvirt's daemon goes away, at the start or at any time, this waits it out, and tells for how
long nobody listened: the listing shows what became of domains, not what happened to them meanwhile.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NoReturn

from hostd import telemetry
from hostd.hypervisor import (
    CallFailed,
    ClosedNotice,
    DomainNotice,
    FinishedJob,
    Hypervisor,
    HypervisorError,
    NoSuchDomain,
    Notice,
    ObjectNotice,
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
MAX_AT_ONCE = 500  # events that are looked at before others have their turn on the loop


async def watch(store: Store, hypervisor: Hypervisor) -> NoReturn:
    """Run for ever.

    Raises:
        WrongUri: the first attempt shows that no driver will ever serve the URI.

    """
    retry = Backoff(first_seconds=FIRST_RETRY_SECONDS, most_seconds=MOST_RETRY_SECONDS)
    lost_at: float | None = None
    while True:
        try:
            await _Watch(store, hypervisor, retry, lost_at).run()
        except WrongUri:
            if store.world.connection.connects == 0:
                raise
            lost_at = _lose(store, "no driver serves the URI any more", lost_at)
        except HypervisorError as error:
            lost_at = _lose(store, str(error), lost_at)
        await hypervisor.close()
        await asyncio.sleep(retry.wait_seconds())


def _lose(store: Store, why: str, lost_at: float | None) -> float | None:
    """Since when nobody listens: None while nobody ever has."""
    connection = store.world.connection
    if connection.is_up:
        lost_at = time.monotonic()
    if connection.is_up or connection.why_down != why:  # once a reason, not once a try
        _log.warning("libvirt at %s: %s; trying again", connection.uri, why)
    store.tell(changes.HypervisorLost(why=why))
    return lost_at


class _Watch:
    """One connection, from opening it to losing it."""

    def __init__(self, store: Store, hypervisor: Hypervisor, retry: Backoff, lost_at: float | None) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._retry = retry
        self._lost_at = lost_at
        self._notices: asyncio.Queue[Notice] = asyncio.Queue(MAX_NOTICES)
        self._must_relist = False
        self._why_closed: str | None = None

    async def run(self) -> None:
        facts = await self._hypervisor.connect(self._hear)
        gap_seconds = None if self._lost_at is None else time.monotonic() - self._lost_at
        domains = await self._hypervisor.list_domains()
        self._store.tell(changes.HypervisorConnected(facts=facts, gap_seconds=gap_seconds))
        self._store.tell(changes.DomainsListed(domains=domains))
        self._retry.reset()
        _log.info(
            "libvirt at %s: connected, driver %s, %d domains",
            self._store.world.connection.uri,
            facts.driver,
            len(domains),
        )
        if gap_seconds is not None:
            _log.warning("events of %.1f s may be missing: nobody listened to libvirt meanwhile", gap_seconds)
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
            await asyncio.sleep(0)  # a queue that is never empty gives nobody else a turn
        self._must_relist = False

    def _waiting(self) -> Sequence[Notice]:
        return [self._notices.get_nowait() for _ in range(min(self._notices.qsize(), MAX_AT_ONCE - 1))]

    async def _take(self, notices: Sequence[Notice]) -> None:
        """Tell of each; ask libvirt once about each domain they name that may be another now."""
        if self._why_closed is not None:
            raise Unavailable(f"connection closed: {self._why_closed}")
        of_domains = [n for n in notices if isinstance(n, DomainNotice)]
        for uuid in {n.uuid for n in of_domains if n.uuid not in self._store.world.domains}:
            await self._describe(uuid)
        _log_events(notices)
        for notice in notices:
            self._tell(notice)
        for uuid in {n.uuid for n in of_domains if n.changes_facts}:
            await self._describe(uuid)

    def _tell(self, notice: Notice) -> None:
        if isinstance(notice, DomainNotice):
            event, detail = notice.event, notice.detail
            self._store.tell(
                changes.DomainEvent(uuid=notice.uuid, name=notice.name, event=event, detail=detail, at=notice.at)
            )
            self._observe(notice.job)
        elif isinstance(notice, ObjectNotice):
            self._store.tell(changes.ObjectEvent(object=notice.object, event=notice.event, detail=notice.detail))

    def _observe(self, job: FinishedJob | None) -> None:
        if job is None:
            return
        labels = (self._store.world.connection.name, job.operation, job.result)
        if job.seconds is not None:
            telemetry.JOB_SECONDS.labels(*labels).observe(job.seconds)
        if job.downtime_seconds is not None:
            telemetry.JOB_DOWNTIME.labels(*labels).observe(job.downtime_seconds)

    async def _describe(self, uuid: str) -> None:
        try:
            facts = await self._hypervisor.describe(uuid)
        except NoSuchDomain:
            self._store.tell(changes.DomainGone(uuid=uuid))
        except (CallFailed, TimedOut) as error:  # this domain's trouble alone; the next listing asks again
            _log.warning("domain %s: %s", uuid, error)
        else:
            self._store.tell(changes.DomainDescribed(facts=facts))


def _log_events(notices: Iterable[Notice]) -> None:
    """One line for all that are alike, with the last one's particulars: a disk can fail many times a millisecond."""
    told = [notice for notice in notices if not isinstance(notice, ClosedNotice)]
    alike = {_kind(notice): notice for notice in told}
    times = Counter(map(_kind, told))
    for kind, notice in alike.items():
        what = ", ".join(filter(None, (notice.event, notice.detail)))
        more = ", ".join(f"{key}={value!r}" for key, value in notice.particulars)
        level = logging.DEBUG if notice.is_quiet else logging.INFO
        often = f", {times[kind]} times" if times[kind] > 1 else ""
        _log.log(level, "%s %r: %s%s%s", notice.object, notice.name, what, often, more and f" ({more})")


def _kind(notice: DomainNotice | ObjectNotice) -> tuple[str, ...]:
    return notice.object, notice.name, notice.event, notice.detail
