"""Asks libvirt for its numbers, each kind on an interval of its own.

A collector that fails or overruns its deadline costs its own numbers only. To add one: a class with `collect` in a file
here, and its row in `_collectors`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from hostd import telemetry
from hostd.hypervisor import Hypervisor, HypervisorError
from hostd.sampler.details import LOOK_SECONDS, Detailed
from hostd.sampler.domains import Domains
from hostd.sampler.host import Machine, Processes
from hostd.sampler.objects import OtherObjects
from hostd.sampler.storage import Storage
from hostd.settings import ConnectionSettings, Settings
from hostd.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collector:
    """One kind of numbers. `collect` tells the store what it learned, or raises `HypervisorError`."""

    name: str
    interval_seconds: float
    collect: Callable[[], Awaitable[None]]
    needs_libvirt: bool = True


async def sample(store: Store, hypervisor: Hypervisor, connection: ConnectionSettings, settings: Settings) -> NoReturn:
    """Run all collectors for ever, each by itself, and those that need libvirt while it is there."""
    async with asyncio.TaskGroup() as group:
        for collector in collectors(store, hypervisor, connection, settings):
            group.create_task(_keep(store, collector), name=f"collector {collector.name}")
    raise AssertionError("collectors do not end")


def collectors(
    store: Store, hypervisor: Hypervisor, connection: ConnectionSettings, settings: Settings
) -> tuple[Collector, ...]:
    """Every collector of one connection."""
    interval = settings.sampling.interval_seconds
    domains = Domains(store, hypervisor, settings.sampling, at_once=connection.domains_at_once)
    return (
        Collector("host", interval, Machine(store, hypervisor).collect),
        Collector("domains", interval, domains.collect),
        Collector("details", min(interval, LOOK_SECONDS), Detailed(store, hypervisor, settings.sampling).collect),
        Collector("processes", interval, Processes(store, hypervisor).collect, needs_libvirt=False),
        Collector("storage", settings.storage.interval_seconds, Storage(store, hypervisor).collect),
        Collector("objects", settings.objects.interval_seconds, OtherObjects(store, hypervisor).collect),
    )


async def _keep(store: Store, collector: Collector) -> NoReturn:
    collection = Collection(store, collector)
    while True:
        if collector.needs_libvirt:
            await store.until(lambda world: world.connection.is_up)
        begun = time.monotonic()
        await collection.run()
        await asyncio.sleep(max(0.0, begun + collector.interval_seconds - time.monotonic()))


class Collection:
    """One collector's runs, one after the other, and what is told of them."""

    def __init__(self, store: Store, collector: Collector) -> None:
        self._collector = collector
        self._labels = (store.world.connection.name, collector.name)
        self._is_failing = False

    async def run(self) -> None:
        """Collect once; a failure is counted, and logged if the run before it did not fail."""
        begun = time.monotonic()
        try:
            await self._collector.collect()
        except HypervisorError as error:
            if not self._is_failing:
                _log.warning("collector %s: %s", ": ".join(filter(None, self._labels)), error)
            self._is_failing = True
        else:
            self._is_failing = False
        telemetry.COLLECTOR_SECONDS.labels(*self._labels).set(time.monotonic() - begun)
        telemetry.COLLECTOR_SUCCESS.labels(*self._labels).set(not self._is_failing)
