"""The page. The golden files are written anew with `UPDATE_GOLDEN=1 pytest tests/hostd/test_exposition.py`."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from hostd import exposition, telemetry
from hostd.exposition import Exposition
from hostd.metrics.row import Scope, gauge, itself
from hostd.model.domain import Domain
from hostd.model.stats import BlockStats, CpuStats, DomainStats, InterfaceStats
from hostd.model.world import World
from protocol.errors import DropReason
from protocol.messages import Filesystem
from tests.support.builders import (
    OTHER_UUID,
    REPORT,
    STATS,
    UUID,
    channel,
    facts,
    full_domain,
    guest,
    shut_off,
    unconnected,
    world,
)
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


def stats_of(**others: object) -> Domain:
    return Domain(facts=facts(), stats=DomainStats(**others))  # type: ignore[arg-type]  # the test's own business


@pytest.mark.parametrize(("name", "openmetrics"), [("page.txt", False), ("page.openmetrics", True)])
def test_the_page_of_a_known_world_is_the_golden_one(name: str, *, openmetrics: bool) -> None:
    page = page_of(EXAMPLE, openmetrics=openmetrics)
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / name).write_text(page)
    assert page == (GOLDEN / name).read_text()


@pytest.mark.parametrize("known", [EXAMPLE, unconnected(), world()], ids=["full", "unconnected", "empty"])
def test_both_of_prometheus_parsers_take_the_page_and_read_the_same(known: World) -> None:
    text = samples_of(page_of(known))
    assert text
    assert samples_of(page_of(known, openmetrics=True), openmetrics=True) == text


def test_hostds_own_metrics_are_on_the_page_in_both_formats() -> None:
    for openmetrics in (False, True):
        page = Exposition().page(EXAMPLE, now=NOW, openmetrics=openmetrics).decode()
        names = {name for name, _ in samples_of(page, openmetrics=openmetrics)}
        assert {"hostd_build_info", "hostd_libvirt_calls_in_flight", "libvirt_up"} <= names
        assert page.endswith("# EOF\n") == openmetrics


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_any_name_that_libvirt_allows_comes_back_as_it_was(name: str) -> None:
    for openmetrics in (False, True):
        page = page_of(world(full_domain(UUID, name), full_domain(OTHER_UUID, "beta")), openmetrics=openmetrics)
        names = {dict(labels).get("domain") for _, labels in samples_of(page, openmetrics=openmetrics)}
        assert names == {None, name, "beta"}


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_label_value_at_all_comes_back_as_it_was(name: str) -> None:
    page = page_of(world(Domain(facts=facts(name=name))))
    assert value_of(page, "libvirt_domain_info", domain=name) == 1


@pytest.mark.parametrize(
    "broken",
    [
        full_domain(UUID, "half a \ud800 character"),
        replace(full_domain(), stats=replace(STATS, cpu=CpuStats(time_seconds="much"))),  # type: ignore[arg-type]
        replace(full_domain(), guest=guest(report=replace(REPORT, uptime_seconds=[]))),  # type: ignore[arg-type]
    ],
    ids=["surrogate", "text", "list"],
)
def test_a_domain_that_no_page_can_hold_costs_only_itself_and_is_counted(broken: Domain) -> None:
    before = telemetry.REGISTRY.get_sample_value("hostd_render_failures_total") or 0.0
    fine = full_domain(OTHER_UUID, "beta")
    both, alone = page_of(world(broken, fine)), page_of(world(fine))
    assert both == alone.replace("libvirt_domains 1", "libvirt_domains 2")
    assert telemetry.REGISTRY.get_sample_value("hostd_render_failures_total") == before + 1


def test_two_of_the_same_name_are_told_once() -> None:
    twins = stats_of(
        interfaces=(
            InterfaceStats(index=0, name="vnet0", receive_bytes=1),
            InterfaceStats(index=1, name="vnet0", receive_bytes=2),
        ),
        blocks=(BlockStats(device="vda", read_bytes=1), BlockStats(device="vda", read_bytes=2)),
    )
    page = page_of(world(twins))
    assert value_of(page, "libvirt_domain_interface_stats_receive_bytes_total") == 1
    assert value_of(page, "libvirt_domain_block_stats_read_bytes_total") == 1


def test_a_guest_that_reports_a_mount_twice_breaks_no_page() -> None:
    root = Filesystem(mountpoint="/", device="a", fstype="b", size_bytes=1, free_bytes=1, available_bytes=1)
    known = replace(full_domain(), guest=guest(report=replace(REPORT, filesystems=(root, root))))
    assert value_of(page_of(world(known)), "guest_filesystem_size_bytes") == 1


def test_interfaces_without_a_name_are_told_apart_by_their_place() -> None:
    nameless = tuple(InterfaceStats(index=at, receive_bytes=at) for at in range(2))
    page = page_of(world(stats_of(interfaces=nameless)))
    for at in range(2):
        assert value_of(page, "libvirt_domain_interface_stats_receive_bytes_total", target_device=f"#{at}") == at


def test_what_is_not_known_is_not_on_the_page() -> None:
    page = page_of(world(stats_of()))
    assert "libvirt_domain_info_cpu_time_seconds_total" not in page
    assert "None" not in page


def test_every_reason_to_drop_a_guests_input_is_there_from_the_start() -> None:
    page = page_of(world(Domain(facts=facts(channel=channel()))))
    assert {
        reason.value: value_of(page, "hostd_guest_input_dropped_total", reason=reason.value) for reason in DropReason
    } == {reason.value: 0 for reason in DropReason}


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One metric of a domain instead of all; whose value was asked for, in order."""
    asked: list[str] = []

    def value(domain: Domain) -> float:
        asked.append(domain.name)
        return 1

    scope: Scope[Domain, Domain] = Scope((), itself, (gauge("t_value", "Help.", value),))
    monkeypatch.setattr(exposition, "DOMAIN_SCOPES", (scope,))
    monkeypatch.setattr(exposition, "_DOMAIN_METRICS", scope.metrics)
    return asked


