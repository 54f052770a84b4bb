"""What stands still costs its own numbers and nothing else, and comes back without help: a QEMU, a libvirtd.

For real: the processes are stopped by SIGSTOP. A QEMU that stands still does not answer its monitor, and a call of
libvirt's about it does not return; that is what a guest on dead storage looks like.
"""

import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import StartHostd, shown
from tests.lab.daemon import Hostd
from tests.lab.libvirtd import PrivateLibvirt, private_libvirt
from tests.lab.processes import frozen, kill_and_wait
from tests.lab.tiny import start_tiny
from tests.lab.waiting import wait_for

CPU = "libvirt_domain_info_cpu_time_seconds_total"
BLOCK = "libvirt_domain_block_stats_read_bytes_total"
BALLOON = "libvirt_domain_memory_stats_current_balloon_bytes"
COUNTERS = (CPU, BLOCK, BALLOON)
PROCESS = ("hostd_domain_process_cpu_seconds_total", "hostd_domain_process_resident_bytes")
ROUNDS = 12
NAMES = ("alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def host(logs: list[Path]) -> Iterator[PrivateLibvirt]:
    """A libvirt with three domains: for tests that let go of what they stop."""
    with private_libvirt() as own, shown(logs, own.log):
        start_tiny(own, *NAMES)
        yield own


@pytest.fixture(scope="module")
def watching(host: PrivateLibvirt, logs: list[Path]) -> Iterator[Hostd]:
    """A hostd that has been watching them for a while."""
    hostd = Hostd(host.uri, host.folder / "hostd", interval_seconds=0.5)
    with shown(logs, hostd.log):
        try:
            hostd.start()
            yield hostd
        finally:
            hostd.stop()


@pytest.fixture
def hostd(watching: Hostd) -> Hostd:
    """The same, once all the domains answer."""
    _wait_responsive(watching, *NAMES)
    return watching


def test_a_stuck_domain_loses_its_counters_and_keeps_its_identity_until_it_goes_on(
    host: PrivateLibvirt, hostd: Hostd
) -> None:
    with frozen(host.qemu_pid("alpha")):
        _wait_stuck(hostd, "alpha")
        assert _present(hostd, "alpha", COUNTERS) == set()
        assert hostd.value("libvirt_domain_info", domain="alpha") == 1
        assert hostd.value("libvirt_domain_state", domain="alpha", state="paused") == 1
        assert _present(hostd, "alpha", PROCESS) == set(PROCESS)

    _wait_responsive(hostd, "alpha")


def test_beside_a_stuck_domain_the_others_are_sampled_as_ever(host: PrivateLibvirt, hostd: Hostd) -> None:
    with frozen(host.qemu_pid("alpha")):
        _wait_stuck(hostd, "alpha")
        for name in ("beta", "gamma"):
            hostd.wait_until_sampled(domain=name)
            assert _present(hostd, name, COUNTERS) == set(COUNTERS)
            assert hostd.value("hostd_domain_responsive", domain=name) == 1
        assert _age(hostd, "alpha") > _age(hostd, "beta")
        assert hostd.value("hostd_collector_success", collector="host") == 1
        assert hostd.value("libvirt_up") == 1


def test_the_way_to_a_stuck_domain_is_told_as_occupied(host: PrivateLibvirt, hostd: Hostd) -> None:
    with frozen(host.qemu_pid("alpha")):
        occupied = {"domain": "alpha", "state": "occupied"}
        hostd.wait_for_sample("libvirt_domain_control_state", occupied, lambda is_so: is_so == 1)
        hostd.wait_for_sample("libvirt_domain_control_state_seconds", {"domain": "alpha"}, lambda seconds: seconds > 1)

    ok = {"domain": "alpha", "state": "ok"}
    hostd.wait_for_sample("libvirt_domain_control_state", ok, lambda is_so: is_so == 1)


def test_events_of_a_stuck_domain_stay_counted_and_those_of_others_come_in(host: PrivateLibvirt, hostd: Hostd) -> None:
    host.connection.lookupByName("alpha").resume()
    resumed = {"domain": "alpha", "event": "resumed"}
    hostd.wait_for_sample("libvirt_domain_events_total", resumed, lambda count: count == 1)

    with frozen(host.qemu_pid("alpha")):
        _wait_stuck(hostd, "alpha")
        host.connection.lookupByName("beta").resume()

        hostd.wait_for_sample("libvirt_domain_state", {"domain": "beta", "state": "running"}, lambda is_so: is_so == 1)
        assert hostd.value("libvirt_domain_events_total", **resumed) == 1
        assert hostd.value("libvirt_domain_state", domain="alpha", state="running") == 1

    for name in ("alpha", "beta"):
        host.connection.lookupByName(name).suspend()


def test_a_second_stuck_domain_costs_no_more_than_the_first(host: PrivateLibvirt, hostd: Hostd) -> None:
    with frozen(host.qemu_pid("alpha")):
        _wait_stuck(hostd, "alpha")
        with frozen(host.qemu_pid("beta")):
            _wait_stuck(hostd, "beta")
            hostd.wait_until_sampled(domain="gamma")
            assert _present(hostd, "gamma", COUNTERS) == set(COUNTERS)
        _wait_responsive(hostd, "beta")
        assert hostd.value("hostd_domain_responsive", domain="alpha") == 0

    _wait_responsive(hostd, *NAMES)


def test_a_stuck_domain_holds_a_bounded_number_of_threads_and_gives_them_back(
    host: PrivateLibvirt, hostd: Hostd
) -> None:
    with frozen(host.qemu_pid("alpha")):
        hostd.wait_for_sample("hostd_libvirt_stuck_calls", {}, lambda calls: calls > 0)
        threads, calls = hostd.threads, hostd.value("hostd_libvirt_stuck_calls")
        for _ in range(ROUNDS):
            hostd.wait_until_sampled(domain="beta")
        assert hostd.threads < threads + ROUNDS / 2  # a leak is one a round; asyncio's own pool fills up by the way
        assert hostd.value("hostd_libvirt_stuck_calls") == calls

    hostd.wait_for_sample("hostd_libvirt_stuck_calls", {}, lambda calls: calls == 0)
    hostd.wait_for_sample("hostd_libvirt_calls_in_flight", {}, lambda calls: calls == 0)


def test_a_qemu_that_is_killed_while_it_is_stuck_is_a_stopped_domain(host: PrivateLibvirt, hostd: Hostd) -> None:
    start_tiny(host, "victim")
    _wait_responsive(hostd, "victim")

    with frozen(host.qemu_pid("victim")):
        _wait_stuck(hostd, "victim")
        kill_and_wait(host.qemu_pid("victim"))

    hostd.wait_for_sample("libvirt_domain_state", {"domain": "victim", "state": "shutoff"}, lambda is_so: is_so == 1)
    wait_for(
        "the ended process is off the page",
        lambda: _present(hostd, "victim", (*COUNTERS, *PROCESS)) == set(),
        deadline=60,
        evidence=hostd.evidence,
    )
    hostd.wait_for_sample("hostd_libvirt_stuck_calls", {}, lambda calls: calls == 0)
    _wait_responsive(hostd, *NAMES)


def test_hostd_that_starts_beside_a_stuck_domain_tells_of_all_the_same_and_ends_in_order(
    host: PrivateLibvirt, start_hostd: StartHostd
) -> None:
    with frozen(host.qemu_pid("alpha")):
        hostd = start_hostd(host.uri)
        hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 1)
        _wait_responsive(hostd, "beta", "gamma")
        _wait_stuck(hostd, "alpha")
        assert hostd.value("libvirt_domain_info", domain="alpha") == 1
        assert hostd.value("libvirt_domain_state", domain="alpha", state="paused") == 1

    _wait_responsive(hostd, *NAMES)
    with frozen(host.qemu_pid("alpha")):
        _wait_stuck(hostd, "alpha")
        assert hostd.stop().code == 0


