"""What is asked of domains now and then: whose turn it is, and that one which does not answer costs only itself."""

import logging
from dataclasses import replace

import pytest

from hostd.hypervisor import CallFailed, HypervisorError, NoSuchDomain, TimedOut, Unavailable
from hostd.model import changes
from hostd.model.details import NO_JOB, Details, Job
from hostd.model.domain import Domain
from hostd.model.stats import Control, ControlState, DomainState, DomainStats, Sample
from hostd.sampler import details
from hostd.sampler.details import Detailed
from hostd.settings import SamplingSettings
from hostd.store import Store
from tests.support.builders import facts, shut_off, world
from tests.support.hypervisor import FakeHypervisor

SETTINGS = SamplingSettings(interval_seconds=10.0, details_interval_seconds=300.0, max_unresponsive_domains=3)
BACKUP = Job(operation="backup", kind="unbounded")
MIGRATION = Job(operation="migration_out", kind="unbounded")
ANSWERED = Sample(stats=DomainStats(), has_answered=True, control=Control(state=ControlState.OK))


class Clock:
    """The time a test says it is."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(details, "time", clock)
    return clock


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def detailing(count: int = 2) -> tuple[Store, FakeHypervisor, Detailed]:
    fake = FakeHypervisor()
    known = [Domain(facts=facts(uuid_of(number), f"vm{number}")) for number in range(count)]
    fake.details = {domain.uuid: Details(is_autostarted=True) for domain in known}
    store = Store(world(*known))
    return store, fake, Detailed(store, fake, SETTINGS)


def sampled(store: Store, number: int, sample: Sample) -> None:
    store.tell(changes.DomainsSampled(samples={uuid_of(number): sample}, at=1.0))


async def test_every_domain_is_asked_at_once_and_again_after_the_interval(clock: Clock) -> None:
    store, fake, subject = detailing(2)
    await subject.collect()
    assert [domain.details for domain in store.world.domains.values()] == [Details(is_autostarted=True)] * 2
    clock.now += 299
    await subject.collect()
    assert fake.detailed == [uuid_of(0), uuid_of(1)]
    clock.now += 1
    await subject.collect()
    assert fake.detailed == [uuid_of(0), uuid_of(1)] * 2


async def test_one_that_does_not_run_is_asked_too(clock: Clock) -> None:
    fake, store = FakeHypervisor(), Store(world(Domain(facts=shut_off(uuid_of(0)))))
    await Detailed(store, fake, SETTINGS).collect()
    assert store.world.domains[uuid_of(0)].details == Details()


async def test_what_was_left_out_is_asked_for_again_soon_and_then_ever_more_seldom(clock: Clock) -> None:
    _, fake, subject = detailing(1)
    fake.details[uuid_of(0)] = Details(is_whole=False)
    begun, asked_at = clock.now, list[float]()
    for _ in range(120):
        before = len(fake.detailed)
        await subject.collect()
        asked_at += [clock.now - begun] * (len(fake.detailed) - before)
        clock.now += 1
    assert asked_at == [0, 1, 3, 7, 15, 31, 61, 91]
    fake.details[uuid_of(0)] = Details()
    clock.now += 30
    await subject.collect()
    fake.detailed.clear()
    clock.now += 299
    await subject.collect()
    assert fake.detailed == []


async def test_one_that_is_new_or_has_changed_is_asked_at_once_and_the_others_are_not(clock: Clock) -> None:
    store, fake, subject = detailing(2)
    await subject.collect()
    fake.detailed.clear()
    store.tell(changes.DomainDescribed(facts=facts(uuid_of(1), "renamed")))
    store.tell(changes.DomainDescribed(facts=facts(uuid_of(2), "new")))
    store.tell(changes.DomainDescribed(facts=facts(uuid_of(0), "vm0")))  # as it was
    await subject.collect()
    assert fake.detailed == [uuid_of(1), uuid_of(2)]


async def test_what_was_lost_with_libvirt_is_asked_for_as_soon_as_it_is_back(clock: Clock) -> None:
    store, _, subject = detailing(1)
    await subject.collect()
    connection = store.world.connection
    store.tell(changes.HypervisorLost(why="end of file"))
    assert connection.facts is not None
    store.tell(changes.HypervisorConnected(facts=connection.facts))
    await subject.collect()
    assert store.world.domains[uuid_of(0)].details == Details(is_autostarted=True)


async def test_jobs_are_looked_for_on_their_interval_and_one_that_runs_is_followed_on_the_samplings(
    clock: Clock,
) -> None:
    store, fake, subject = detailing(1)
    await subject.collect()
    for _ in range(3):
        clock.now += 10
        await subject.collect()
    assert fake.followed == [uuid_of(0)]
    fake.jobs[uuid_of(0)] = BACKUP
    for _ in range(6):
        clock.now += 10
        await subject.collect()
    assert fake.followed == [uuid_of(0)] * (1 + 4)
    assert store.world.domains[uuid_of(0)].details == Details(is_autostarted=True, job=BACKUP)
    fake.jobs[uuid_of(0)] = NO_JOB
    clock.now += 10
    await subject.collect()
    assert store.world.domains[uuid_of(0)].details == Details(is_autostarted=True, job=NO_JOB)
    assert fake.detailed == [uuid_of(0)]


@pytest.mark.parametrize("fault", [None, TimedOut("ask_job: is stuck"), CallFailed("odd"), NoSuchDomain("gone")])
async def test_a_job_that_cannot_be_asked_after_just_now_is_as_it_was(
    clock: Clock, fault: HypervisorError | None
) -> None:
    store, fake, subject = detailing(1)
    fake.details[uuid_of(0)] = Details(job=BACKUP)
    await subject.collect()
    if fault is not None:
        fake.faults[f"job of {uuid_of(0)}"] = fault
    fake.jobs[uuid_of(0)] = None
    clock.now += 10
    await subject.collect()
    assert fake.followed == [uuid_of(0)]
    assert store.world.domains[uuid_of(0)].details == Details(job=BACKUP)


async def test_a_migration_is_looked_for_as_soon_as_qemu_tells_that_it_copies_memory(clock: Clock) -> None:
    store, fake, subject = detailing(2)
    await subject.collect()
    fake.jobs[uuid_of(1)] = MIGRATION
    for _ in range(3):  # once is enough to find it; then it is followed on its interval
        store.tell(changes.DomainEvent(uuid=uuid_of(1), name="vm1", event="migration_iteration", detail="", at=1.0))
        clock.now += 1
        await subject.collect()
    assert fake.followed == [uuid_of(1)]
    assert store.world.domains[uuid_of(1)].details == Details(is_autostarted=True, job=MIGRATION)


async def test_what_was_told_anew_while_a_job_was_asked_after_is_not_overtaken(clock: Clock) -> None:
    store, fake, subject = detailing(1)
    await subject.collect()
    newer = changes.DomainDetailed(uuid=uuid_of(0), details=Details(is_autostarted=False))
    fake.before[f"job of {uuid_of(0)}"] = lambda: store.tell(newer)
    clock.now += 30
    await subject.collect()
    assert store.world.domains[uuid_of(0)].details == Details(is_autostarted=False)


async def test_a_connection_that_breaks_while_a_job_is_asked_after_ends_the_round(clock: Clock) -> None:
    _, fake, subject = detailing(2)
    await subject.collect()
    fake.faults[f"job of {uuid_of(0)}"] = Unavailable("end of file")
    clock.now += 30
    with pytest.raises(Unavailable):
        await subject.collect()
    assert fake.followed == [uuid_of(0)]


async def test_one_that_does_not_run_has_no_job_to_ask_after(clock: Clock) -> None:
    fake, store = FakeHypervisor(), Store(world(Domain(facts=shut_off(uuid_of(0)))))
    subject = Detailed(store, fake, SETTINGS)
    await subject.collect()
    clock.now += 30
    await subject.collect()
    assert fake.followed == []


@pytest.mark.parametrize("fault", [TimedOut("ask_details: is stuck"), CallFailed("odd")])
async def test_one_that_does_not_answer_costs_only_itself_and_has_its_turn_again_later(
    clock: Clock, caplog: pytest.LogCaptureFixture, fault: HypervisorError
) -> None:
    store, fake, subject = detailing(2)
    await subject.collect()
    fake.faults[f"details of {uuid_of(0)}"] = fault
    for _ in range(3):
        clock.now += 300
        await subject.collect()
        await subject.collect()
    assert store.world.domains[uuid_of(0)].details is None
    assert store.world.domains[uuid_of(1)].details == Details(is_autostarted=True)
    assert fake.detailed == [uuid_of(0), uuid_of(1)] * 4
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"domain 'vm0': {fault}; its details are not known"]


async def test_one_that_did_not_answer_for_its_numbers_is_not_asked_and_is_asked_when_it_answers_again(
    clock: Clock,
) -> None:
    store, fake, subject = detailing(2)
    await subject.collect()
    fake.detailed.clear()
    sampled(store, 0, replace(ANSWERED, has_answered=False))
    clock.now += 300
    await subject.collect()
    assert fake.detailed == [uuid_of(1)]
    assert store.world.domains[uuid_of(0)].details is None
    sampled(store, 0, ANSWERED)
    await subject.collect()
    assert fake.detailed == [uuid_of(1), uuid_of(0)]


async def test_one_that_gets_stuck_while_others_are_asked_is_left_alone(clock: Clock) -> None:
    store, fake, subject = detailing(2)
    fake.before[f"details of {uuid_of(0)}"] = lambda: sampled(store, 1, replace(ANSWERED, has_answered=False))
    await subject.collect()
    assert fake.detailed == [uuid_of(0)]


async def test_when_too_many_are_stuck_nobody_is_asked(clock: Clock) -> None:
    store, fake, subject = detailing(4)
    for number in range(3):
        sampled(store, number, replace(ANSWERED, has_answered=False))
    await subject.collect()
    assert fake.detailed == []
    sampled(store, 0, ANSWERED)
    await subject.collect()
    assert fake.detailed == [uuid_of(0), uuid_of(3)]


async def test_one_that_is_gone_when_it_is_asked_changes_nothing(clock: Clock) -> None:
    store, fake, subject = detailing(2)
    fake.faults[f"details of {uuid_of(0)}"] = NoSuchDomain("gone")
    fake.before[f"details of {uuid_of(0)}"] = lambda: store.tell(changes.DomainGone(uuid=uuid_of(0)))
    await subject.collect()
    assert set(store.world.domains) == {uuid_of(1)}
    assert store.world.domains[uuid_of(1)].details == Details(is_autostarted=True)


async def test_a_connection_that_breaks_ends_the_round(clock: Clock) -> None:
    _, fake, subject = detailing(3)
    fake.faults[f"details of {uuid_of(1)}"] = Unavailable("end of file")
    with pytest.raises(Unavailable):
        await subject.collect()
    assert fake.detailed == [uuid_of(0), uuid_of(1)]


async def test_the_answer_of_a_connection_that_was_lost_meanwhile_is_not_taken(clock: Clock) -> None:
    store, fake, subject = detailing(1)
    fake.before[f"details of {uuid_of(0)}"] = lambda: store.tell(changes.HypervisorLost(why="end of file"))
    await subject.collect()
    assert store.world.domains[uuid_of(0)].details is None


async def test_a_state_that_changed_is_a_change(clock: Clock) -> None:
    store, fake, subject = detailing(1)
    await subject.collect()
    store.tell(changes.StatesSurveyed(states={uuid_of(0): (DomainState.PAUSED, "ioerror")}))
    await subject.collect()
    assert fake.detailed == [uuid_of(0)] * 2
