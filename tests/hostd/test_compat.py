"""Other exporters' families: exactly theirs where hostd knows the value, and nothing at all without the switch."""

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from prometheus_client import CollectorRegistry

from hostd.daemon import _exposition
from hostd.exposition import Exposition
from hostd.exposition.known import LEFT_OUT
from hostd.metrics import DOMAIN_SCOPES, WORLD_SCOPES
from hostd.metrics.compat import PEERS, WIDER
from hostd.metrics.row import Scope
from hostd.model.block import BlockStats, IoTune
from hostd.model.details import NO_JOB, Details, Job
from hostd.model.devices import Disk, Hardware
from hostd.model.domain import Domain
from hostd.model.stats import BalloonStats, DomainState, DomainStats
from hostd.model.world import World
from hostd.settings import ExpositionSettings, Settings
from tests.support.builders import OTHER_UUID, UUID, connected, facts, full_domain, shut_off, world
from tests.support.hosts import POOL
from tests.support.numbers import STATS
from tests.support.pages import NOW, Series, page_of, samples_of, value_of

EXPORTED: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[2] / "packaging" / "peers.toml").read_text(encoding="utf-8")
)
EVERY = tuple(PEERS)
SCOPES: tuple[Scope[Any, Any, Any], ...] = (*WORLD_SCOPES, *DOMAIN_SCOPES, LEFT_OUT)
OURS = {metric.name for scope in SCOPES for metric in scope.metrics}
FULL = world(full_domain())
HUGE = IoTune(total_bytes_per_second=10**400)


def added(*worlds: World, compat: tuple[str, ...] = EVERY, openmetrics: bool = False) -> dict[Series, float]:
    """What only the switch puts on the page: all that is not of a family of ours."""
    page = samples_of(page_of(*worlds, compat=compat, openmetrics=openmetrics), openmetrics=openmetrics)
    without = samples_of(page_of(*worlds, openmetrics=openmetrics), openmetrics=openmetrics)
    of_ours = {series: value for series, value in page.items() if series[0] in OURS}
    narrow = {(name, labels - further(name, compat, worlds)): value for (name, labels), value in of_ours.items()}
    assert narrow == without
    assert len(narrow) == len(of_ours)
    return {series: value for series, value in page.items() if series[0] not in OURS}


def further(family: str, compat: tuple[str, ...], worlds: Iterable[World]) -> set[tuple[str, str]]:
    """The labels, with their values, that the switch puts on a family of ours."""
    return {
        pair
        for peer in compat
        for wider in WIDER[peer]
        if wider.name == family
        for known in worlds
        for domain in known.domains.values()
        for pair in zip(wider.labels, wider.values(domain.facts), strict=True)
    }


@pytest.mark.parametrize("peer", PEERS)
def test_each_of_a_peers_families_is_ours_by_that_name_or_added_or_left_out_for_a_reason(peer: str) -> None:
    families = set(EXPORTED[peer]["families"])
    those = {family.name for family in PEERS[peer]}
    left_out = EXPORTED[peer]["left_out"]
    assert families == (families & OURS) | those | set(left_out)
    assert not OURS & those
    assert not (OURS | those) & set(left_out)
    assert all(left_out.values())
    assert set(EXPORTED[peer]["differs"]) <= families & OURS


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("peer", PEERS)
def test_what_is_added_is_exactly_the_peers_families_with_exactly_its_labels(peer: str, *, openmetrics: bool) -> None:
    found: dict[str, set[frozenset[str]]] = {}
    for name, labels in added(FULL, compat=(peer,), openmetrics=openmetrics):
        found.setdefault(name, set()).add(frozenset(label for label, _ in labels))
    families = EXPORTED[peer]["families"]
    wanted = set(families) - OURS - set(EXPORTED[peer]["left_out"])
    assert found == {name: {frozenset(families[name])} for name in wanted}


@pytest.mark.parametrize("peer", PEERS)
def test_what_both_have_under_one_name_has_all_of_the_peers_labels_besides_ours(peer: str) -> None:
    page = samples_of(page_of(FULL, compat=(peer,)))
    found: dict[str, list[set[str]]] = {}
    for name, labels in page:
        found.setdefault(name, []).append({label for label, _ in labels})
    for family, labels in EXPORTED[peer]["families"].items():
        if family not in EXPORTED[peer]["left_out"]:
            assert found[family]
            assert all(set(labels) <= series for series in found[family]), family


