"""What cuts, slows or confuses a guest's line, on a real guest: no event is lost, none comes twice, reports go on.

One guest is shared by all tests. Each has a hostd and a history of its own, and leaves the agent running.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import StartHostd, shown
from tests.lab.daemon import Hostd
from tests.lab.disconnects import Cut, in_any_order, kill_agent, kill_hostd, restart_hostd
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.numbered import Numbered
from tests.lab.processes import frozen, output_of
from tests.lab.waiting import wait_for

DAY_SECONDS = 86_400.0
QUICK = 0.2  # an interval in seconds: many reports in a short test
# A frame cut in two, and what was said in a session that is over. Damage and mistakes have no place in it.
LEFT_BY_A_CUT = {"framing", "session", "state", "sequence"}
UNCHANGED = ("hostd_guest_sessions_total", "hostd_guest_reconnects_total")


@pytest.fixture(scope="module")
def line_guest(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[Guest]:
    """A guest that boots while there is no hostd."""
    guest = Guest.define(libvirtd, GuestSpec(name="faults", disk_mib=16, disk_is_state=True))
    with shown(logs, guest.console):
        guest.start()
        guest.wait_ready()
        yield guest
        guest.remove()


def test_a_hostd_that_starts_after_the_guest_hears_what_happened_meanwhile(
    line_guest: Guest, start_hostd: StartHostd
) -> None:
    _wait_for_agent(line_guest)
    for name in ("first", "second"):
        line_guest.run(["guestagent", "emit", "boot.step", f"name={name}"])

    hostd = start_hostd()

    _wait_reported(hostd, line_guest)
    first, second = wait_for("both events", lambda: _listed(hostd, "boot.step")[1:] and _listed(hostd), deadline=60)
    assert [first["data"]["name"], second["data"]["name"]] == ["first", "second"]
    assert first["age_seconds"] >= second["age_seconds"] > 0
    assert hostd.value("guest_events_total", domain=line_guest.name, severity="info") == 2


@pytest.mark.parametrize("end_and_start", [restart_hostd, kill_hostd])
def test_a_hostd_that_ends_and_comes_back_takes_each_event_once(
    line_guest: Guest, start_hostd: StartHostd, end_and_start: Cut
) -> None:
    hostd = start_hostd(interval_seconds=QUICK)
    _wait_reported(hostd, line_guest)
    numbered = Numbered(line_guest, hostd.history)

    for _ in range(3):
        numbered.wait_for_more()
        end_and_start(line_guest, hostd)

    _wait_reported(hostd, line_guest)
    _assert_each_once(numbered)


def test_an_agent_that_is_killed_again_and_again_tells_each_event_once(
    line_guest: Guest, start_hostd: StartHostd
) -> None:
    hostd = start_hostd(interval_seconds=QUICK)
    labels = _wait_reported(hostd, line_guest)
    sessions = hostd.wait_for_sample("hostd_guest_sessions_total", labels)
    numbered = Numbered(line_guest, hostd.history)

    for _ in range(3):
        numbered.wait_for_more()
        kill_agent(line_guest, hostd)

    numbered.wait_for_more()
    hostd.wait_for_sample("hostd_guest_sessions_total", labels, lambda count: count >= sessions + 3)
    _wait_for_more_reports(hostd, line_guest)
    _assert_each_once(numbered)
    for dropped in ("hostd_guest_input_dropped_total", "guest_agent_input_dropped_total"):
        assert _reasons(hostd, dropped, line_guest) <= LEFT_BY_A_CUT


def test_after_a_dozen_of_cuts_in_any_order_each_event_is_there_once(
    line_guest: Guest, start_hostd: StartHostd
) -> None:
    hostd = start_hostd(interval_seconds=QUICK)
    _wait_reported(hostd, line_guest)
    numbered = Numbered(line_guest, hostd.history)

    for cut in in_any_order(12):
        numbered.wait_for_more()
        cut(line_guest, hostd)

    _wait_reported(hostd, line_guest)
    _assert_each_once(numbered)


def test_a_guest_that_reboots_is_back_by_itself_and_tells_what_it_had_promised_once(
    line_guest: Guest, start_hostd: StartHostd
) -> None:
    hostd = start_hostd()
    labels = _wait_reported(hostd, line_guest)
    numbered = Numbered(line_guest, hostd.history)
    numbered.wait_for_more()
    sessions = hostd.wait_for_sample("hostd_guest_sessions_total", labels)
    begun = time.monotonic()

    with frozen(hostd.service.pid):
        numbered.wait_for_kept(3)
        _reboot(line_guest)

    hostd.wait_for_sample("guest_uptime_seconds", labels, lambda seconds: seconds < time.monotonic() - begun)
    assert (hostd.value("hostd_guest_sessions_total", **labels) or 0) > sessions
    numbered.go_on()
    numbered.wait_for_more()
    _assert_each_once(numbered)


def test_a_second_daemon_on_one_channel_says_who_holds_it_and_takes_over_when_that_one_ends(
    line_guest: Guest, start_hostd: StartHostd
) -> None:
    first = start_hostd()
    labels = _wait_reported(first, line_guest)
    sessions = first.value("hostd_guest_sessions_total", **labels)

    second = start_hostd()
    second.wait_for_sample("hostd_guest_connects_total", {"outcome": "occupied"}, lambda count: count >= 1)

    assert f"process {first.service.pid} " in second.log.read_text()
    assert second.value("guest_agent_connected", **labels) == 0
    _wait_for_more_reports(first, line_guest)
    assert first.value("hostd_guest_sessions_total", **labels) == sessions
    first.stop()
    _wait_reported(second, line_guest)


def test_a_clock_that_is_set_is_seen_and_changes_nothing_else(line_guest: Guest, start_hostd: StartHostd) -> None:
    hostd = start_hostd()
    labels = _wait_reported(hostd, line_guest)
    before = {name: hostd.value(name, **labels) for name in UNCHANGED}

    for days in (1, -1, 0):
        wanted = time.time() + days * DAY_SECONDS
        line_guest.run(["date", "-s", f"@{wanted:.0f}"])
        line_guest.run(["guestagent", "emit", "clock.set", f"days={days}"])

        hostd.wait_for_sample("guest_clock_offset_seconds", labels, _is_about(days * DAY_SECONDS))
        _wait_for_more_reports(hostd, line_guest)
        assert 0 <= (hostd.value("guest_report_age_seconds", **labels) or 0) < DAY_SECONDS / 24

    events = wait_for("the three events", lambda: _listed(hostd, "clock.set")[2:] and _listed(hostd), deadline=60)
    assert [event["data"]["days"] for event in events] == ["1", "-1", "0"]
    assert all(0 <= event["age_seconds"] < DAY_SECONDS / 24 for event in events)
    assert {name: hostd.value(name, **labels) for name in UNCHANGED} == before


def _wait_for_agent(guest: Guest) -> None:
    guest.shell("until guestagent status >/dev/null 2>&1 || [ $? = 1 ]; do sleep 0.2; done")


def _reboot(guest: Guest) -> None:
    """Without a goodbye: what is not on the disk is gone."""
    boots = _boots(guest)
    guest.shell("(sleep 0.5; reboot -f) >/dev/null 2>&1 </dev/null &")
    wait_for("another boot", lambda: _boots(guest) > boots, deadline=120, evidence=guest.evidence)
    guest.wait_ready()


def _boots(guest: Guest) -> int:
    return guest.console.read_text(errors="replace").count("init: up")


def _wait_reported(hostd: Hostd, guest: Guest) -> dict[str, str]:
    labels = {"domain": guest.name, "uuid": guest.uuid}
    hostd.wait_for_sample("guest_agent_connected", labels, lambda is_so: is_so == 1)
    hostd.wait_for_sample("guest_uptime_seconds", labels)
    return labels


def _wait_for_more_reports(hostd: Hostd, guest: Guest) -> None:
    labels = {"domain": guest.name}
    reports = hostd.wait_for_sample("hostd_guest_reports_total", labels)
    hostd.wait_for_sample("hostd_guest_reports_total", labels, lambda count: count > reports)


def _is_about(wanted: float) -> Callable[[float], bool]:
    return lambda seconds: abs(seconds - wanted) < DAY_SECONDS / 24


def _listed(hostd: Hostd, kind: str | None = None) -> list[Any]:
    """What `hostd events` lists, of that kind or of all."""
    lines = output_of([sys.executable, "-m", "hostd", "events", "--config", hostd.config, "--format", "json"])
    events = [json.loads(line) for line in lines.splitlines()]
    return [event for event in events if kind in {None, event["kind"]}]


def _reasons(hostd: Hostd, counter: str, guest: Guest) -> set[str]:
    """Why anything was dropped."""
    counted = [each for each in hostd.samples() if each.name == counter and each.labels["domain"] == guest.name]
    return {each.labels["reason"] for each in counted if each.value}


def _assert_each_once(numbered: Numbered) -> None:
    account = numbered.end()
    assert account.kept > 0
    assert (account.lost, account.doubled) == (frozenset(), frozenset())
