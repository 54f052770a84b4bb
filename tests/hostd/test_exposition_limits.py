"""What one domain can do to the page: nothing. Not with values, not with names, not with numbers of series."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from hostd import telemetry
from hostd.exposition import Exposition
from hostd.model.block import BlockStats
from hostd.model.domain import Domain
from hostd.model.stats import CpuStats, DomainStats, InterfaceStats
from hostd.model.world import World
from protocol.messages import Filesystem
from tests.support.builders import OTHER_UUID, REPORT, UUID, channel, facts, full_domain, guest, world
from tests.support.hosts import POOL
from tests.support.numbers import STATS
from tests.support.pages import NOW, page_of, samples_of, value_of

ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([10**400, -(10**5000), "\ud800", "a\0b", object(), (), [], {}])
)

BROKEN = {
    "surrogate": full_domain(UUID, "half a \ud800 character"),
    "nul": full_domain(UUID, "a\0b"),
    "nul in metadata": replace(full_domain(), facts=facts(metadata=(("note", "a\0b"),))),
    "nul in a promoted label": replace(full_domain(), facts=facts(promoted=(("team", "a\0b"),))),
    "surrogate in a promoted label": replace(full_domain(), facts=facts(promoted=(("team", "\ud800"),))),
    "text": replace(full_domain(), stats=replace(STATS, cpu=CpuStats(time_seconds="much"))),  # type: ignore[arg-type]
    "list": replace(full_domain(), guest=guest(report=replace(REPORT, uptime_seconds=[]))),  # type: ignore[arg-type]
    "huge": replace(full_domain(), stats=replace(STATS, vcpus_current=10**400)),
    "no count": replace(full_domain(), stats=replace(STATS, cpu=CpuStats(time_seconds=-1.0))),
    "no moment": replace(full_domain(), answered_at=float("nan")),
    "no stats": replace(full_domain(), stats=replace(STATS, cpu=None)),  # type: ignore[arg-type]
}

FINE = full_domain(OTHER_UUID, "beta")


def counted(name: str) -> float:
    """What hostd has counted of itself so far."""
    return telemetry.REGISTRY.get_sample_value(name) or 0.0


def lines_of(page: str, uuid: str) -> list[str]:
    """The lines of one domain, as they are."""
    return [line for line in page.splitlines() if f'uuid="{uuid}"' in line]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_domain_that_no_page_can_hold_costs_only_itself_and_is_counted(broken: Domain) -> None:
    before = counted("hostd_render_failures_total")
    both, alone = page_of(world(broken, FINE)), page_of(world(FINE))
    assert both == alone.replace("libvirt_domains 1", "libvirt_domains 2")
    assert counted("hostd_render_failures_total") == before + 1


def test_it_is_logged_once_until_it_can_be_rendered_again(caplog: pytest.LogCaptureFixture) -> None:
    subject = Exposition(CollectorRegistry())
    for domain in (BROKEN["text"], BROKEN["list"], full_domain(), BROKEN["text"]):
        subject.update(world(domain))
    said = warnings(caplog)
    assert len(said) == 2
    assert said[0].startswith(f"domain {UUID}: cannot be rendered and is left out: TypeError: ")


def test_a_domain_that_can_be_rendered_again_is_back_with_all_it_has() -> None:
    subject = Exposition(CollectorRegistry())
    for domain in (full_domain(), BROKEN["text"], full_domain()):
        subject.update(world(domain))
    assert subject.page(now=NOW, openmetrics=False, gzip=False).decode() == page_of(world(full_domain()))


def test_a_table_of_the_worlds_own_that_no_page_can_hold_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    before = counted("hostd_render_failures_total")
    broken = world(FINE, pools={POOL.uuid: replace(POOL, capacity_bytes="much")})  # type: ignore[arg-type]
    page = page_of(broken)
    assert lines_of(page, OTHER_UUID) == lines_of(page_of(world(FINE)), OTHER_UUID)
    assert value_of(page, "libvirt_storage_pool_capacity_bytes") is None
    assert value_of(page, "libvirt_storage_pool_state", state="running") == 1
    assert value_of(page, "libvirt_up") == 1
    assert counted("hostd_render_failures_total") == before + 1
    assert [said.partition(":")[0] for said in warnings(caplog)] == ["connection ''"]


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - of the model, any
    """The ways to all fields of a domain, those of its parts included; the first of several stands for all."""
    if isinstance(value, tuple) and value:
        yield from places(value[0], path)
    for name in getattr(value, "__dataclass_fields__", ()):
        yield (*path, name)
        yield from places(getattr(value, name), (*path, name))


def with_field(value: Any, path: tuple[str, ...], new: object) -> Any:  # noqa: ANN401
    """The same value with another field at that place."""
    if not path:
        return new
    if isinstance(value, tuple):
        return (with_field(value[0], path, new), *value[1:])
    return replace(value, **{path[0]: with_field(getattr(value, path[0]), path[1:], new)})


# whose the series are is asked before the tables are
PLACES = [path for path in places(full_domain()) if path not in {("facts",), ("facts", "uuid")}]


@settings(max_examples=200)
@given(st.sampled_from(PLACES), ANYTHING)
def test_whatever_a_domain_holds_the_page_parses_and_the_others_are_as_they_were(
    path: tuple[str, ...], value: object
) -> None:
    known = world(with_field(full_domain(), path, value), FINE)
    page = page_of(known)
    assert lines_of(page, OTHER_UUID) == lines_of(page_of(world(FINE)), OTHER_UUID)
    openmetrics = samples_of(page_of(known, openmetrics=True), openmetrics=True)
    assert openmetrics.keys() == samples_of(page).keys()


def test_two_of_the_same_name_are_told_once() -> None:
    stats = DomainStats(
        interfaces=(
            InterfaceStats(index=0, name="vnet0", receive_bytes=1),
            InterfaceStats(index=1, name="vnet0", receive_bytes=2),
        ),
        blocks=(BlockStats(device="vda", read_bytes=1), BlockStats(device="vda", read_bytes=2)),
    )
    page = page_of(world(Domain(facts=facts(), stats=stats)))
    assert value_of(page, "libvirt_domain_interface_stats_receive_bytes_total") == 1
    assert value_of(page, "libvirt_domain_block_stats_read_bytes_total") == 1


def test_two_pools_of_the_same_name_are_told_once_each_time() -> None:
    twin = replace(POOL, uuid=OTHER_UUID, capacity_bytes=1)
    subject = Exposition(CollectorRegistry())
    for pools in ({POOL.uuid: POOL, twin.uuid: twin}, {twin.uuid: twin, POOL.uuid: POOL}):
        subject.update(world(pools=pools))
        page = subject.page(now=NOW, openmetrics=False, gzip=False).decode()
        assert samples_of(page)
        assert value_of(page, "libvirt_storage_pool_capacity_bytes") == next(iter(pools.values())).capacity_bytes


def test_a_guest_that_reports_a_mount_twice_breaks_no_page() -> None:
    root = Filesystem(mountpoint="/", device="a", fstype="b", size_bytes=1, free_bytes=1, available_bytes=1)
    known = replace(full_domain(), guest=guest(report=replace(REPORT, filesystems=(root, root))))
    assert value_of(page_of(world(known)), "guest_filesystem_size_bytes") == 1


FULL = full_domain()


def mounts(count: int) -> Domain:
    """A domain whose guest claims that many filesystems."""
    filesystems = tuple(
        Filesystem(mountpoint=f"/{at}", device="a", fstype="b", size_bytes=at, free_bytes=1, available_bytes=1)
        for at in range(count)
    )
    return Domain(facts=facts(channel=channel()), guest=guest(report=replace(REPORT, filesystems=filesystems)))


ALL = len(lines_of(page_of(world(mounts(50))), UUID))


@pytest.mark.parametrize("limit", [1, 2, 20, ALL - 1, ALL, ALL + 1])
def test_a_domain_has_no_more_series_than_it_may_and_says_how_many_are_left_out(limit: int) -> None:
    before = counted("hostd_series_dropped_total")
    page = page_of(world(mounts(50), FINE), max_series_per_domain=limit)
    told = lines_of(page, UUID)
    left_out = max(0, ALL - limit)
    assert len(told) == min(limit, ALL)
    assert f'hostd_domain_series_left_out{{domain="alpha",uuid="{UUID}"}} {left_out}' in told
    of_the_other = max(0, len(lines_of(page_of(world(FINE)), OTHER_UUID)) - limit)
    assert counted("hostd_series_dropped_total") == before + left_out + of_the_other


@given(st.integers(1, ALL))
def test_what_is_left_out_is_what_comes_last_and_a_guests_claims_come_last_of_all(limit: int) -> None:
    kept = set(lines_of(page_of(world(mounts(50)), max_series_per_domain=limit), UUID))
    more = set(lines_of(page_of(world(mounts(50)), max_series_per_domain=limit + 1), UUID))
    said = {line for line in kept | more if line.startswith("hostd_domain_series_left_out")}
    assert kept - said <= more - said
    if any(line.startswith("guest_filesystem") for line in kept):
        assert 'libvirt_domain_info{domain="alpha"' in "\n".join(kept)
        assert any(line.startswith("hostd_guest_input_dropped_total") for line in kept)


@given(st.integers(1, len(lines_of(page_of(world(FULL)), UUID))))
def test_a_histogram_is_whole_or_not_there(limit: int) -> None:
    """Without its last bucket it is none, and the reference parser refuses the page."""
    page = page_of(world(FULL), max_series_per_domain=limit, openmetrics=True)
    told = samples_of(page, openmetrics=True)
    assert sum(name == "libvirt_domain_block_latency_seconds_bucket" for name, _ in told) in {0, 4}
    assert len(lines_of(page, UUID)) <= limit


def test_series_that_fit_again_are_told_again() -> None:
    subject = Exposition(CollectorRegistry(), max_series_per_domain=ALL)
    few = mounts(50)
    many = replace(few, events={("started", str(at)): 1 for at in range(20)})
    for domain in (few, many, few):
        subject.update(world(domain))
    page = subject.page(now=NOW, openmetrics=False, gzip=False).decode()
    assert page == page_of(world(few))


def test_the_page_of_other_domains_is_the_same_to_the_byte_whatever_a_guest_claims() -> None:
    limit = 200
    pages = [page_of(world(mounts(count), FINE), max_series_per_domain=limit) for count in (0, 1, 50, 256)]
    assert len({tuple(lines_of(page, OTHER_UUID)) for page in pages}) == 1


def test_a_domain_over_the_limit_is_logged_once_until_it_is_within(caplog: pytest.LogCaptureFixture) -> None:
    subject = Exposition(CollectorRegistry(), max_series_per_domain=150)
    for domain in (mounts(50), mounts(60), mounts(1), mounts(50)):
        subject.update(world(domain))
    expected = f"domain 'alpha': {ALL - 150} series are beyond exposition.max_series_per_domain and left out"
    said = warnings(caplog)
    assert (len(said), said[0], said[1]) == (2, expected, expected)


def test_the_limit_is_each_domains_own(world_of_three: World) -> None:
    page = page_of(world_of_three, max_series_per_domain=50)
    counts = {uuid: len(lines_of(page, uuid)) for uuid in world_of_three.domains}
    assert set(counts.values()) == {50}


@pytest.fixture
def world_of_three() -> World:
    return world(*(replace(mounts(50), facts=facts(f"uuid-{at}", f"name-{at}")) for at in range(3)))
