"""Whatever comes, goes or is renamed in the middle of things, every page is whole and the last one is right.

A page is whole if Prometheus's parser takes it and no series is there twice; ``Hostd.samples`` reads no other.
Libvirtd is killed at calls of our choice (``relay.py``), not at some moment. The domains are real ones.
"""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tests.lab.conftest import StartHostd, StartPrometheus, shown
from tests.lab.daemon import Hostd
from tests.lab.libvirtd import PrivateLibvirt, private_libvirt
from tests.lab.prometheus import promtool
from tests.lab.relay import Call, Relay
from tests.lab.tiny import define_tiny, start_tiny
from tests.lab.waiting import wait_for
from tests.support.pretended import PretendedDomain

CPU = "libvirt_domain_info_cpu_time_seconds_total"

AWKWARD_NAMES = (
    "quote\"and'quote",
    "back\\slash \\n",
    "x" * 200,
    "emoji 😀 ü",
    '{domain="other"} 1',
    "comma,=equals",
    "<less> & more",
    " spaces ",
    "tab\tin it",
)


@pytest.fixture(scope="module")
def host(logs: list[Path]) -> Iterator[PrivateLibvirt]:
    """A libvirt with two domains: for tests that start it again when they have killed it."""
    with private_libvirt() as own, shown(logs, own.log):
        start_tiny(own, "alpha", "beta")
        yield own


@pytest.fixture
def relay(host: PrivateLibvirt) -> Iterator[Relay]:
    """A way there."""
    with contextlib.closing(Relay(host)) as relay:
        yield relay


@pytest.mark.parametrize("call", Call)
def test_a_libvirtd_that_is_killed_while_hostd_connects_is_followed_when_it_is_back(
    host: PrivateLibvirt, relay: Relay, start_hostd: StartHostd, call: Call
) -> None:
    relay.kill_libvirtd_at(call)
    hostd = start_hostd(relay.uri)
    relay.wait_killed()
    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 0)

    host.start()

    _wait_followed(hostd, host)


def test_a_libvirtd_that_is_killed_in_one_collection_after_another_leaves_every_page_whole(
    host: PrivateLibvirt, relay: Relay, start_hostd: StartHostd
) -> None:
    hostd = start_hostd(relay.uri, interval_seconds=0.1)

    for _ in range(4):
        _wait_followed(hostd, host)
        relay.kill_libvirtd_at(Call.DOMAIN_STATS)
        relay.wait_killed()
        hostd.samples()
        hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 0)
        hostd.samples()
        host.start()

    _wait_followed(hostd, host)


def test_domains_that_are_defined_renamed_and_undefined_in_the_middle_of_collections_are_right_in_the_end(
    private_libvirtd: PrivateLibvirt, start_hostd: StartHostd
) -> None:
    start_tiny(private_libvirtd, "stays")
    hostd = start_hostd(private_libvirtd.uri, interval_seconds=0.1)
    hostd.wait_for_sample(CPU, {"domain": "stays"})

    for number in range(30):
        domain = define_tiny(private_libvirtd, "young")
        hostd.samples()
        domain.rename(f"grown-{number}")
        hostd.samples()
        if number % 3:
            domain.undefine()
        hostd.samples()

    _wait_listed(hostd, private_libvirtd)
    assert hostd.value("libvirt_domain_info", domain="young") is None
    hostd.wait_until_sampled(domain="stays")


def test_domains_that_start_and_end_in_the_middle_of_collections_leave_every_page_whole(
    private_libvirtd: PrivateLibvirt, start_hostd: StartHostd
) -> None:
    hostd = start_hostd(private_libvirtd.uri, interval_seconds=0.1)
    domain = define_tiny(private_libvirtd, "restless")

    for _ in range(2):
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        hostd.samples()
        hostd.wait_for_sample(
            "libvirt_domain_state", {"domain": "restless", "state": "paused"}, lambda is_so: is_so == 1
        )
        domain.destroy()
        hostd.samples()

    hostd.wait_for_sample("libvirt_domain_state", {"domain": "restless", "state": "shutoff"}, lambda is_so: is_so == 1)
    assert hostd.value(CPU, domain="restless") is None


def test_one_of_two_domains_may_take_the_name_that_the_other_had(
    private_libvirtd: PrivateLibvirt, start_hostd: StartHostd
) -> None:
    first, second = (define_tiny(private_libvirtd, name) for name in ("first", "second"))
    hostd = start_hostd(private_libvirtd.uri)
    _wait_listed(hostd, private_libvirtd)

    first.rename("aside")
    second.rename("first")
    first.rename("second")

    _wait_listed(hostd, private_libvirtd)
    hostd.samples()


def test_real_domains_may_have_any_name_that_libvirt_takes(
    private_libvirtd: PrivateLibvirt, start_hostd: StartHostd, start_prometheus: StartPrometheus
) -> None:
    start_tiny(private_libvirtd, *AWKWARD_NAMES)
    hostd = start_hostd(private_libvirtd.uri)

    for name in AWKWARD_NAMES:
        hostd.wait_for_sample(CPU, {"domain": name})
        hostd.wait_for_sample("hostd_domain_process_resident_bytes", {"domain": name}, lambda held: held > 0)
    _wait_listed(hostd, private_libvirtd)
    assert promtool("check", "metrics", stdin=hostd.page()) == ""
    prometheus = start_prometheus(hostd)
    assert prometheus.wait_for_value("up") == 1
    assert {series["metric"]["domain"] for series in prometheus.query(CPU)} == set(AWKWARD_NAMES)


@pytest.mark.parametrize("name", ["line\nbreak", "line&#10;break", "a/b", ""])
def test_libvirt_itself_refuses_the_names_that_we_need_not_serve(name: str) -> None:
    connection = libvirt.open("test:///default")
    xml = PretendedDomain(name="well", uuid=str(uuid.uuid4())).xml()

    with contextlib.closing(connection), pytest.raises(libvirt.libvirtError, match=r"name|Name"):
        connection.defineXML(xml.replace("<name>well<", f"<name>{name}<"))


def _wait_followed(hostd: Hostd, libvirtd: PrivateLibvirt) -> None:
    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 1)
    for name in ("alpha", "beta"):
        hostd.wait_until_sampled(domain=name)
        hostd.wait_for_sample(CPU, {"domain": name})
    _wait_listed(hostd, libvirtd)


def _wait_listed(hostd: Hostd, libvirtd: PrivateLibvirt) -> None:
    """Wait until the page has exactly libvirt's domains, each under its present name."""

    def listed() -> set[tuple[str, str]]:
        found = [sample.labels for sample in hostd.samples() if sample.name == "libvirt_domain_info"]
        return {(labels["domain"], labels["uuid"]) for labels in found}

    def known() -> set[tuple[str, str]]:
        return {(domain.name(), domain.UUIDString()) for domain in libvirtd.connection.listAllDomains()}

    wait_for("the page has libvirt's domains", lambda: listed() == known(), deadline=60, evidence=hostd.evidence)