def test_a_stuck_libvirtd_is_told_as_down_while_all_pages_answer_and_is_used_again_when_it_goes_on(
    host: PrivateLibvirt, hostd: Hostd
) -> None:
    with frozen(host.pid):
        hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 0)
        assert hostd.page("/healthz") == "ok\n"
        assert hostd.value("libvirt_domain_info", domain="alpha") == 1
        assert _present(hostd, "alpha", COUNTERS) == set()
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            hostd.page("/readyz")
        caught.value.close()

    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 1)
    _wait_responsive(hostd, *NAMES)
    hostd.wait_for_sample("hostd_libvirt_stuck_calls", {}, lambda calls: calls == 0)


def test_of_two_connections_the_one_that_is_stuck_dead_and_replaced_costs_the_other_nothing(
    host: PrivateLibvirt, private_libvirtd: PrivateLibvirt, start_hostd: StartHostd
) -> None:
    start_tiny(private_libvirtd, "alpha")  # as on the other
    hostd = start_hostd({"well": host.uri, "ill": private_libvirtd.uri})
    well, ill = {"connection": "well"}, {"connection": "ill"}

    def well_goes_on() -> None:
        for _ in range(3):
            hostd.wait_until_sampled(connection="well", domain="alpha")
        assert hostd.value("libvirt_up", **well) == 1

    for connection in (well, ill):
        hostd.wait_for_sample("libvirt_up", connection, lambda up: up == 1)
        hostd.wait_for_sample(CPU, {**connection, "domain": "alpha"})
    assert hostd.value("libvirt_domain_info", **well, domain="gamma") == 1
    assert hostd.value("libvirt_domains", **ill) == 1

    with frozen(private_libvirtd.pid):
        hostd.wait_for_sample("hostd_collector_success", {**ill, "collector": "host"}, lambda success: success == 0)
        well_goes_on()
        private_libvirtd.kill()
    hostd.wait_for_sample("libvirt_up", ill, lambda up: up == 0)
    well_goes_on()
    private_libvirtd.start()

    hostd.wait_for_sample("libvirt_up", ill, lambda up: up == 1)
    hostd.wait_for_sample(CPU, {**ill, "domain": "alpha"})
    private_libvirtd.connection.lookupByName("alpha").resume()
    hostd.wait_for_sample("libvirt_domain_events_total", {**ill, "domain": "alpha", "event": "resumed"})
    hostd.wait_for_sample("hostd_libvirt_stuck_calls", {}, lambda calls: calls == 0)


def _wait_responsive(hostd: Hostd, *names: str) -> None:
    """Wait until each domain answers and has given new numbers; a QEMU's first answer may take seconds."""
    for name in names:
        hostd.wait_until_sampled(domain=name)
        hostd.wait_for_sample("hostd_domain_responsive", {"domain": name}, lambda is_so: is_so == 1)
        for metric in COUNTERS:
            hostd.wait_for_sample(metric, {"domain": name})


def _wait_stuck(hostd: Hostd, name: str) -> None:
    hostd.wait_for_sample("hostd_domain_responsive", {"domain": name}, lambda is_so: is_so == 0)


def _present(hostd: Hostd, name: str, metrics: tuple[str, ...]) -> set[str]:
    return {sample.name for sample in hostd.samples() if sample.labels.get("domain") == name} & set(metrics)


def _age(hostd: Hostd, name: str) -> float:
    return hostd.wait_for_sample("hostd_domain_sample_age_seconds", {"domain": name})
