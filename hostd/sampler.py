"""Asks libvirt for its numbers on an interval.

A collection that fails or overruns its deadline costs its own numbers only: the World keeps what it knew for a few
intervals, and then says nothing rather than something old.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from hostd import telemetry
from hostd.hypervisor import Hypervisor, HypervisorError
from hostd.model import changes
from hostd.model.changes import Change
from hostd.store import Store

_log = logging.getLogger(__name__)

EXPIRE_INTERVALS = 3  # numbers older than this many intervals are dropped, not frozen


async def sample(store: Store, hypervisor: Hypervisor, *, interval_seconds: float) -> None:
    """Run for ever, collecting every `interval_seconds` while libvirt is there."""
    sampler = _Sampler(store, hypervisor, interval_seconds)
    while True:
        await store.until(lambda world: world.connection.is_up)
        begun = time.monotonic()
        await sampler.collect()
        await asyncio.sleep(max(0.0, begun + interval_seconds - time.monotonic()))


class _Sampler:
    def __init__(self, store: Store, hypervisor: Hypervisor, interval_seconds: float) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._keep_seconds = EXPIRE_INTERVALS * interval_seconds
        self._good_at = time.monotonic()
        self._is_failing: dict[str, bool] = {}

    async def collect(self) -> None:
        await self._run("host", self._host)
        if await self._run("domains", self._domains):
            self._good_at = time.monotonic()
        elif time.monotonic() - self._good_at > self._keep_seconds:
            self._store.tell(changes.StatsExpired())

    async def _host(self) -> Change:
        return changes.HostSampled(host=await self._hypervisor.sample_host())

    async def _domains(self) -> Change:
        stats = await self._hypervisor.sample_domains()
        return changes.DomainsSampled(stats=stats, at=time.time())

    async def _run(self, collector: str, collect: Callable[[], Awaitable[Change]]) -> bool:
        begun = time.monotonic()
        try:
            self._store.tell(await collect())
        except HypervisorError as error:
            if not self._is_failing.get(collector):
                _log.warning("collector %s: %s", collector, error)
            self._is_failing[collector] = True
        else:
            self._is_failing[collector] = False
        telemetry.COLLECTOR_SECONDS.labels(collector).set(time.monotonic() - begun)
        telemetry.COLLECTOR_SUCCESS.labels(collector).set(not self._is_failing[collector])
        return not self._is_failing[collector]
