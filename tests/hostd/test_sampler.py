"""The sampler: numbers on an interval, and none rather than old ones."""

import logging
from dataclasses import replace

import pytest

from hostd import sampler, telemetry
from hostd.hypervisor import CallFailed, HypervisorError, TimedOut, Unavailable
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.model.host import Host
from hostd.sampler import _Sampler
from hostd.store import Store
from tests.support.builders import CONNECTION_FACTS, HOST, STATS, UUID, facts, full_domain, unconnected, world
from tests.support.hypervisor import FakeHypervisor
from tests.support.running import running

INTERVAL = 10.0


class Clock:
    """The time a test says it is."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In the sampler's eyes only: the event loop keeps its own."""
    clock = Clock()
    monkeypatch.setattr(sampler, "time", clock)
    return clock


def sampling(fake: FakeHypervisor) -> tuple[Store, _Sampler]:
    store = Store(world(Domain(facts=facts())))
    return store, _Sampler(store, fake, INTERVAL)


def told(name: str, collector: str) -> float | None:
    return telemetry.REGISTRY.get_sample_value(f"hostd_collector_{name}", {"collector": collector})


async def test_a_collection_brings_the_hosts_and_the_domains_numbers(clock: Clock) -> None:
    fake = FakeHypervisor()
    fake.stats, fake.host = {UUID: STATS}, Host(cpus=3)
    store, subject = sampling(fake)
    await subject.collect()
    domain = store.world.domains[UUID]
    assert (domain.stats, domain.sampled_at) == (STATS, clock.time())
    assert store.world.host == Host(cpus=3)
    assert [told("success", name) for name in ("host", "domains")] == [1, 1]


async def test_nothing_is_asked_before_libvirt_is_there_and_then_again_and_again() -> None:
    fake, store = FakeHypervisor(), Store(unconnected())
    fake.stats = {UUID: STATS}
    async with running(sampler.sample(store, fake, interval_seconds=0.001)):
        store.tell(changes.HypervisorLost(why="absent"))
        assert fake.asked["sample_domains"] == 0
        store.tell(changes.HypervisorConnected(facts=CONNECTION_FACTS))
        store.tell(changes.DomainDescribed(facts=facts()))
        first = await store.until(lambda w: w.domains[UUID].stats is not None)
        fake.stats = {UUID: replace(STATS, vcpus_current=1)}
        await store.until(lambda w: w.domains[UUID].stats != first.domains[UUID].stats)


@pytest.mark.parametrize("fault", [CallFailed("odd"), TimedOut("slow"), Unavailable("gone")])
async def test_a_failed_collection_keeps_the_numbers_for_three_intervals_and_then_drops_them(
    clock: Clock, fault: HypervisorError
) -> None:
    fake = FakeHypervisor()
    fake.stats = {UUID: STATS}
    store, subject = sampling(fake)
    await subject.collect()
    fake.faults["sample_domains"] = fault
    for _ in range(3):
        clock.now += INTERVAL
        await subject.collect()
        assert store.world.domains[UUID].stats == STATS
    clock.now += INTERVAL
    await subject.collect()
    assert store.world.domains[UUID].stats is None
    fake.faults.clear()
    clock.now += INTERVAL
    await subject.collect()
    assert store.world.domains[UUID].stats == STATS


async def test_one_collector_that_fails_does_not_cost_the_other(clock: Clock) -> None:
    fake = FakeHypervisor()
    fake.stats, fake.faults["sample_host"] = {UUID: STATS}, CallFailed("no memory statistics")
    store, subject = sampling(fake)
    await subject.collect()
    assert store.world.domains[UUID].stats == STATS
    assert store.world.host == HOST
    assert [told("success", name) for name in ("host", "domains")] == [0, 1]


async def test_a_failure_is_logged_once_and_again_after_it_worked(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeHypervisor()
    _, subject = sampling(fake)
    for fault in (CallFailed("odd"), CallFailed("odd"), None, CallFailed("odd")):
        fake.faults = {"sample_domains": fault} if fault else {}
        await subject.collect()
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["collector domains: odd"] * 2


async def test_how_long_a_collection_took_is_told(clock: Clock) -> None:
    fake = FakeHypervisor()

    def take_two_seconds() -> None:
        clock.now += 2.0

    fake.before["sample_domains"] = take_two_seconds
    _, subject = sampling(fake)
    await subject.collect()
    assert (told("duration_seconds", "host"), told("duration_seconds", "domains")) == (0.0, 2.0)


async def test_the_answer_of_a_connection_that_was_lost_meanwhile_is_not_taken(clock: Clock) -> None:
    fake = FakeHypervisor()
    fake.stats = {UUID: STATS}
    store = Store(world(full_domain()))
    fake.before["sample_host"] = fake.before["sample_domains"] = lambda: store.tell(
        changes.HypervisorLost(why="end of file")
    )
    await _Sampler(store, fake, INTERVAL).collect()
    assert (store.world.host, store.world.domains[UUID].stats) == (Host(), None)


async def test_a_bug_ends_it() -> None:
    fake = FakeHypervisor()
    fake.faults["sample_domains"] = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        await sampler.sample(Store(world()), fake, interval_seconds=0.001)
