"""The page. The golden files are written anew with `UPDATE_GOLDEN=1 pytest tests/hostd/test_exposition.py`."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.exposition import Exposition
from hostd.model.block import BlockStats, Bucket, LatencyHistogram
from hostd.model.domain import Domain
from hostd.model.host import Connection
from hostd.model.kvm import DirtyRate, RareStats
from hostd.model.stats import Control, ControlState, DomainStats, InterfaceStats
from hostd.model.storage import StoragePool, Volume
from hostd.model.world import World
from protocol.errors import DropReason
from tests.support.builders import (
    OTHER_UUID,
    UUID,
    channel,
    connected,
    facts,
    full_domain,
    shut_off,
    unconnected,
    world,
)
from tests.support.hosts import POOL
from tests.support.numbers import STATS
from tests.support.pages import NOW, page_of, samples_of, value_of

GOLDEN = Path(__file__).parent / "golden"
EXAMPLE = world(full_domain(), Domain(facts=shut_off(OTHER_UUID, "beta", channel=channel("/run/beta.sock"))))

NASTY_NAMES = [
    'say "hi"',
    "back\\slash",
    "a\\",
    "two\nlines",
    "🐧 ünïcode",
    "x" * 200,
    '{a="b"}',
    "#",
    " ",
    "\\n",
    "\t",
]

any_name = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def named(name: str, *domains: Domain) -> World:
    """A World of one of several connections."""
    return world(*domains, connection=replace(connected(), name=name))


def nasty(name: str) -> World:
    """A World in which all that may have a name has this one."""
    stats = replace(
        STATS,
        interfaces=(InterfaceStats(index=0, name=name, receive_bytes=1),),
        blocks=(BlockStats(device=name, read_bytes=1),),
    )
    pool = replace(POOL, name=name, volumes=(Volume(name=name, capacity_bytes=1),))
    known = facts(UUID, name, channel=channel(), metadata=(("note", name),), promoted=(("team", name),))
    domain = replace(full_domain(UUID, name), facts=known, stats=stats)
    return replace(named(name, domain), pools={pool.uuid: pool})


def unresponsive(uuid: str = UUID) -> Domain:
    """A domain whose monitor is stuck: what is known of it libvirt and the kernel know without it."""
    control = Control(state=ControlState.OCCUPIED, seconds=30.5)
    return replace(full_domain(uuid), stats=DomainStats(), is_responsive=False, control=control)


SEVERAL = (
    named("east", full_domain(), unresponsive(OTHER_UUID)),
    named("west", full_domain(OTHER_UUID, "beta")),
    replace(unconnected(), connection=Connection(uri="qemu+ssh://far/system", name="far")),
)


@pytest.mark.parametrize(("name", "openmetrics"), [("page.txt", False), ("page.openmetrics", True)])
def test_the_page_of_a_known_world_is_the_golden_one(name: str, *, openmetrics: bool) -> None:
    page = page_of(EXAMPLE, openmetrics=openmetrics)
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / name).write_text(page)
    assert page == (GOLDEN / name).read_text()


@pytest.mark.parametrize(
    "known",
    [(EXAMPLE,), (unconnected(),), (world(),), SEVERAL, tuple(nasty(name) for name in NASTY_NAMES)],
    ids=["full", "unconnected", "empty", "several", "nasty"],
)
def test_both_of_prometheus_parsers_take_the_page_and_read_the_same(known: tuple[World, ...]) -> None:
    text = samples_of(page_of(*known))
    assert text
    assert samples_of(page_of(*known, openmetrics=True), openmetrics=True) == text


def test_hostds_own_metrics_are_on_the_page_in_both_formats() -> None:
    subject = Exposition()
    subject.update(EXAMPLE)
    for openmetrics in (False, True):
        page = subject.page(now=NOW, openmetrics=openmetrics, gzip=False).decode()
        names = {name for name, _ in samples_of(page, openmetrics=openmetrics)}
        assert {"hostd_build_info", "hostd_libvirt_calls_in_flight", "hostd_series_dropped_total"} <= names
        assert {"libvirt_up", "hostd_domain_sample_age_seconds"} <= names
        assert page.endswith("# EOF\n") == openmetrics


def test_a_page_before_anything_is_known_has_hostds_own_metrics() -> None:
    page = Exposition().page(now=NOW, openmetrics=True, gzip=False).decode()
    assert samples_of(page, openmetrics=True)


def test_every_family_is_there_once_however_many_connections_there_are() -> None:
    for openmetrics in (False, True):
        lines = page_of(*SEVERAL, openmetrics=openmetrics).splitlines()
        for kind in ("# HELP", "# TYPE"):
            heads = [line.split(" ")[2] for line in lines if line.startswith(kind)]
            assert sorted(set(heads)) == sorted(heads)


def test_the_name_of_a_connection_is_the_first_label_of_all_its_series() -> None:
    samples = [line for line in page_of(*SEVERAL).splitlines() if not line.startswith("#")]
    of_domains = [line for line in samples if "domain=" in line]
    assert {line.partition("{")[2].partition(",")[0].partition("}")[0] for line in samples} == {
        'connection="east"',
        'connection="west"',
        'connection="far"',
    }
    assert all(',domain="' in line and '",uuid="' in line for line in of_domains)


def test_without_a_name_there_is_no_such_label() -> None:
    assert "connection=" not in page_of(EXAMPLE)


def test_the_order_in_which_connections_are_told_of_is_not_on_the_page() -> None:
    assert page_of(*SEVERAL) == page_of(*reversed(SEVERAL))


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_any_name_that_libvirt_allows_comes_back_as_it_was(name: str) -> None:
    for openmetrics in (False, True):
        page = page_of(nasty(name), openmetrics=openmetrics)
        found = samples_of(page, openmetrics=openmetrics)
        for label in ("connection", "domain", "team", "note", "storage_pool", "volume"):
            assert {dict(labels).get(label) for _, labels in found} <= {None, name}
        disk = dict(connection=name, domain=name, uuid=UUID, team=name, target_device=name)  # noqa: C408 - labels read as such
        assert found["libvirt_domain_block_stats_read_bytes_total", frozenset(disk.items())] == 1


@given(any_name)
def test_any_label_value_at_all_comes_back_as_it_was(name: str) -> None:
    page = page_of(world(Domain(facts=facts(name=name))))
    assert value_of(page, "libvirt_domain_info", domain=name) == 1


def test_what_is_not_known_is_not_on_the_page() -> None:
    page = page_of(world(Domain(facts=facts(), stats=DomainStats())))
    assert "libvirt_domain_info_cpu_time_seconds_total" not in page
    assert "None" not in page


def test_a_pool_that_did_not_answer_is_there_without_numbers() -> None:
    silent = StoragePool(uuid=UUID, name="nfs", is_responsive=False)
    page = page_of(replace(world(), pools={UUID: silent}))
    assert value_of(page, "hostd_storage_pool_responsive", storage_pool="nfs") == 0
    assert value_of(page, "libvirt_storage_pool_capacity_bytes") is None


def test_an_unresponsive_domain_is_there_with_what_is_known_without_it() -> None:
    page = page_of(world(unresponsive()))
    assert value_of(page, "hostd_domain_responsive") == 0
    assert value_of(page, "libvirt_domain_control_state", state="occupied") == 1
    assert value_of(page, "hostd_domain_process_cpu_seconds_total") == 101.25
    assert value_of(page, "hostd_domain_pressure_stalled_seconds_total", resource="io") == 6.25
    assert value_of(page, "libvirt_domain_info_cpu_time_seconds_total") is None


def test_interfaces_without_a_name_are_told_apart_by_their_place() -> None:
    nameless = tuple(InterfaceStats(index=at, receive_bytes=at) for at in range(2))
    page = page_of(world(Domain(facts=facts(), stats=DomainStats(interfaces=nameless))))
    for at in range(2):
        assert value_of(page, "libvirt_domain_interface_stats_receive_bytes_total", target_device=f"#{at}") == at


def test_every_reason_to_drop_a_guests_input_is_there_from_the_start() -> None:
    page = page_of(world(Domain(facts=facts(channel=channel()))))
    assert {
        reason.value: value_of(page, "hostd_guest_input_dropped_total", reason=reason.value) for reason in DropReason
    } == {reason.value: 0 for reason in DropReason}


def test_an_age_is_that_of_the_scrape_even_if_nothing_changed() -> None:
    subject = Exposition()
    subject.update(world(full_domain()))
    for later in (0.0, 5.5, 3600.0):
        page = subject.page(now=NOW + later, openmetrics=False, gzip=False).decode()
        assert value_of(page, "guest_report_age_seconds") == NOW + later - 1_700_000_100.0
        assert value_of(page, "hostd_domain_sample_age_seconds") == NOW + later - 1_700_000_095.5


def test_a_clock_that_was_set_back_makes_no_negative_age() -> None:
    assert value_of(page_of(world(full_domain()), now=1.0), "guest_report_age_seconds") == 0


@given(st.floats() | st.integers(-(2**64), 2**64) | st.booleans())
def test_any_value_of_a_gauge_comes_back_equal(value: float) -> None:
    known = world(Domain(facts=facts(), stats=DomainStats(vcpus_current=value)))  # type: ignore[arg-type]  # its own
    found = value_of(page_of(known), "libvirt_domain_vcpu_current")
    assert found is not None
    assert found == pytest.approx(float(value), rel=0, abs=0, nan_ok=True)
    again = samples_of(page_of(known, openmetrics=True), openmetrics=True)
    assert repr(sorted(again.values())) == repr(sorted(samples_of(page_of(known)).values()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "1"),
        (False, "0"),
        (0, "0"),
        (2**64, "18446744073709551616"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_a_number_is_written_as_prometheus_writes_it(value: float, text: str) -> None:
    known = Domain(facts=facts(), stats=DomainStats(vcpus_current=value))  # type: ignore[arg-type]  # the test's own
    assert f'libvirt_domain_vcpu_current{{domain="alpha",uuid="{UUID}"}} {text}\n' in page_of(world(known))


def latencies_of(page: str) -> dict[str, float]:
    """The buckets of the example's reads."""
    found = samples_of(page).items()
    name = "libvirt_domain_block_latency_seconds_bucket"
    return {dict(labels)["le"]: value for (n, labels), value in found if n == name and ("operation", "read") in labels}


