"""Everything that may die does, for real, and all comes back without help."""

import urllib.error

import libvirt
import pytest

from tests.lab.conftest import Boot, StartHostd
from tests.lab.daemon import Hostd
from tests.lab.disconnects import AGENT
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.tiny import start_tiny
from tests.lab.waiting import wait_for


def test_a_killed_agent_is_heard_again_in_a_new_session(guest: Guest, start_hostd: StartHostd) -> None:
    hostd = start_hostd()
    labels = _wait_connected(hostd, guest)
    sessions = hostd.wait_for_sample("hostd_guest_sessions_total", labels)

    guest.shell(f"kill -9 {AGENT}")

    hostd.wait_for_sample("hostd_guest_sessions_total", labels, lambda count: count > sessions)
    _wait_for_more_reports(hostd, guest)


def test_a_killed_hostd_is_greeted_by_its_guests_when_it_is_back(guest: Guest, start_hostd: StartHostd) -> None:
    hostd = start_hostd()
    _wait_connected(hostd, guest)

    hostd.kill()
    away = guest.shell("until guestagent get 2>&1 >/dev/null | grep away; do sleep 0.2; done").stdout
    hostd.start()

    assert "the host is away" in away
    _wait_connected(hostd, guest)
    _wait_for_more_reports(hostd, guest)


def test_an_agent_whose_host_is_away_uses_no_cpu(guest: Guest, start_hostd: StartHostd) -> None:
    hostd = start_hostd()
    _wait_connected(hostd, guest)
    hostd.stop()
    guest.shell("until guestagent get 2>&1 >/dev/null | grep -q away; do sleep 0.2; done")

    # In clock ticks of 10 ms, over 5 s by the guest's own clock: an agent that spins has used about 500.
    ticks = "cut -d ' ' -f 14,15 /proc/$pid/stat"
    used = guest.shell(f"pid={AGENT}; {ticks}; sleep 5; {ticks}").stdout.split()
    before, after = sum(map(int, used[:2])), sum(map(int, used[2:]))

    assert after - before < 100


def test_a_killed_libvirtd_costs_its_numbers_only_and_is_followed_again_when_it_is_back(
    private_libvirtd: PrivateLibvirt, boot: Boot, start_hostd: StartHostd
) -> None:
    guest = boot(GuestSpec(name="survivor"), libvirtd=private_libvirtd)
    hostd = start_hostd(private_libvirtd.uri)
    labels = _wait_connected(hostd, guest)
    hostd.wait_for_sample("libvirt_domain_info_cpu_time_seconds_total", labels)
    sessions = hostd.value("hostd_guest_sessions_total", **labels)

    private_libvirtd.kill()
    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 0)
    assert hostd.value("libvirt_domain_info_cpu_time_seconds_total", **labels) is None
    _wait_for_more_reports(hostd, guest)
    assert hostd.value("hostd_guest_sessions_total", **labels) == sessions
    assert "libvirt is not reachable" in _refusal(hostd)

    private_libvirtd.start()
    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 1)
    hostd.wait_for_sample("libvirt_domain_info_cpu_time_seconds_total", labels)
    guest.domain.suspend()
    suspended = {**labels, "event": "suspended", "detail": "paused"}
    hostd.wait_for_sample("libvirt_domain_events_total", suspended, lambda count: count == 1)
    guest.domain.resume()
    hostd.wait_for_sample("libvirt_domain_events_total", {**labels, "event": "resumed"}, lambda count: count == 1)


def test_a_gap_in_what_was_heard_is_told_when_libvirtd_is_back_and_no_event_is_made_up_for_it(
    private_libvirtd: PrivateLibvirt, start_hostd: StartHostd
) -> None:
    start_tiny(private_libvirtd, "quiet")
    hostd = start_hostd(private_libvirtd.uri)
    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 1)
    gap = {"object": "connection", "event": "gap", "detail": "reconnected"}
    assert hostd.value("libvirt_events_total", **gap) == 0
    assert hostd.value("hostd_event_gap_seconds") is None

    private_libvirtd.kill()
    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 0)
    private_libvirtd.start()

    hostd.wait_for_sample("libvirt_events_total", gap, lambda count: count == 1)
    assert (hostd.value("hostd_event_gap_seconds") or 0.0) > 0
    assert hostd.value("libvirt_domain_last_event_timestamp_seconds", domain="quiet") is None
    private_libvirtd.connection.lookupByName("quiet").resume()
    hostd.wait_for_sample("libvirt_domain_last_event_timestamp_seconds", {"domain": "quiet", "event": "resumed"})


def test_hostd_that_starts_before_libvirtd_waits_for_it(
    private_libvirtd: PrivateLibvirt, start_hostd: StartHostd
) -> None:
    private_libvirtd.stop()
    hostd = start_hostd(private_libvirtd.uri)
    assert hostd.value("libvirt_up") == 0

    private_libvirtd.start()

    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 1)
    assert hostd.page("/readyz") == "ok\n"


