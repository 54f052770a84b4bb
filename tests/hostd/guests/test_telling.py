"""What a guest is told of its host: what the operator lets it know, and no more."""

from dataclasses import fields, replace

import pytest

from hostd.guests.telling import metrics_for
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.model.stats import DomainStats, VcpuStats
from hostd.settings import SHAREABLE, GuestSettings
from protocol.messages import Metrics
from tests.support.builders import OTHER_UUID, UUID, facts, full_domain, unconnected, world
from tests.support.hosts import HOST

NOW = 1_700_000_000.5
ALL = GuestSettings(share=tuple(SHAREABLE), share_host_name=True)


def known(metrics: Metrics) -> set[str]:
    return {field.name for field in fields(metrics) if getattr(metrics, field.name) is not None}


def test_a_guest_that_may_know_everything_is_told_everything() -> None:
    assert metrics_for(world(full_domain()), UUID, ALL, now=NOW) == Metrics(
        host_cpus=16,
        host_memory_total_bytes=HOST.memory_total_bytes,
        host_memory_free_bytes=HOST.memory_free_bytes,
        host_load1=0.5,
        host_load5=0.25,
        host_load15=0.125,
        host_time_seconds=NOW,
        domain_cpu_time_seconds_total=100.5,
        domain_steal_seconds_total=1.5,
        domain_memory_limit_bytes=2 << 30,
        host_name="host1.example",
    )


def test_by_default_all_is_told_but_the_hosts_name() -> None:
    assert known(metrics_for(world(full_domain()), UUID, GuestSettings(), now=NOW)) == SHAREABLE - {"host_name"}


@pytest.mark.parametrize("name", sorted(SHAREABLE - {"host_name"}))
def test_what_is_shared_is_told_and_nothing_else_is(name: str) -> None:
    assert known(metrics_for(world(full_domain()), UUID, GuestSettings(share=(name,)), now=NOW)) == {name}


def test_the_hosts_name_is_told_if_its_switch_says_so() -> None:
    told = metrics_for(world(full_domain()), UUID, GuestSettings(share=(), share_host_name=True), now=NOW)
    assert told == Metrics(host_name="host1.example")


def test_a_guest_is_told_of_its_own_domain_only() -> None:
    other = full_domain(OTHER_UUID, "beta")
    mine = metrics_for(world(Domain(facts=facts(memory_maximum_bytes=5)), other), UUID, ALL, now=NOW)
    assert (mine.domain_memory_limit_bytes, mine.domain_cpu_time_seconds_total) == (5, None)


def test_without_libvirt_a_guest_is_told_the_time_and_what_does_not_change() -> None:
    lost = world(full_domain()).apply(changes.HypervisorLost(why="gone"))
    assert known(metrics_for(lost, UUID, ALL, now=NOW)) == {"host_time_seconds", "domain_memory_limit_bytes"}


def test_a_domain_that_is_not_known_is_told_the_time() -> None:
    assert metrics_for(unconnected(), UUID, ALL, now=NOW) == Metrics(host_time_seconds=NOW)


@pytest.mark.parametrize(
    ("delays", "steal"), [((), None), ((None, None), None), ((0.0,), 0.0), ((1.5, None, 2.25), 3.75)]
)
def test_steal_is_what_all_virtual_cpus_waited_where_that_is_known(
    delays: tuple[float | None, ...], steal: float | None
) -> None:
    vcpus = tuple(VcpuStats(number=at, delay_seconds=delay) for at, delay in enumerate(delays))
    domain = replace(full_domain(), stats=DomainStats(vcpus=vcpus))
    assert metrics_for(world(domain), UUID, ALL, now=NOW).domain_steal_seconds_total == steal
