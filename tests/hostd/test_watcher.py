"""The watcher: libvirt's domains, learned promptly by events and rightly by listing; libvirt's absence waited out."""

import asyncio
import logging

import pytest

from hostd import telemetry, watcher
from hostd.hypervisor import (
    CallFailed,
    ClosedNotice,
    DomainNotice,
    FinishedJob,
    HypervisorError,
    NoSuchDomain,
    ObjectNotice,
    TimedOut,
    Unavailable,
    WrongUri,
)
from hostd.model.stats import DomainState
from hostd.model.world import GAP, World
from hostd.store import Store
from tests.support.builders import OTHER_UUID, UUID, facts, shut_off, unconnected
from tests.support.hosts import CONNECTION_FACTS
from tests.support.hypervisor import AT, FakeHypervisor
from tests.support.running import running


@pytest.fixture(autouse=True)
def _prompt_and_event_driven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once; the listing by the clock never, unless a test wants it."""
    monkeypatch.setattr(watcher, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(watcher, "MOST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(watcher, "RELIST_SECONDS", 3600.0)


def is_up(world: World) -> bool:
    return world.connection.is_up


def is_down(world: World) -> bool:
    return not world.connection.is_up


async def test_connecting_tells_of_libvirt_and_of_every_domain() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts(), shut_off(OTHER_UUID, "beta"))
    async with running(watcher.watch(store, fake)):
        world = await store.until(lambda w: UUID in w.domains)
    assert world.connection.facts == CONNECTION_FACTS
    assert [d.facts for d in world.domains.values()] == [facts(), shut_off(OTHER_UUID, "beta")]


async def test_libvirt_that_is_absent_at_the_start_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    fake.faults["connect"] = Unavailable("connect: no such file")
    asked_often = asyncio.Event()
    fake.before["connect"] = lambda: asked_often.set() if fake.asked["connect"] == 5 else None
    async with running(watcher.watch(store, fake)):
        world = await store.until(lambda w: w.connection.why_down == "connect: no such file")
        assert world.connection.losses == 0
        await asked_often.wait()
        fake.faults.clear()
        world = await store.until(is_up)
    assert (world.connection.connects, world.connection.losses) == (1, 0)
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [
        "libvirt at test:///default: connect: no such file; trying again"
    ]


async def test_libvirt_that_dies_is_connected_to_again_subscribed_to_again_and_listed_again() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.faults["connect"] = Unavailable("connect: refused")
        fake.tell(ClosedNotice(why="end of file"))
        world = await store.until(lambda w: w.connection.why_down == "connect: refused")
        assert UUID in world.domains
        fake.domains = {OTHER_UUID: facts(OTHER_UUID, "beta")}
        fake.faults.clear()
        world = await store.until(lambda w: set(w.domains) == {OTHER_UUID})
        assert (world.connection.connects, world.connection.losses) == (2, 1)
        fake.happen(facts(OTHER_UUID, "beta", state=DomainState.PAUSED, reason="user"), "suspended", "paused")
        await store.until(lambda w: w.domains[OTHER_UUID].facts.state is DomainState.PAUSED)
    assert fake.asked["close"] >= 1


@pytest.mark.parametrize("fault", [Unavailable("gone"), TimedOut("slow"), CallFailed("odd")])
async def test_a_listing_that_fails_loses_the_connection_and_the_next_one_is_tried(
    monkeypatch: pytest.MonkeyPatch, fault: HypervisorError
) -> None:
    monkeypatch.setattr(watcher, "RELIST_SECONDS", 0.001)
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.faults["list_domains"] = fault
        await store.until(is_down)
        fake.faults.clear()
        world = await store.until(is_up)
    assert world.connection.connects == 2


async def test_a_uri_that_no_driver_serves_ends_it_at_the_start() -> None:
    fake = FakeHypervisor()
    fake.faults["connect"] = WrongUri("connect: no driver")
    with pytest.raises(WrongUri):
        await watcher.watch(Store(unconnected()), fake)


async def test_a_uri_that_was_served_once_is_waited_for() -> None:
    store, fake = Store(unconnected()), FakeHypervisor()
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.faults["connect"] = WrongUri("connect: no driver")
        fake.tell(ClosedNotice(why="end of file"))
        await store.until(lambda w: w.connection.why_down == "no driver serves the URI any more")
        fake.faults.clear()
        await store.until(is_up)


async def test_a_bug_ends_it() -> None:
    fake = FakeHypervisor()
    fake.faults["list_domains"] = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        await watcher.watch(Store(unconnected()), fake)


async def test_an_event_of_a_domain_that_is_not_known_makes_it_known_and_is_counted() -> None:
    store, fake = Store(unconnected()), FakeHypervisor()
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.happen(facts(), "started", "booted")
        world = await store.until(lambda w: UUID in w.domains and bool(w.domains[UUID].events))
    assert world.domains[UUID].facts == facts()
    assert world.domains[UUID].events == {("started", "booted"): 1}


async def test_an_event_has_the_domain_described_anew() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.happen(shut_off(), "stopped", "shutdown")
        await store.until(lambda w: w.domains[UUID].facts == shut_off())


async def test_a_domain_that_is_gone_when_asked_about_is_forgotten() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        del fake.domains[UUID]
        fake.tell(DomainNotice(uuid=UUID, name="alpha", event="stopped", detail="destroyed", at=1.0))
        await store.until(lambda w: not w.domains)


async def test_a_domain_that_came_and_went_unseen_leaves_nothing() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.tell(DomainNotice(uuid=OTHER_UUID, name="beta", event="started", detail="booted", at=1.0))
        fake.happen(facts(reason="user"), "resumed", "unpaused")
        world = await store.until(lambda w: w.domains[UUID].facts.reason == "user")
    assert set(world.domains) == {UUID}


@pytest.mark.parametrize("fault", [CallFailed("odd"), TimedOut("slow")])
async def test_a_domain_that_cannot_be_described_costs_neither_libvirt_nor_the_others(fault: HypervisorError) -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.faults["describe"] = fault
        fake.happen(facts(state=DomainState.PAUSED), "suspended", "paused")
        await store.until(lambda w: bool(w.domains[UUID].events))
        fake.faults.clear()
        fake.happen(facts(OTHER_UUID, "beta"), "started", "booted")
        world = await store.until(lambda w: OTHER_UUID in w.domains)
    assert (world.connection.losses, world.connection.connects) == (0, 1)


async def test_many_events_of_one_domain_are_all_counted_and_asked_about_once() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    described = asyncio.Event()
    fake.before["describe"] = described.set
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        for _ in range(50):
            fake.happen(facts(), "suspended", "paused")
            fake.happen(facts(), "resumed", "unpaused")
        await store.until(lambda w: w.domains[UUID].events.get(("resumed", "unpaused")) == 50)
        await described.wait()
    assert fake.asked["describe"] == 1


async def test_what_no_event_told_of_is_made_good_by_the_next_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "RELIST_SECONDS", 0.01)
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.domains = {OTHER_UUID: facts(OTHER_UUID, "beta")}
        await store.until(lambda w: set(w.domains) == {OTHER_UUID})


async def test_events_that_find_no_place_are_counted_and_made_good_by_listing_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watcher, "MAX_NOTICES", 3)
    before = telemetry.REGISTRY.get_sample_value("hostd_events_dropped_total", {"connection": ""}) or 0.0
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        for _ in range(5):
            fake.happen(facts(), "suspended", "paused")
        fake.domains[OTHER_UUID] = facts(OTHER_UUID, "beta")  # of which no event came
        world = await store.until(lambda w: OTHER_UUID in w.domains)
    assert world.domains[UUID].events == {("suspended", "paused"): 3}
    assert telemetry.REGISTRY.get_sample_value("hostd_events_dropped_total", {"connection": ""}) == before + 2


async def test_events_that_come_while_domains_are_listed_are_not_lost() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    fake.before["list_domains"] = lambda: fake.happen(shut_off(OTHER_UUID, "beta"), "stopped", "crashed")
    async with running(watcher.watch(store, fake)):
        await store.until(lambda w: OTHER_UUID in w.domains and bool(w.domains[OTHER_UUID].events))


async def test_an_event_that_changes_nothing_of_what_a_domain_is_is_counted_and_asks_for_nothing() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.happen(facts(), "balloon_change", "", changes_facts=False)
        fake.happen(facts(), "io_error", "pause_enospc", changes_facts=False)
        world = await store.until(lambda w: len(w.domains[UUID].events) == 2)
        assert fake.asked["describe"] == 0
        fake.happen(facts(memory_maximum_bytes=1), "device_added", "")
        world = await store.until(lambda w: w.domains[UUID].facts.memory_maximum_bytes == 1)
    assert world.domains[UUID].events == {
        ("balloon_change", ""): 1,
        ("io_error", "pause_enospc"): 1,
        ("device_added", ""): 1,
    }
    assert world.domains[UUID].last_events == dict.fromkeys(("balloon_change", "io_error", "device_added"), AT)
    assert world.domains[UUID].facts.state is DomainState.RUNNING


async def test_events_of_other_objects_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store, fake = Store(unconnected()), FakeHypervisor()
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        for kind, name, event in (("network", "lan", "stopped"), ("node_device", "net_vnet0", "created")):
            is_quiet = kind == "node_device"
            fake.tell(ObjectNotice(object=kind, name=name, event=event, detail="", at=AT, is_quiet=is_quiet))
        world = await store.until(lambda w: len(w.events) == 2)
    assert world.events == {("network", "stopped", ""): 1, ("node_device", "created", ""): 1}
    assert [m for m in caplog.messages if "lan" in m or "vnet" in m] == ["network 'lan': stopped"]


async def test_an_event_of_a_domain_that_is_gone_is_counted_all_the_same() -> None:
    store, fake = Store(unconnected()), FakeHypervisor()
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        fake.tell(DomainNotice(uuid=UUID, name="alpha", event="stopped", detail="failed", at=AT))
        world = await store.until(lambda w: bool(w.events))
    assert (world.domains, world.events) == ({}, {("domain", "stopped", "failed"): 1})


async def test_events_that_are_alike_are_one_line_of_the_log_with_the_last_ones_particulars(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        for path in ("/a", "/b\n", "/c\x1b"):
            fake.happen(facts(), "io_error", "report_other", particulars=(("path", path), ("device", "vda")))
        await store.until(lambda w: w.domains[UUID].events == {("io_error", "report_other"): 3})
    lines = [message for message in caplog.messages if "io_error" in message]
    assert lines == ["domain 'alpha': io_error, report_other, 3 times (path='/c\\x1b', device='vda')"]


def observed(name: str, **labels: str) -> float | None:
    return telemetry.REGISTRY.get_sample_value(f"{name}_sum", {"connection": "", **labels})


async def test_what_a_job_took_is_observed_as_far_as_libvirt_says() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    saved = FinishedJob(operation="save", result="completed", seconds=1.5, downtime_seconds=0.25)
    failed = FinishedJob(operation="backup", result="failed")
    async with running(watcher.watch(store, fake)):
        await store.until(is_up)
        for job in (saved, failed):
            fake.happen(facts(), "job_completed", f"{job.operation}_{job.result}", job=job)
        await store.until(lambda w: len(w.domains[UUID].events) == 2)
    done = {"operation": "save", "result": "completed"}
    assert observed("libvirt_domain_job_duration_seconds", **done) == 1.5
    assert observed("libvirt_domain_job_downtime_seconds", **done) == 0.25
    assert observed("libvirt_domain_job_duration_seconds", operation="backup", result="failed") is None


async def test_a_loss_is_a_gap_until_libvirt_is_listened_to_again_and_what_became_of_domains_is_no_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    async with running(watcher.watch(store, fake)):
        world = await store.until(is_up)
        assert (world.events, world.connection.gap_seconds) == ({}, None)
        fake.faults["list_domains"] = TimedOut("slow")  # connected to, and given up again: the gap goes on
        failed_again = asyncio.Event()
        fake.before["list_domains"] = lambda: failed_again.set() if fake.asked["list_domains"] == 3 else None
        fake.tell(ClosedNotice(why="end of file"))
        await failed_again.wait()
        fake.domains = {UUID: shut_off()}
        fake.faults.clear()
        world = await store.until(lambda w: is_up(w) and w.domains[UUID].facts == shut_off())
    assert world.events == {GAP: 1}
    assert world.domains[UUID].events == {}
    assert world.connection.gap_seconds is not None
    assert world.connection.gap_seconds > 0
    assert len([m for m in caplog.messages if "events of" in m and "may be missing" in m]) == 1


async def test_a_libvirt_that_was_never_there_leaves_no_gap() -> None:
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    fake.faults["connect"] = Unavailable("connect: no such file")
    async with running(watcher.watch(store, fake)):
        await store.until(lambda w: w.connection.why_down == "connect: no such file")
        fake.faults.clear()
        world = await store.until(is_up)
    assert (world.events, world.connection.gap_seconds) == ({}, None)


async def test_a_flood_of_events_leaves_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "MAX_AT_ONCE", 10)
    store, fake = Store(unconnected()), FakeHypervisor(facts())
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(sum(store.world.events.values()))
            await asyncio.sleep(0)

    async with running(watcher.watch(store, fake), other()):
        await store.until(is_up)
        for _ in range(200):
            fake.happen(facts(), "migration_iteration", "", changes_facts=False)
        await store.until(lambda w: sum(w.events.values()) == 200)
    assert set(range(10, 200, 10)) <= set(turns)


async def test_the_fake_keeps_the_ports_contract() -> None:
    fake = FakeHypervisor()
    with pytest.raises(Unavailable):
        await fake.list_domains()
    await fake.connect(lambda _notice: None)
    with pytest.raises(NoSuchDomain):
        await fake.describe(UUID)