def test_a_domain_that_did_not_change_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counting(monkeypatch)
    subject = Exposition(CollectorRegistry())
    alpha, beta = full_domain(UUID, "alpha"), full_domain(OTHER_UUID, "beta")
    first = subject.page(world(alpha, beta), now=NOW, openmetrics=False)
    assert subject.page(world(alpha, beta), now=NOW, openmetrics=False) == first
    assert asked == ["alpha", "beta"]
    subject.page(world(alpha, replace(beta, sampled_at=1.0)), now=NOW, openmetrics=True)
    assert asked == ["alpha", "beta", "beta"]


def test_a_domain_that_is_gone_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counting(monkeypatch)
    subject = Exposition(CollectorRegistry())
    alpha = full_domain()
    subject.page(world(alpha), now=NOW, openmetrics=False)
    assert b"alpha" not in subject.page(world(), now=NOW, openmetrics=False)
    assert subject._rendered == {}
    subject.page(world(alpha), now=NOW, openmetrics=False)
    assert asked == ["alpha", "alpha"]


def test_an_age_is_that_of_the_scrape_even_if_nothing_changed() -> None:
    subject, known = Exposition(CollectorRegistry()), world(full_domain())
    for later in (0.0, 5.5, 3600.0):
        page = subject.page(known, now=NOW + later, openmetrics=False).decode()
        assert value_of(page, "guest_report_age_seconds") == NOW + later - 1_700_000_100.0
        assert value_of(page, "hostd_domain_sample_age_seconds") == NOW + later - 1_700_000_095.5


def test_a_clock_that_was_set_back_makes_no_negative_age() -> None:
    assert value_of(page_of(world(full_domain()), now=1.0), "guest_report_age_seconds") == 0


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 2**64))
def test_any_finite_value_comes_back_equal(value: float) -> None:
    known = world(stats_of(vcpus_current=value))  # a gauge: a counter may not be negative
    page = page_of(known)
    found = value_of(page, "libvirt_domain_vcpu_current")
    assert found is not None
    assert float(found) == float(value)
    assert samples_of(page_of(known, openmetrics=True), openmetrics=True) == samples_of(page)