def test_a_killed_qemu_is_seen_as_an_event_and_takes_its_own_numbers_along(
    boot: Boot, guest: Guest, start_hostd: StartHostd
) -> None:
    victim = boot(GuestSpec(name="victim"))
    hostd = start_hostd()
    labels = _wait_connected(hostd, victim)
    _wait_connected(hostd, guest)
    hostd.wait_for_sample("libvirt_domain_info_cpu_time_seconds_total", labels)

    victim.kill_qemu()

    hostd.wait_for_sample(
        "libvirt_domain_events_total", {**labels, "event": "stopped", "detail": "failed"}, lambda count: count == 1
    )
    hostd.wait_for_sample("libvirt_domain_state", {**labels, "state": "shutoff"}, lambda is_so: is_so == 1)
    hostd.wait_for_sample("guest_agent_connected", labels, lambda is_so: is_so == 0)
    assert hostd.value("libvirt_domain_info_cpu_time_seconds_total", **labels) is None
    assert hostd.value("guest_memory_total_bytes", **labels) is None
    _wait_for_more_reports(hostd, guest)


def test_a_rebooted_guest_reports_again(boot: Boot, start_hostd: StartHostd) -> None:
    guest = boot(GuestSpec(name="reboots"))
    hostd = start_hostd()
    labels = _wait_connected(hostd, guest)
    sessions = hostd.wait_for_sample("hostd_guest_sessions_total", labels)

    guest.domain.reset()

    hostd.wait_for_sample("hostd_guest_sessions_total", labels, lambda count: count > sessions, deadline=120)
    _wait_for_more_reports(hostd, guest)


def test_a_paused_guest_loses_its_numbers_and_has_them_back_when_it_goes_on(
    boot: Boot, start_hostd: StartHostd
) -> None:
    guest = boot(GuestSpec(name="pauses"))
    hostd = start_hostd()
    labels = _wait_connected(hostd, guest)

    guest.domain.suspend()
    hostd.wait_for_sample("libvirt_domain_state", {**labels, "state": "paused"}, lambda is_so: is_so == 1)
    wait_for(
        "the paused guest's numbers are dropped",
        lambda: hostd.value("guest_memory_total_bytes", **labels) is None,
        deadline=60,
        evidence=hostd.evidence,
    )
    assert hostd.value("guest_report_age_seconds", **labels) is not None
    guest.domain.resume()

    _wait_for_more_reports(hostd, guest)
    hostd.wait_for_sample("guest_memory_total_bytes", labels)


def test_domains_come_and_go_on_the_page_as_they_do_in_libvirt(
    private_libvirtd: PrivateLibvirt, start_hostd: StartHostd
) -> None:
    hostd = start_hostd(private_libvirtd.uri)
    hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 1)

    domain = private_libvirtd.connection.defineXML(
        "<domain type='qemu'><name>late</name><memory>16384</memory><os><type>hvm</type></os></domain>"
    )
    hostd.wait_for_sample("libvirt_domain_info", {"domain": "late", "uuid": domain.UUIDString()})
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    hostd.wait_for_sample("libvirt_domain_state", {"domain": "late", "state": "paused"}, lambda is_so: is_so == 1)
    domain.destroy()
    domain.undefine()

    wait_for(
        "the domain is off the page",
        lambda: hostd.value("libvirt_domain_info", domain="late") is None,
        deadline=60,
        evidence=hostd.evidence,
    )


def test_hostd_ends_in_order_with_guests_on_the_line(guest: Guest, start_hostd: StartHostd) -> None:
    hostd = start_hostd()
    _wait_connected(hostd, guest)

    assert hostd.stop().code == 0


def test_an_agent_that_is_told_to_stop_says_goodbye(guest: Guest, start_hostd: StartHostd) -> None:
    hostd = start_hostd()
    labels = _wait_connected(hostd, guest)
    sessions = hostd.wait_for_sample("hostd_guest_sessions_total", labels)
    reconnects = hostd.value("hostd_guest_reconnects_total", **labels)

    guest.shell(f"kill {AGENT}")

    hostd.wait_for_sample("hostd_guest_sessions_total", labels, lambda count: count > sessions)
    assert hostd.value("hostd_guest_reconnects_total", **labels) == reconnects


@pytest.fixture(autouse=True)
def _agent_is_up(request: pytest.FixtureRequest) -> None:
    """Tests that share the guest find its agent running, whatever the one before did to it."""
    if "guest" in request.fixturenames:
        shared: Guest = request.getfixturevalue("guest")
        shared.shell(f"until [ {AGENT} ]; do sleep 0.2; done")


def _wait_connected(hostd: Hostd, guest: Guest) -> dict[str, str]:
    labels = {"domain": guest.name, "uuid": guest.uuid}
    hostd.wait_for_sample("guest_agent_connected", labels, lambda is_so: is_so == 1)
    hostd.wait_for_sample("guest_memory_total_bytes", labels)
    return labels


def _wait_for_more_reports(hostd: Hostd, guest: Guest) -> None:
    labels = {"domain": guest.name}
    reports = hostd.wait_for_sample("hostd_guest_reports_total", labels)
    hostd.wait_for_sample("hostd_guest_reports_total", labels, lambda count: count > reports)


def _refusal(hostd: Hostd) -> str:
    with pytest.raises(urllib.error.HTTPError, match="503") as caught:
        hostd.page("/readyz")
    with caught.value as answer:
        return answer.read().decode()