def test_latencies_are_a_histogram_that_prometheus_takes_for_one() -> None:
    page = page_of(EXAMPLE)
    assert "# TYPE libvirt_domain_block_latency_seconds histogram\n" in page
    assert latencies_of(page) == {"1e-05": 10, "0.0005": 25, "+Inf": 28}


def test_two_disks_of_one_name_do_not_mix_their_buckets() -> None:
    buckets = (Bucket(until_seconds=2e-05, count=1), Bucket(until_seconds=math.inf, count=2))
    twin = BlockStats(device="vda", latency_histograms=(LatencyHistogram(operation="read", buckets=buckets),))
    both = replace(full_domain(), stats=replace(STATS, blocks=(*STATS.blocks, twin)))
    assert latencies_of(page_of(world(both))) == latencies_of(page_of(EXAMPLE))


@pytest.mark.parametrize("status", ["unstarted", "measuring", "measured"])
def test_a_dirty_rate_that_nobody_ever_measured_has_no_status_and_no_mode(status: str) -> None:
    rare = RareStats(dirty_rate=DirtyRate(status=status, mode="page-sampling"))
    page = samples_of(page_of(world(replace(full_domain(), stats=DomainStats(rare=rare)))))
    told = {dict(of)["status"]: v for (name, of), v in page.items() if name == "libvirt_domain_dirty_rate_status"}
    assert {name for name, is_so in told.items() if is_so} == {status} - {"unstarted"}
    assert len(told) == (0 if status == "unstarted" else 3)
    assert any(name == "libvirt_domain_dirty_rate_mode_info" for name, _ in page) == (status != "unstarted")
