"""A driver without bulk statistics, for real: LXC. hostd asks call by call, and says so."""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from tests.lab import lxc
from tests.lab.conftest import StartHostd
from tests.lab.lxc import LxcHost

CPU = "libvirt_domain_info_cpu_time_seconds_total"
WHY_NOT = lxc.why_not()

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.fixture(scope="module")
def container() -> Iterator[LxcHost]:
    """An LXC host with one container."""
    with lxc.lxc_host() as host:
        yield host


def test_a_container_has_its_cpu_time_its_memory_and_its_interface(container: LxcHost, start_hostd: StartHostd) -> None:
    hostd = start_hostd(container.uri)
    labels = {"domain": container.name, "uuid": container.domain.UUIDString()}
    device = _interface(container)

    assert hostd.wait_for_sample(CPU, labels) > 0
    assert hostd.wait_for_sample("libvirt_domain_memory_stats_current_balloon_bytes", labels) == 64 << 20
    assert hostd.wait_for_sample("libvirt_domain_memory_stats_rss_bytes", labels) > 0
    assert hostd.wait_for_sample("libvirt_domain_vcpu_current", labels) == 1
    counter = "libvirt_domain_interface_stats_receive_bytes_total"
    assert hostd.wait_for_sample(counter, {**labels, "target_device": device}) >= 0
    assert hostd.value("libvirt_domain_state", **labels, state="running") == 1
    assert hostd.value("hostd_domain_responsive", **labels) == 1


def test_a_container_is_sampled_again_and_again_and_its_cpu_time_is_the_one_libvirt_says(
    container: LxcHost, start_hostd: StartHostd
) -> None:
    hostd = start_hostd(container.uri)
    for _ in range(3):
        hostd.wait_until_sampled(domain=container.name)

    # Nothing in the container does anything, so it is the same at both times.
    assert hostd.value(CPU, domain=container.name) == pytest.approx(container.domain.info()[4] / 1e9)
    assert hostd.value("hostd_collector_success", collector="domains") == 1


def test_the_call_that_the_driver_does_not_have_is_told_by_name(container: LxcHost, start_hostd: StartHostd) -> None:
    hostd = start_hostd(container.uri)
    hostd.wait_until_sampled(domain=container.name)

    samples = hostd.samples()
    collectors = {s.labels["collector"]: s.value for s in samples if s.name == "hostd_collector_success"}
    unsupported = {s.labels["collector"] for s in samples if s.name == "hostd_collector_unsupported"}

    assert unsupported
    assert not unsupported & {"host", "domains", "storage", "processes", "domain_events"}
    assert {collectors[name] for name in unsupported} == {0}


def test_events_of_a_container_are_counted(container: LxcHost, start_hostd: StartHostd) -> None:
    hostd = start_hostd(container.uri)
    hostd.wait_until_sampled(domain=container.name)

    container.domain.suspend()
    suspended = {"domain": container.name, "event": "suspended", "detail": "paused"}
    hostd.wait_for_sample("libvirt_domain_events_total", suspended)
    hostd.wait_for_sample(
        "libvirt_domain_state", {"domain": container.name, "state": "paused"}, lambda is_so: is_so == 1
    )
    container.domain.resume()

    hostd.wait_for_sample("libvirt_domain_events_total", {"domain": container.name, "event": "resumed"})


def _interface(container: LxcHost) -> str:
    target = ET.fromstring(container.domain.XMLDesc()).find("devices/interface/target")
    assert target is not None
    return target.attrib["dev"]
