"""Collections of the domains' numbers: whatever one of them does, the others' are there."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from hostd.hypervisor import Answer, CallFailed, HypervisorError, NoSuchDomain, TimedOut, Unavailable
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.model.stats import Control, ControlState, DomainState, DomainStats, Survey
from hostd.sampler import domains
from hostd.sampler.domains import Domains
from hostd.settings import SamplingSettings
from hostd.store import Store
from tests.support.builders import UUID, facts, full_domain, world
from tests.support.hypervisor import FakeHypervisor
from tests.support.numbers import STATS

SURVEY = Survey(
    state=DomainState.RUNNING, reason="booted", interfaces=STATS.interfaces, bandwidth=STATS.bandwidth, perf=STATS.perf
)
NUMBERS = replace(STATS, interfaces=(), bandwidth=(), perf=None)  # what a domain itself answers
SURVEYED = DomainStats(interfaces=STATS.interfaces, bandwidth=STATS.bandwidth, perf=STATS.perf)
OCCUPIED = Control(state=ControlState.OCCUPIED, seconds=60.0)
SETTINGS = SamplingSettings(interval_seconds=10.0, max_unresponsive_domains=3)


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
    monkeypatch.setattr(domains, "time", clock)
    return clock


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def collecting(count: int = 2, *, at_once: int = 1) -> tuple[Store, FakeHypervisor, Domains]:
    fake = FakeHypervisor()
    known = [Domain(facts=facts(uuid_of(number), f"vm{number}")) for number in range(count)]
    fake.surveys = {domain.uuid: SURVEY for domain in known}
    fake.stats = {domain.uuid: NUMBERS for domain in known}
    store = Store(world(*known))
    return store, fake, Domains(store, fake, SETTINGS, at_once=at_once)


def responsive(store: Store) -> list[bool | None]:
    return [domain.is_responsive for domain in store.world.domains.values()]


async def test_a_collection_joins_what_the_survey_and_each_domain_say(clock: Clock) -> None:
    store, _, subject = collecting(3)
    await subject.collect()
    for domain in store.world.domains.values():
        assert (domain.stats, domain.answered_at, domain.is_responsive) == (STATS, clock.time(), True)
        assert domain.control == Control(state=ControlState.OK)


async def test_interfaces_that_the_domain_itself_told_of_are_taken(clock: Clock) -> None:
    store, fake, subject = collecting(1)
    fake.surveys = {uuid_of(0): replace(SURVEY, interfaces=())}
    fake.stats = {uuid_of(0): STATS}
    await subject.collect()
    assert store.world.domains[uuid_of(0)].stats == STATS


async def test_the_states_of_a_survey_are_told_before_any_domain_is_asked(clock: Clock) -> None:
    store, fake, subject = collecting(1)
    fake.surveys = {uuid_of(0): replace(SURVEY, state=DomainState.PAUSED, reason="ioerror")}
    seen: list[tuple[DomainState, str]] = []
    fake.before[uuid_of(0)] = lambda: seen.append(store.world.domains[uuid_of(0)].facts.standing)
    await subject.collect()
    assert seen == [(DomainState.PAUSED, "ioerror")]


@pytest.mark.parametrize("fault", [TimedOut("ask: is stuck"), CallFailed("monitor closed")])
async def test_a_domain_that_does_not_answer_loses_its_numbers_and_the_others_do_not(
    clock: Clock, caplog: pytest.LogCaptureFixture, fault: HypervisorError
) -> None:
    store, fake, subject = collecting(3)
    await subject.collect()
    answered_at = clock.time()
    fake.faults[uuid_of(1)] = fault
    clock.now += 10
    await subject.collect()
    stuck = store.world.domains[uuid_of(1)]
    assert responsive(store) == [True, False, True]
    assert (stuck.stats, stuck.answered_at) == (SURVEYED, answered_at)
    assert store.world.domains[uuid_of(2)].answered_at == clock.time()
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"domain 'vm1' does not answer: {fault}; it has no numbers until it does"]


async def test_a_domain_that_timed_out_still_has_its_control_state(clock: Clock) -> None:
    store, fake, subject = collecting(1)
    fake.faults[uuid_of(0)] = TimedOut("ask: is stuck")
    fake.before[uuid_of(0)] = lambda: fake.controls.update({uuid_of(0): OCCUPIED})
    await subject.collect()
    assert store.world.domains[uuid_of(0)].control == OCCUPIED


async def test_a_domain_that_costs_its_budget_every_time_is_asked_less_and_less_often(clock: Clock) -> None:
    store, fake, subject = collecting(2)
    fake.faults[uuid_of(0)] = TimedOut("ask: is stuck")
    for _ in range(100):
        await subject.collect()
        clock.now += 10
    asked = fake.entered.count(uuid_of(0))
    assert 100 / 9 <= asked < 60
    assert fake.entered.count(uuid_of(1)) == 100
    assert responsive(store) == [False, True]


async def test_a_domain_whose_monitor_is_occupied_is_not_entered_and_is_back_as_soon_as_it_is_free(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store, fake, subject = collecting(2)
    fake.controls[uuid_of(0)] = OCCUPIED
    for _ in range(5):
        await subject.collect()
    assert fake.entered == [uuid_of(1)] * 5
    assert (responsive(store), store.world.domains[uuid_of(0)].control) == ([False, True], OCCUPIED)
    fake.controls.clear()
    await subject.collect()
    assert responsive(store) == [True, True]
    assert [m for m in caplog.messages if "vm0" in m] == [
        "domain 'vm0' does not answer: its monitor is occupied; it has no numbers until it does",
        "domain 'vm0' answers again",
    ]


@pytest.mark.parametrize("reason", ["migration", "starting_up"])
async def test_a_domain_that_is_about_to_run_here_is_not_asked_and_no_fault_is_found_with_it(
    clock: Clock, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, fake, subject = collecting(2)
    fake.surveys = {**fake.surveys, uuid_of(0): replace(SURVEY, state=DomainState.PAUSED, reason=reason)}
    await subject.collect()
    assert (fake.entered, responsive(store)) == ([uuid_of(1)], [None, True])
    assert store.world.domains[uuid_of(0)].stats == SURVEYED
    fake.surveys = {**fake.surveys, uuid_of(0): SURVEY}
    await subject.collect()
    assert responsive(store) == [True, True]
    assert caplog.messages == []


async def test_a_domain_that_hangs_holds_up_only_who_asks_it(clock: Clock) -> None:
    store, fake, subject = collecting(20, at_once=2)
    go_on, others_are_told = asyncio.Event(), asyncio.Event()
    answer = fake.ask

    async def ask(uuid: str, *, deadline_seconds: float, may_enter: bool, is_rare: bool = False) -> Answer:
        if uuid == uuid_of(0):
            await go_on.wait()
        return await answer(uuid, deadline_seconds=deadline_seconds, may_enter=may_enter, is_rare=is_rare)

    fake.ask = ask  # type: ignore[method-assign]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(subject.collect())
        await store.until(lambda w: all(d.stats for d in w.domains.values() if d.uuid != uuid_of(0)))
        others_are_told.set()
        assert store.world.domains[uuid_of(0)].stats is None
        go_on.set()
    assert responsive(store) == [True] * 20


async def test_no_more_are_asked_at_once_than_wanted(clock: Clock) -> None:
    _, fake, subject = collecting(12, at_once=3)
    answer, inside, most = fake.ask, 0, 0

    async def ask(uuid: str, *, deadline_seconds: float, may_enter: bool, is_rare: bool = False) -> Answer:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return await answer(uuid, deadline_seconds=deadline_seconds, may_enter=may_enter, is_rare=is_rare)

    fake.ask = ask  # type: ignore[method-assign]
    await subject.collect()
    assert most == 3


async def test_when_too_many_are_stuck_the_well_ones_are_not_asked_and_that_is_said(clock: Clock) -> None:
    store, fake, subject = collecting(6)
    for number in range(3):
        fake.controls[uuid_of(number)] = OCCUPIED
    await subject.collect()
    assert responsive(store) == [False] * 3 + [True] * 3
    fake.entered.clear()
    with pytest.raises(CallFailed, match=r"^3 domains do not answer.*sampling\.max_unresponsive_domains"):
        await subject.collect()
    assert fake.entered == []
    assert responsive(store) == [False] * 3 + [None] * 3
    assert store.world.domains[uuid_of(5)].stats == SURVEYED


async def test_one_that_recovers_is_asked_also_when_the_well_ones_are_not(clock: Clock) -> None:
    store, fake, subject = collecting(6)
    for number in range(3):
        fake.controls[uuid_of(number)] = OCCUPIED
    await subject.collect()
    del fake.controls[uuid_of(0)]
    with pytest.raises(CallFailed):
        await subject.collect()
    assert responsive(store) == [True, False, False, None, None, None]
    await subject.collect()
    assert responsive(store) == [True, False, False, True, True, True]


async def test_a_domain_that_is_gone_when_it_is_asked_changes_nothing(clock: Clock) -> None:
    store, fake, subject = collecting(2)
    before = store.world.domains[uuid_of(0)]
    fake.faults[uuid_of(0)] = NoSuchDomain("gone")
    await subject.collect()
    assert store.world.domains[uuid_of(0)] is before
    assert store.world.domains[uuid_of(1)].stats == STATS


async def test_a_connection_that_breaks_ends_the_collection_and_what_was_learned_is_kept(clock: Clock) -> None:
    store, fake, subject = collecting(5)
    fake.faults[uuid_of(2)] = Unavailable("end of file")
    with pytest.raises(Unavailable, match="end of file"):
        await subject.collect()
    assert fake.entered == [uuid_of(number) for number in range(3)]
    assert [domain.stats == STATS for domain in store.world.domains.values()] == [True, True, False, False, False]


@pytest.mark.parametrize("fault", [CallFailed("odd"), TimedOut("slow"), Unavailable("gone")])
async def test_without_a_survey_numbers_are_kept_for_three_intervals_and_then_dropped(
    clock: Clock, fault: HypervisorError
) -> None:
    store, fake, subject = collecting(1)
    await subject.collect()
    fake.faults["survey"] = fault
    for _ in range(3):
        clock.now += 10
        with pytest.raises(type(fault)):
            await subject.collect()
        assert store.world.domains[uuid_of(0)].stats == STATS
    clock.now += 10
    with pytest.raises(type(fault)):
        await subject.collect()
    assert store.world.domains[uuid_of(0)].stats is None
    fake.faults.clear()
    await subject.collect()
    assert store.world.domains[uuid_of(0)].stats == STATS


async def test_the_answers_of_a_connection_that_was_lost_meanwhile_are_not_taken(clock: Clock) -> None:
    fake = FakeHypervisor()
    fake.surveys, fake.stats = {UUID: SURVEY}, {UUID: NUMBERS}
    store = Store(world(full_domain()))
    fake.before[UUID] = lambda: store.tell(changes.HypervisorLost(why="end of file"))
    await Domains(store, fake, SETTINGS, at_once=1).collect()
    assert store.world.domains[UUID].stats is None


async def test_a_domain_that_left_is_forgotten_and_may_come_back_well(clock: Clock) -> None:
    _, fake, subject = collecting(2)
    fake.faults[uuid_of(0)] = TimedOut("stuck")
    await subject.collect()
    known, fake.surveys = fake.surveys, {uuid_of(1): SURVEY}
    await subject.collect()
    fake.faults.clear()
    fake.surveys = known
    fake.entered.clear()
    await subject.collect()
    assert uuid_of(0) in fake.entered


async def test_a_bug_ends_it(clock: Clock) -> None:
    _, fake, subject = collecting(1)
    fake.faults[uuid_of(0)] = ZeroDivisionError("a bug")
    with pytest.raises(ExceptionGroup) as caught:
        await subject.collect()
    assert caught.group_contains(ZeroDivisionError)


async def test_what_is_learned_early_is_not_kept_for_the_end_of_a_long_round(clock: Clock) -> None:
    store, fake, subject = collecting(4)

    def later(then: Callable[[], None]) -> Callable[[], None]:
        def pass_time() -> None:
            clock.now += 1
            then()

        return pass_time

    told: list[int] = []
    for number in range(4):
        fake.before[uuid_of(number)] = later(
            lambda: told.append(sum(domain.stats is not None for domain in store.world.domains.values()))
        )
    await subject.collect()
    assert told == [0, 1, 2, 3]


async def test_what_is_rare_is_asked_for_once_a_minute_and_kept_in_between(clock: Clock) -> None:
    store, fake, subject = collecting(1)
    answer, asked = fake.ask, list[bool]()

    async def ask(uuid: str, *, deadline_seconds: float, may_enter: bool, is_rare: bool = False) -> Answer:
        asked.append(is_rare)
        return await answer(uuid, deadline_seconds=deadline_seconds, may_enter=may_enter, is_rare=is_rare)

    fake.ask = ask  # type: ignore[method-assign]
    for _ in range(13):
        await subject.collect()
        assert store.world.domains[uuid_of(0)].stats == STATS
        clock.now += 10
    assert [at for at, is_rare in enumerate(asked) if is_rare] == [0, 6, 12]


async def test_a_domain_that_does_not_answer_loses_what_is_rare_too_and_is_asked_for_it_as_soon_as_it_does(
    clock: Clock,
) -> None:
    store, fake, subject = collecting(1)
    await subject.collect()
    fake.controls[uuid_of(0)] = OCCUPIED
    clock.now += 10
    await subject.collect()
    assert store.world.domains[uuid_of(0)].stats == SURVEYED
    fake.controls.clear()
    clock.now += 10
    await subject.collect()
    assert store.world.domains[uuid_of(0)].stats == STATS


async def test_what_is_rare_and_not_told_again_is_dropped_after_three_of_its_intervals(clock: Clock) -> None:
    store, fake, subject = collecting(1)
    await subject.collect()
    fake.stats = {uuid_of(0): replace(NUMBERS, rare=None)}
    for _ in range(18):
        clock.now += 10
        await subject.collect()
        assert store.world.domains[uuid_of(0)].stats == STATS
    clock.now += 10
    await subject.collect()
    assert store.world.domains[uuid_of(0)].stats == replace(STATS, rare=None)