@pytest.mark.parametrize("peer", PEERS)
def test_further_labels_say_what_the_peers_do_and_are_of_families_that_lack_them(peer: str) -> None:
    labelled = {scope.metrics[0].name: set(scope.labels or ()) for scope in DOMAIN_SCOPES}
    for wider in WIDER[peer]:
        assert set(wider.labels) == set(EXPORTED[peer]["families"][wider.name]) - labelled[wider.name] - {"domain"}
    page = page_of(FULL, compat=(peer,))
    inovex = peer == "inovex"
    machine = {"os_type_arch": "x86_64", "os_type_machine": "pc-q35-7.2"}
    assert value_of(page, "libvirt_domain_info", **machine) == (1 if inovex else None)
    assert value_of(page, "libvirt_domain_openstack_info", instance_id=UUID) == (1 if inovex else None)


def test_a_domain_that_nova_did_not_make_is_not_told_of_as_one() -> None:
    page = page_of(world(Domain(facts=facts())), compat=EVERY)
    assert value_of(page, "libvirt_domain_openstack_info") is None
    assert value_of(page, "libvirt_domain_info", os_type_arch="x86_64") == 1


@pytest.mark.parametrize("peer", PEERS)
def test_each_row_names_a_family_of_ours_that_says_the_same(peer: str) -> None:
    assert {family.ours for family in PEERS[peer]} <= OURS
    assert all(family.differs for family in PEERS[peer])


def test_both_peers_at_once_share_what_they_both_have() -> None:
    assert set(added(FULL)) == {*added(FULL, compat=("tinkoff",)), *added(FULL, compat=("inovex",))}


@pytest.mark.parametrize(("state", "number"), list(zip(DomainState, range(8), strict=True)))
def test_states_are_libvirts_numbers(state: DomainState, number: int) -> None:
    page = page_of(world(Domain(facts=facts(state=state))), compat=EVERY)
    assert value_of(page, "libvirt_domain_info_vstate") == number
    assert value_of(page, "libvirt_domain_info_state") == number


def test_values_are_those_of_ours_in_the_peers_unit() -> None:
    page = page_of(FULL, compat=EVERY)
    assert value_of(page, "libvirt_domain_info_maximum_memory_bytes") == 2 << 30
    assert value_of(page, "libvirt_domain_info_memory_usage_bytes") == 1 << 30
    assert value_of(page, "libvirt_domain_memory_stats_used_percent") == 20
    assert value_of(page, "libvirt_domain_block_stats_allocation", target_device="vda") == 2 << 30
    assert value_of(page, "libvirt_pool_info_available_bytes", pool="default") == 60 << 30
    assert value_of(page, "libvirt_domain_info_state", state_desc="the domain is running") == 1
    assert value_of(page, "libvirt_domain_info_meta", uuid=UUID, project_uuid="p-1", root_uuid="i-1", flavor="m1.small")
    assert value_of(page, "libvirt_domain_interface_meta", target_device="vnet0", source_bridge="br0") == 1
    versions = {"hypervisor_running": "7.2.0", "libvirtd_running": "9.0.0", "libvirt_library": "9.1.0"}
    assert value_of(page, "libvirt_versions_info", **versions) == 1


LIMITS = {  # of Tinkoff's, and ours that says the same
    "limit_total_bytes": "total_bytes_per_second",
    "limit_write_requests": "write_requests_per_second",
    "limit_burst_read_bytes": "read_burst_bytes_per_second",
    "limit_burst_total_requests": "total_burst_requests_per_second",
    "limit_burst_write_bytes_length_seconds": "write_burst_bytes_length_seconds",
    "limit_burst_length_read_requests_seconds": "read_burst_requests_length_seconds",
    "size_iops_bytes": "request_bytes",
}


@pytest.mark.parametrize(("theirs", "ours"), LIMITS.items())
def test_a_disks_limit_is_ours_and_0_where_there_is_none(theirs: str, ours: str) -> None:
    disk = {"target_device": "vda"}
    limited = page_of(FULL, compat=EVERY)
    limit = value_of(limited, f"libvirt_domain_block_iotune_{ours}", **disk)
    assert limit is not None
    assert value_of(limited, f"libvirt_domain_block_stats_{theirs}", **disk) == limit
    free = page_of(world(Domain(facts=facts(hardware=Hardware(disks=(Disk(device="vda"),))))), compat=EVERY)
    assert value_of(free, f"libvirt_domain_block_iotune_{ours}", **disk) is None
    assert value_of(free, f"libvirt_domain_block_stats_{theirs}", **disk) == 0


@pytest.mark.parametrize(
    ("job", "number"),
    [
        (NO_JOB, 0),
        (Job(operation="save", kind="bounded"), 1),
        (Job(operation="backup", kind="unbounded"), 2),
        (Job(operation="save", kind="6"), None),
        (None, None),
    ],
)
def test_a_jobs_kind_is_libvirts_number_and_0_without_a_job(job: Job | None, number: int | None) -> None:
    page = page_of(world(replace(full_domain(), details=Details(job=job))), compat=EVERY)
    assert value_of(page, "libvirt_domain_job_info_type") == number


