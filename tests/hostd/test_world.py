"""The World and what each change makes of it."""

import typing
from dataclasses import replace

import pytest

from hostd.model import changes
from hostd.model.changes import Change
from hostd.model.details import Details
from hostd.model.domain import Domain
from hostd.model.host import Host
from hostd.model.objects import Objects
from hostd.model.stats import Control, ControlState, DomainState, DomainStats, ProcessStats, Sample
from hostd.model.world import GAP
from protocol.errors import DropReason
from tests.support.builders import (
    EVENT,
    HELLO,
    NOTICE,
    OTHER_UUID,
    REPORT,
    UUID,
    channel,
    facts,
    full_domain,
    guest,
    only,
    shut_off,
    unconnected,
    world,
)
from tests.support.hosts import CONNECTION_FACTS, HOST
from tests.support.numbers import PROCESS, STATS
from tests.support.particulars import DETAILS

SAMPLE = Sample(stats=STATS, has_answered=True, control=Control(state=ControlState.JOB, seconds=2.0))
UNANSWERED = Sample(
    stats=DomainStats(interfaces=STATS.interfaces),
    has_answered=False,
    control=Control(state=ControlState.OCCUPIED, seconds=9.0),
)

EXAMPLES: tuple[Change, ...] = (
    changes.HypervisorConnected(facts=CONNECTION_FACTS),
    changes.HypervisorLost(why="gone"),
    changes.DomainsListed(domains=(facts(),)),
    changes.DomainDescribed(facts=facts(name="renamed")),
    changes.DomainGone(uuid=UUID),
    changes.DomainEvent(uuid=UUID, name="alpha", event="suspended", detail="paused", at=6.0),
    changes.ObjectEvent(object="network", event="stopped", detail=""),
    changes.HostSampled(host=Host(cpus=3)),
    changes.StatesSurveyed(states={UUID: (DomainState.PAUSED, "ioerror")}),
    changes.DomainsSampled(samples={UUID: SAMPLE}, at=7.0),
    changes.StatsExpired(),
    changes.ProcessesSampled(processes={UUID: ProcessStats(cpu_seconds=1.0)}),
    changes.DomainDetailed(uuid=UUID, details=Details(is_autostarted=False)),
    changes.StorageSampled(pools={}),
    changes.ObjectsSampled(objects=Objects()),
    changes.GuestGreeted(uuid=UUID, hello=HELLO),
    changes.GuestReported(uuid=UUID, report=REPORT, at=8.0),
    changes.GuestSilent(uuid=UUID),
    changes.GuestLost(uuid=UUID, is_retried=True),
    changes.GuestInputDropped(uuid=UUID, drops={DropReason.STATE: 1}),
    changes.GuestThrottled(uuid=UUID, seconds=0.5),
    changes.GuestQuarantined(uuid=UUID, fault="flood"),
    changes.GuestReleased(uuid=UUID),
    changes.GuestEventsTaken(uuid=UUID, events=(EVENT,), at=9.0),
    changes.NoticeAnswered(uuid=UUID, number=NOTICE.number, answer="done"),
)
OF_ONE_DOMAIN = [change for change in EXAMPLES if hasattr(change, "uuid")]


def named(change: Change) -> str:
    return type(change).__name__


def test_every_change_has_an_example_here() -> None:
    assert {type(change) for change in EXAMPLES} == set(typing.get_args(Change))


@pytest.mark.parametrize("change", EXAMPLES, ids=named)
def test_every_change_makes_a_difference_and_leaves_the_world_before_it_alone(change: Change) -> None:
    before = world(full_domain())
    after = before.apply(change)
    assert after != before
    assert before == world(full_domain())


@pytest.mark.parametrize("change", OF_ONE_DOMAIN, ids=named)
def test_a_change_costs_other_domains_nothing_not_even_their_identity(change: Change) -> None:
    other = full_domain(OTHER_UUID, "beta")
    after = world(full_domain(), other).apply(change)
    assert after.domains[OTHER_UUID] is other


LEAVE_A_TRACE = (changes.DomainDescribed, changes.DomainEvent)


@pytest.mark.parametrize("change", [c for c in OF_ONE_DOMAIN if not isinstance(c, LEAVE_A_TRACE)], ids=named)
def test_a_change_for_a_domain_that_is_not_known_leaves_the_world_the_same_object(change: Change) -> None:
    before = world(full_domain(OTHER_UUID, "beta"))
    assert before.apply(change) is before


def test_a_description_makes_an_unknown_domain_known() -> None:
    after = world().apply(changes.DomainDescribed(facts=facts()))
    assert only(after) == Domain(facts=facts())


def test_a_listing_forgets_who_is_not_in_it() -> None:
    after = world(full_domain(), full_domain(OTHER_UUID, "beta")).apply(changes.DomainsListed(domains=(facts(),)))
    assert set(after.domains) == {UUID}


