"""The operator's own metrics out of hostd's tables: found by name and labels, added up, and refused with the place."""

import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hostd.config import ConfigError
from hostd.metrics import DOMAIN_SCOPES, WORLD_SCOPES
from hostd.model.domain import Domain
from hostd.model.stats import DomainStats, InterfaceStats
from hostd.settings import VhostmdMetric, VhostmdSettings
from hostd.vhostmd.custom import check, lookup_of
from tests.support.builders import UUID, facts, full_domain, guest, world
from tests.support.pages import NOW, page_of, samples_of, value_of

FULL = world(full_domain())

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"metric": "libvirt_host_lod1"},
        r"metric: 'libvirt_host_lod1' is none of hostd's metrics; is it .*libvirt_host_load1.*\?",
    ),
    ({"metric": "zzzzzzzz"}, r"metric: 'zzzzzzzz' is none of hostd's metrics; docs/metrics\.md has them all"),
    (
        {"metric": "libvirt_domain_vcpu_current"},
        r"metric: 'libvirt_domain_vcpu_current' is not of context 'host': .*; write context = \"vm\"",
    ),
    (
        {"metric": "libvirt_host_load1", "context": "vm"},
        r"metric: 'libvirt_host_load1' is not of context 'vm': .*; write context = \"host\"",
    ),
    (
        {"metric": "libvirt_host_load1", "labels": {"cpu": "0"}},
        r"labels: libvirt_host_load1 has no label 'cpu'; it has none",
    ),
    (
        {"metric": "libvirt_host_cpu_seconds_total", "labels": {"cpu": "0", "state": "user"}},
        r"labels: libvirt_host_cpu_seconds_total has no label 'state'; its labels are cpu, mode",
    ),
]


def metric(name: str, **others: Any) -> VhostmdMetric:  # noqa: ANN401 - fields of VhostmdMetric
    return VhostmdMetric(**{"name": "X", "metric": name, **others})


def told(name: str, owner: object = FULL, **others: Any) -> str | None:  # noqa: ANN401 - fields of VhostmdMetric
    context = "vm" if isinstance(owner, Domain) else "host"
    return lookup_of(metric(name, context=context, **others), "here").text(owner, NOW)


def test_a_value_of_the_host_and_one_of_a_domain_are_those_on_the_page() -> None:
    assert told("libvirt_host_load1") == "0.5"
    assert told("libvirt_domain_vcpu_maximum", full_domain()) == "4"
    assert told("libvirt_domains") == "1"


@pytest.mark.parametrize("scope", [*WORLD_SCOPES, *DOMAIN_SCOPES], ids=lambda scope: scope.metrics[0].name)
def test_every_metric_there_is_can_be_had_and_is_what_its_series_add_up_to(scope: Any) -> None:  # noqa: ANN401
    page = samples_of(page_of(FULL))
    owner = FULL if scope in WORLD_SCOPES else FULL.domains[UUID]
    for row in scope.metrics:
        expected = sum(value for (name, _), value in page.items() if name == row.name)
        assert float(told(row.name, owner) or "nan") == pytest.approx(expected)


def test_labels_choose_among_series_and_the_rest_is_added_up() -> None:
    both = "libvirt_host_cpu_seconds_total"
    assert told(both, labels={"cpu": "0", "mode": "user"}) == "5000.5"
    assert told(both, labels={"cpu": "0"}) == str(5000.5 + 2500.25 + 90000.0 + 12.5 + 1.25)
    assert told(both, labels={"cpu": "7"}) is None
    several = Domain(
        facts=facts(),
        stats=DomainStats(interfaces=tuple(InterfaceStats(index=at, receive_bytes=2 + at) for at in range(3))),
    )
    assert told("libvirt_domain_interface_stats_receive_bytes_total", several) == "9"
    assert told("libvirt_domain_interface_stats_transmit_bytes_total", several) is None


def test_labels_that_the_operator_named_himself_can_be_asked_for() -> None:
    assert told("libvirt_domain_metadata_info", full_domain(), labels={"team": "blue"}) == "1"
    assert told("libvirt_domain_metadata_info", full_domain(), labels={"team": "red"}) is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [("real64", "100.500000"), ("real32", "100.500000"), ("uint64", "100"), ("int32", "100"), ("string", "100.5")],
)
def test_a_number_is_written_as_its_type_says(kind: str, text: str) -> None:
    assert told("libvirt_domain_info_cpu_time_seconds_total", full_domain(), type=kind) == text


def test_what_is_so_is_1() -> None:
    assert told("libvirt_up") == "1"


def test_an_age_is_that_of_the_moment_and_never_negative() -> None:
    name = "guest_report_age_seconds"
    assert told(name, full_domain()) == "10.25"
    assert value_of(page_of(FULL), name) == 10.25
    assert told(name, replace(full_domain(), guest=guest(reported_at=NOW + 5)), type="real64") == "0.000000"


def test_what_is_not_known_is_not_told() -> None:
    stuck = Domain(facts=facts())
    assert told("libvirt_domain_vcpu_maximum", stuck) is None
    assert told("libvirt_host_load1", world(host=replace(FULL.host, load1=None))) is None


@pytest.mark.parametrize("load", [math.nan, math.inf, "much"])
def test_what_is_no_number_is_never_told(load: Any) -> None:  # noqa: ANN401 - libvirt's word
    with pytest.raises((ValueError, TypeError)):
        told("libvirt_host_load1", world(host=replace(FULL.host, load1=load)))


@pytest.mark.parametrize(("wrong", "why"), REFUSED)
def test_a_metric_that_is_not_there_is_refused_with_its_place(wrong: dict[str, Any], why: str) -> None:
    right = (metric("libvirt_host_load1"), VhostmdMetric(name="P", exec=("/bin/true",)))
    settings = VhostmdSettings(metric=(*right, VhostmdMetric(**{"name": "X", **wrong})))
    with pytest.raises(ConfigError, match=rf"^vhostmd\.metric\[2\]\.{why}$"):
        check(settings)
    check(VhostmdSettings(metric=right))


@pytest.mark.parametrize("arguments", [("check-config",), ("run", "--config")])
def test_hostd_refuses_it_before_it_does_anything(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    file = tmp_path / "hostd.toml"
    file.write_text("[[vhostmd.metric]]\nname = 'X'\nmetric = 'libvirt_host_lod1'\n")
    ended = subprocess.run(
        [sys.executable, "-m", "hostd", *arguments, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (os.EX_CONFIG, "")
    assert re.fullmatch(
        rf"hostd: {re.escape(str(file))}: vhostmd\.metric\[0\]\.metric: 'libvirt_host_lod1' .*\n", ended.stderr
    )