@pytest.mark.parametrize(("is_responsive", "told"), [(True, 0), (False, 1), (None, None)])
def test_whether_a_domain_did_not_answer_is_not_told_of_one_that_was_not_asked(
    *, is_responsive: bool | None, told: int | None
) -> None:
    page = page_of(world(replace(full_domain(), is_responsive=is_responsive)), compat=EVERY)
    assert value_of(page, "libvirt_domain_timed_out") == told


def test_a_pool_that_did_not_answer_is_told_of() -> None:
    page = page_of(world(pools={POOL.uuid: replace(POOL, is_responsive=False)}), compat=EVERY)
    assert value_of(page, "libvirt_storage_pool_timed_out") == 1


@pytest.mark.parametrize("balloon", [BalloonStats(), BalloonStats(available_bytes=0, usable_bytes=0)])
def test_what_is_not_known_is_absent(balloon: BalloonStats) -> None:
    page = page_of(world(replace(full_domain(), stats=DomainStats(balloon=balloon))), compat=EVERY)
    assert value_of(page, "libvirt_domain_memory_stats_used_percent") is None
    assert value_of(page, "libvirt_domain_info_virtual_cpus") is None
    stopped = {name for name, _ in added(world(Domain(facts=shut_off()), pools={}))}
    assert "libvirt_domain_info_vstate" in stopped
    assert not stopped & {"libvirt_domain_info_memory_usage_bytes", "libvirt_domain_timed_out"}


@pytest.mark.parametrize(
    "bad",
    [
        full_domain(OTHER_UUID, "half \ud800"),
        full_domain(OTHER_UUID, "nul \0"),
        replace(full_domain(OTHER_UUID, "beta"), stats=replace(STATS, vcpus_current="2")),  # type: ignore[arg-type]
        replace(full_domain(OTHER_UUID, "beta"), stats=replace(STATS, blocks=(BlockStats(device=7),))),  # type: ignore[arg-type]
        replace(full_domain(OTHER_UUID, "beta"), stats=replace(STATS, balloon=BalloonStats(current_bytes=10**400))),
        Domain(facts=facts(OTHER_UUID, "beta", hardware=Hardware(disks=(Disk(device="vda", iotune=HUGE),)))),
    ],
    ids=["surrogate", "nul", "text", "label", "huge", "limit"],
)
def test_a_domain_that_no_page_can_hold_costs_only_itself(bad: Domain) -> None:
    well = added(world(full_domain()))
    both = added(world(bad, full_domain()))
    assert well.items() <= both.items()


def test_of_two_domains_of_one_name_the_first_is_told_of_in_every_family() -> None:
    first = Domain(facts=shut_off(OTHER_UUID, "alpha"))
    both = added(world(first, full_domain(UUID, "alpha"), pools={}))
    assert both == added(world(first, pools={}))
    assert both


def test_connections_keep_their_domains_apart() -> None:
    named = [
        world(full_domain(uuid), connection=replace(connected(), name=name))
        for name, uuid in (("east", UUID), ("west", OTHER_UUID))
    ]
    told = [dict(labels) for name, labels in added(*named) if name == "libvirt_domain_info_vstate"]
    assert sorted(labels["connection"] for labels in told) == ["east", "west"]


def test_a_change_of_a_domain_is_on_the_next_page() -> None:
    subject = Exposition(CollectorRegistry(), compat=EVERY)
    for state in (DomainState.RUNNING, DomainState.PAUSED):
        subject.update(world(Domain(facts=facts(state=state))))
    page = subject.page(now=NOW, openmetrics=False, gzip=False).decode()
    assert value_of(page, "libvirt_domain_info_vstate") == 3
    subject.update(world())
    page = subject.page(now=NOW, openmetrics=False, gzip=False).decode()
    assert value_of(page, "libvirt_domain_info_vstate") is None


def test_every_peer_can_be_chosen_and_is_then_on_the_page() -> None:
    (names,) = {get_args(kind)[0] for kind in (get_type_hints(ExpositionSettings)["compat"],)}
    assert set(get_args(names)) == set(PEERS)
    chosen = _exposition(Settings(exposition=ExpositionSettings(compat=("inovex",))))
    chosen.update(FULL)
    page = chosen.page(now=NOW, openmetrics=False, gzip=False)
    assert b"libvirt_domain_info_state" in page
    assert b"libvirt_domain_info_vstate" not in page