def test_unchanged_facts_keep_the_same_domain_object() -> None:
    domain = full_domain()
    listed = changes.DomainsListed(domains=(domain.facts,))
    assert world(domain).apply(listed).domains[UUID] is domain


def test_a_domain_that_stops_loses_its_numbers_and_its_guests_session_and_keeps_its_history() -> None:
    after = only(world(full_domain()).apply(changes.DomainDescribed(facts=shut_off(channel=channel()))))
    assert (after.is_active, after.stats, after.is_responsive, after.control) == (False, None, None, None)
    assert (after.answered_at, after.process, after.details) == (None, None, None)
    assert after.guest == guest(hello=None, report=None, clock_offset_seconds=None)
    assert after.events == full_domain().events


def test_a_name_that_is_used_again_is_another_domain() -> None:
    after = world(full_domain()).apply(changes.DomainsListed(domains=(facts(OTHER_UUID, "alpha"),)))
    assert after.domains == {OTHER_UUID: Domain(facts=facts(OTHER_UUID, "alpha"))}


@pytest.mark.parametrize(
    ("event", "detail", "state"),
    [
        ("suspended", "paused", DomainState.PAUSED),
        ("stopped", "destroyed", DomainState.SHUTOFF),
        ("crashed", "panicked", DomainState.CRASHED),
        ("pmsuspended", "memory", DomainState.PMSUSPENDED),
        ("shutdown", "guest", DomainState.SHUTDOWN),
    ],
)
def test_an_event_changes_the_state_at_once_and_claims_no_reason_for_it(
    event: str, detail: str, state: DomainState
) -> None:
    after = only(
        world(full_domain()).apply(changes.DomainEvent(uuid=UUID, name="alpha", event=event, detail=detail, at=6.0))
    )
    assert (after.facts.state, after.facts.reason) == (state, "unknown")


def test_an_event_that_says_nothing_of_the_state_leaves_state_and_reason() -> None:
    after = only(
        world(full_domain()).apply(changes.DomainEvent(uuid=UUID, name="new", event="defined", detail="x", at=6.0))
    )
    assert (after.facts.state, after.facts.reason, after.name) == (DomainState.RUNNING, "booted", "new")


def test_events_are_counted_by_kind_and_detail() -> None:
    known = world(Domain(facts=facts()))
    for event in ("suspended", "resumed", "suspended"):
        known = known.apply(changes.DomainEvent(uuid=UUID, name="alpha", event=event, detail="d", at=6.0))
    assert only(known).events == {("suspended", "d"): 2, ("resumed", "d"): 1}


def test_the_last_time_of_each_event_is_kept() -> None:
    known = world(Domain(facts=facts()))
    for event, at in (("suspended", 1.0), ("resumed", 2.0), ("suspended", 3.0)):
        known = known.apply(changes.DomainEvent(uuid=UUID, name="alpha", event=event, detail="d", at=at))
    assert only(known).last_events == {"suspended": 3.0, "resumed": 2.0}


def test_an_event_that_is_not_of_the_lifecycle_leaves_the_facts_the_same_object() -> None:
    before = full_domain()
    change = changes.DomainEvent(uuid=UUID, name="alpha", event="balloon_change", detail="", at=1.0)
    assert only(world(before).apply(change)).facts is before.facts


def test_events_are_counted_over_all_objects_also_those_of_domains_that_are_not_known_or_gone() -> None:
    known = world(full_domain(), events={})
    for uuid in (UUID, OTHER_UUID):
        known = known.apply(changes.DomainEvent(uuid=uuid, name="x", event="stopped", detail="failed", at=1.0))
    known = known.apply(changes.ObjectEvent(object="network", event="stopped", detail=""))
    known = known.apply(changes.DomainGone(uuid=UUID)).apply(changes.HypervisorLost(why="gone"))
    assert known.events == {("domain", "stopped", "failed"): 2, ("network", "stopped", ""): 1}


def test_a_gap_is_an_event_of_the_connection_and_the_first_connection_follows_none() -> None:
    known = unconnected().apply(changes.HypervisorConnected(facts=CONNECTION_FACTS))
    assert (known.events, known.connection.gap_seconds) == ({}, None)
    for seconds in (2.0, 3.5):
        known = known.apply(changes.HypervisorLost(why="gone"))
        known = known.apply(changes.HypervisorConnected(facts=CONNECTION_FACTS, gap_seconds=seconds))
    assert (known.events, known.connection.gap_seconds) == ({GAP: 2}, 3.5)


def test_no_event_is_invented_for_what_became_of_a_domain_in_a_gap() -> None:
    lost = world(full_domain(), events={}).apply(changes.HypervisorLost(why="gone"))
    back = lost.apply(changes.HypervisorConnected(facts=CONNECTION_FACTS, gap_seconds=2.0))
    after = back.apply(changes.DomainsListed(domains=(shut_off(),)))
    assert only(after).facts.state is DomainState.SHUTOFF
    assert (only(after).events, after.events) == (full_domain().events, {GAP: 1})


