"""Three hundred domains and some of everything else, as libvirt's test driver pretends them: all of it on hostd's page.

What is there is written down once (``pretended.py``), for the driver to pretend and for these tests to find again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.conftest import shown
from tests.lab.daemon import Hostd
from tests.lab.prometheus import promtool
from tests.lab.waiting import wait_for
from tests.support.pages import Series, samples_of
from tests.support.pretended import pretended_host, uuid_of

HOST = pretended_host(300)
RUNNING = [domain for domain in HOST.domains if domain.state != "shutoff"]
MEASURED = re.compile(
    r"libvirt_domain_(info_cpu|cpu|vcpu|memory_stats_(current|maximum)|block_stats_(read|write)|interface_stats_receive"
    r"|control|disk_error).*|hostd_domain_(sample_age_seconds|responsive)"
)
COUNTS = {  # of the series of one family of each collector
    "hostd_domain_sample_age_seconds": len(RUNNING),
    "libvirt_domain_snapshots": len(HOST.domains),
    "libvirt_storage_volume_capacity_bytes": sum(map(len, HOST.pools.values())),
    "libvirt_interfaces": 2,
}
UNSUPPORTED = {  # by the call that the driver does not have, what therefore nobody knows
    "secrets": "libvirt_secrets",
    "network_filters": "libvirt_nwfilters",
    "dhcp_leases": "libvirt_network_dhcp_leases",
    "host_memory_stats": "libvirt_host_memory_cached_bytes",
    "job_stats": "libvirt_domain_job_info",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """One page in both formats, and what is on it."""

    text: str
    openmetrics: str
    samples: Mapping[Series, float]

    def by(self, *labels: str, of: str) -> Mapping[str, float]:
        """Give the values of a family by those labels."""
        series = ((dict(pairs), value) for (name, pairs), value in self.samples.items() if name == of)
        return {"/".join(its[label] for label in labels): value for its, value in series}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, logs: list[Path]) -> Iterator[Pages]:
    """What hostd tells of the host once it has asked for everything."""
    folder = tmp_path_factory.mktemp("pretended")
    hostd = Hostd(HOST.write(folder / "host.xml"), folder, storage="volumes = true")
    hostd.start()
    with shown(logs, hostd.log):
        wait_for("all is told", lambda: _is_complete(hostd), deadline=120, interval=0.5, evidence=hostd.evidence)
        text = hostd.page()
        yield Pages(text, hostd.page(accept="application/openmetrics-text;version=1.0.0"), samples_of(text))
    hostd.stop()


def test_prometheus_and_both_of_its_parsers_take_the_page(pages: Pages) -> None:
    assert promtool("check", "metrics", stdin=pages.text) == ""
    assert samples_of(pages.openmetrics, openmetrics=True).keys() >= pages.samples.keys()


def test_every_domain_is_told_as_it_is(pages: Pages) -> None:
    told = {dict(pairs)["domain"]: dict(pairs) for name, pairs in pages.samples if name == "libvirt_domain_info"}
    assert {name: (its["uuid"], its["persistent"]) for name, its in told.items()} == {
        domain.name: (domain.uuid, "false" if domain.is_transient else "true") for domain in HOST.domains
    }
    states = pages.by("domain", "state", of="libvirt_domain_state")
    assert {its for its, is_so in states.items() if is_so} == {f"{each.name}/{each.state}" for each in HOST.domains}
    saved = pages.by("domain", of="libvirt_domain_managed_save_image")
    assert saved == {domain.name: domain.has_managed_save for domain in HOST.domains}


def test_every_domain_that_runs_has_its_numbers_and_no_other_has_any(pages: Pages) -> None:
    assert pages.by("domain", of="libvirt_domain_vcpu_current") == {each.name: each.vcpus for each in RUNNING}
    held = pages.by("domain", of="libvirt_domain_memory_stats_current_balloon_bytes")
    assert held == {domain.name: domain.memory_kib << 10 for domain in RUNNING}
    assert pages.by("domain", of="hostd_domain_responsive") == {domain.name: 1 for domain in RUNNING}
    measured = {dict(pairs)["domain"] for name, pairs in pages.samples if MEASURED.fullmatch(name)}
    assert measured == {domain.name for domain in RUNNING}


def test_snapshots_are_counted_and_only_where_there_are_any_have_they_an_age(pages: Pages) -> None:
    assert pages.by("domain", of="libvirt_domain_snapshots") == {
        each.name: len(each.snapshots) for each in HOST.domains
    }
    having = [domain for domain in HOST.domains if domain.snapshots]
    for moment, place in (("oldest", 0), ("newest", -1)):
        told = pages.by("domain", of=f"libvirt_domain_snapshot_{moment}_timestamp_seconds")
        assert told == {domain.name: domain.snapshots[place] for domain in having}


def test_every_pool_and_volume_is_told_with_its_size(pages: Pages) -> None:
    counts = pages.by("storage_pool", of="libvirt_storage_pool_volumes")
    assert counts == {pool: len(volumes) for pool, volumes in HOST.pools.items()}
    sizes = pages.by("storage_pool", "volume", of="libvirt_storage_volume_capacity_bytes")
    assert sizes == {f"{pool}/{name}": size for pool, its in HOST.pools.items() for name, size in its.items()}
    assert pages.by("storage_pool", of="hostd_storage_pool_responsive") == dict.fromkeys(HOST.pools, 1)


def test_every_network_interface_and_device_is_told(pages: Pages) -> None:
    networks = pages.by("network", "network_uuid", "bridge", of="libvirt_network_info")
    assert networks == {f"{name}/{uuid_of(name)}/{bridge}": 1 for name, bridge in HOST.networks.items()}
    assert pages.by("network", of="libvirt_network_active") == dict.fromkeys(HOST.networks, 1)
    assert pages.by("state", of="libvirt_interfaces") == {"active": len(HOST.interfaces), "inactive": 0}
    devices = pages.by("capability", of="libvirt_node_devices")
    assert {kind: count for kind, count in devices.items() if count} == {"system": 1, "pci": HOST.pci_devices}


@pytest.mark.parametrize(("call", "family"), UNSUPPORTED.items())
def test_what_the_driver_does_not_tell_is_absent_and_said_to_be(pages: Pages, call: str, family: str) -> None:
    assert pages.by(of=family) == {}
    assert pages.by("collector", of="hostd_collector_unsupported")[call] == 1


def _is_complete(hostd: Hostd) -> bool:
    page = hostd.page()  # which takes a second to parse
    return all(page.count(f"\n{family}{{") == count for family, count in COUNTS.items())
