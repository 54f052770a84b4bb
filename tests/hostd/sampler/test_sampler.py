"""The sampler: each kind of numbers on its interval, each failure its own."""

import asyncio
import logging
from dataclasses import replace

import msgspec
import pytest

from hostd import sampler, telemetry
from hostd.hypervisor import CallFailed, TooManyStuck
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.model.host import Host
from hostd.model.objects import Objects
from hostd.model.stats import DomainState, ProcessStats, Survey
from hostd.sampler import Collection, Collector
from hostd.sampler.host import Processes
from hostd.settings import ConnectionSettings, ObjectsSettings, SamplingSettings, Settings, StorageSettings
from hostd.store import Store
from tests.support.builders import UUID, facts, shut_off, unconnected, world
from tests.support.hosts import CONNECTION_FACTS, OBJECTS, POOL
from tests.support.hypervisor import FakeHypervisor
from tests.support.numbers import STATS
from tests.support.running import running

SURVEY = Survey(state=DomainState.RUNNING, reason="booted", bandwidth=STATS.bandwidth, perf=STATS.perf)
OFTEN = Settings(
    sampling=msgspec.structs.replace(SamplingSettings(), interval_seconds=0.001, rare_interval_seconds=0.001),
    storage=msgspec.structs.replace(StorageSettings(), interval_seconds=0.001),
    objects=msgspec.structs.replace(ObjectsSettings(), interval_seconds=0.001),
)


def full_fake() -> FakeHypervisor:
    fake = FakeHypervisor()
    fake.surveys, fake.stats, fake.host = {UUID: SURVEY}, {UUID: STATS}, Host(cpus=3)
    fake.processes, fake.pools = {UUID: ProcessStats(cpu_seconds=7.0)}, {POOL.uuid: POOL}
    fake.networks, fake.counts = dict(OBJECTS.networks), {what: dict(of) for what, of in OBJECTS.counts.items()}
    return fake


def told(name: str, collector: str) -> float | None:
    labels = {"connection": "", "collector": collector}
    return telemetry.REGISTRY.get_sample_value(f"hostd_collector_{name}", labels)


async def test_every_collector_brings_its_numbers_and_brings_them_again() -> None:
    fake, store = full_fake(), Store(world(Domain(facts=facts()), host=Host(), pools={}, objects=Objects()))
    async with running(sampler.sample(store, fake, ConnectionSettings(), OFTEN)):
        await store.until(lambda w: w.domains[UUID].stats == STATS and w.domains[UUID].process is not None)
        await store.until(lambda w: w.host == Host(cpus=3) and w.pools == {POOL.uuid: POOL})
        await store.until(lambda w: w.objects == OBJECTS)
        fake.stats, fake.host = {UUID: replace(STATS, vcpus_current=1)}, Host(cpus=4)
        await store.until(lambda w: w.domains[UUID].stats == fake.stats[UUID] and w.host.cpus == 4)
    assert [told("success", name) for name in ("host", "domains", "processes", "storage", "objects")] == [1] * 5


async def test_nothing_is_asked_of_libvirt_before_it_is_there_but_processes_are_looked_at() -> None:
    fake, store = full_fake(), Store(unconnected())
    looked = asyncio.Event()
    fake.before["sample_processes"] = lambda: looked.set() if fake.asked["sample_processes"] > 2 else None
    async with running(sampler.sample(store, fake, ConnectionSettings(), OFTEN)):
        store.tell(changes.HypervisorLost(why="absent"))
        await looked.wait()
        assert {what for what, count in fake.asked.items() if count} == {"sample_processes"}
        store.tell(changes.HypervisorConnected(facts=CONNECTION_FACTS))
        store.tell(changes.DomainDescribed(facts=facts()))
        await store.until(lambda w: w.domains[UUID].stats is not None)


async def test_processes_of_domains_that_do_not_run_are_not_looked_for() -> None:
    fake, store = full_fake(), Store(world(Domain(facts=shut_off())))
    await Processes(store, fake).collect()
    assert store.world.domains[UUID].process is None


async def test_one_collector_that_fails_does_not_cost_another() -> None:
    fake, store = full_fake(), Store(world(Domain(facts=facts())))
    fake.faults["sample_host"] = fake.faults["list_pools"] = CallFailed("odd")
    async with running(sampler.sample(store, fake, ConnectionSettings(), OFTEN)):
        await store.until(lambda w: w.domains[UUID].stats == STATS)
        await store.until(lambda w: not w.pools[POOL.uuid].is_responsive)
    assert [told("success", name) for name in ("host", "storage")] == [0, 0]


async def test_a_failure_is_logged_once_and_again_after_it_worked(caplog: pytest.LogCaptureFixture) -> None:
    faults = iter([CallFailed("odd"), CallFailed("odd"), None, CallFailed("odd")])

    async def collect() -> None:
        fault = next(faults)
        if fault is not None:
            raise fault

    east = Store(world(connection=replace(unconnected().connection, name="east")))
    collection = Collection(east, Collector("odd_one", 1.0, collect))
    for _ in range(4):
        await collection.run()
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["collector east: odd_one: odd"] * 2


async def test_too_many_stuck_calls_end_it() -> None:
    fake = full_fake()
    fake.faults["sample_host"] = TooManyStuck("17 calls")
    with pytest.raises(ExceptionGroup) as caught:
        await sampler.sample(Store(world()), fake, ConnectionSettings(), OFTEN)
    assert caught.group_contains(TooManyStuck)