def test_a_sample_brings_numbers_and_the_time_they_were_given() -> None:
    after = only(world(Domain(facts=facts())).apply(changes.DomainsSampled(samples={UUID: SAMPLE}, at=5.0)))
    assert (after.stats, after.answered_at, after.is_responsive, after.control) == (STATS, 5.0, True, SAMPLE.control)


def test_a_domain_that_did_not_answer_keeps_who_it_is_and_loses_its_numbers() -> None:
    before = full_domain()
    after = only(world(before).apply(changes.DomainsSampled(samples={UUID: UNANSWERED}, at=5.0)))
    assert after == replace(
        before, stats=UNANSWERED.stats, is_responsive=False, control=UNANSWERED.control, details=None
    )
    assert after.answered_at == before.answered_at


def test_a_domain_that_was_not_asked_is_not_called_unresponsive() -> None:
    held = replace(UNANSWERED, has_answered=None)
    after = only(world(full_domain()).apply(changes.DomainsSampled(samples={UUID: held}, at=5.0)))
    assert (after.is_responsive, after.details) == (None, DETAILS)


def test_details_that_are_the_same_leave_the_domain_the_same_object() -> None:
    before = full_domain()
    assert only(world(before).apply(changes.DomainDetailed(uuid=UUID, details=replace(DETAILS)))) is before
    assert only(world(before).apply(changes.DomainDetailed(uuid=UUID, details=None))).details is None


def test_a_domain_that_a_collection_says_nothing_of_stays_the_same_object() -> None:
    domain = full_domain()
    assert only(world(domain).apply(changes.DomainsSampled(samples={OTHER_UUID: SAMPLE}, at=5.0))) is domain


def test_a_survey_moves_only_those_whose_state_is_another() -> None:
    same, moved = full_domain(), full_domain(OTHER_UUID, "beta")
    states = {UUID: same.facts.standing, OTHER_UUID: (DomainState.PAUSED, "ioerror")}
    after = world(same, moved).apply(changes.StatesSurveyed(states=states))
    assert after.domains[UUID] is same
    assert after.domains[OTHER_UUID].facts.standing == (DomainState.PAUSED, "ioerror")


def test_a_survey_that_a_stop_has_overtaken_starts_nothing_again() -> None:
    stopped = Domain(facts=shut_off())
    states = {UUID: (DomainState.RUNNING, "booted")}
    assert only(world(stopped).apply(changes.StatesSurveyed(states=states))) is stopped


def test_numbers_asked_of_a_domain_before_it_stopped_are_not_taken() -> None:
    domain = Domain(facts=shut_off())
    assert only(world(domain).apply(changes.DomainsSampled(samples={UUID: SAMPLE}, at=5.0))) is domain


def test_a_process_that_is_gone_takes_its_numbers_along_and_an_unchanged_one_changes_nothing() -> None:
    known = world(full_domain())
    assert only(known.apply(changes.ProcessesSampled(processes={}))).process is None
    assert known.apply(changes.ProcessesSampled(processes={UUID: PROCESS})) is known


FROM_LIBVIRT = (
    changes.HostSampled,
    changes.StatesSurveyed,
    changes.DomainsSampled,
    changes.StorageSampled,
    changes.ObjectsSampled,
)


@pytest.mark.parametrize("change", [c for c in EXAMPLES if isinstance(c, FROM_LIBVIRT)], ids=named)
def test_numbers_that_arrive_after_libvirt_was_lost_are_not_taken(change: Change) -> None:
    lost = world(full_domain()).apply(changes.HypervisorLost(why="gone"))
    assert lost.apply(change) is lost


def test_losing_libvirt_drops_its_numbers_and_keeps_domains_and_guests() -> None:
    after = world(full_domain()).apply(changes.HypervisorLost(why="end of file"))
    assert after.host == Host()
    assert (after.connection.is_up, after.connection.why_down) == (False, "end of file")
    assert only(after) == replace(full_domain(), stats=None, is_responsive=None, control=None, details=None)
    assert after.pools == {}
    assert after.objects == Objects()


def test_libvirt_is_lost_once_however_often_it_cannot_be_reached() -> None:
    known = world()
    for why in ("end of file", "connection refused", "connection refused"):
        known = known.apply(changes.HypervisorLost(why=why))
    assert (known.connection.losses, known.connection.why_down) == (1, "connection refused")


def test_libvirt_that_was_never_there_was_not_lost() -> None:
    assert unconnected().apply(changes.HypervisorLost(why="no such file")).connection.losses == 0


def test_connections_are_counted() -> None:
    known = unconnected()
    for change in (EXAMPLES[0], EXAMPLES[1], EXAMPLES[0]):
        known = known.apply(change)
    assert (known.connection.connects, known.connection.losses, known.connection.is_up) == (2, 1, True)


def test_expired_numbers_are_dropped_and_the_host_is_kept() -> None:
    after = world(full_domain()).apply(changes.StatsExpired())
    assert only(after).stats is None
    assert after.host == HOST
