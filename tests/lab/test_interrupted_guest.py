"""A guest stands still, is saved, set back, robbed of its channel, or its QEMU hangs: what it and its host make of it.

One real guest with its agent, and one hostd; each test leaves both in a session.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.lab.agents import hooked, install_hook, notices, status
from tests.lab.conftest import shown
from tests.lab.daemon import Hostd
from tests.lab.emitting import emitting, recorded, wait_until_recorded
from tests.lab.guest import AGENT_CHANNEL, Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.processes import frozen
from tests.lab.waiting import wait_for

NAME = "stayer"
HERE = {"domain": NAME}
REPORTED = "guest_memory_total_bytes"
LONG_SECONDS = 12.0  # over twice the time that hostd lets a guest of these intervals be silent for
OVERLAY = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
CHANNEL = f"<channel type='unix'><source mode='bind'/><target type='virtio' name='{AGENT_CHANNEL}'/></channel>"


@pytest.fixture(scope="module")
def booted(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[Guest]:
    """With a disk, which a snapshot needs."""
    guest = Guest.define(libvirtd, GuestSpec(name=NAME, memory_mib=256, disk_mib=16))
    with shown(logs, guest.console):
        guest.start()
        guest.wait_ready()
        install_hook(guest)
        yield guest
        guest.destroy()
        guest.domain.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        )


@pytest.fixture
def stayer(booted: Guest, hostd: Hostd) -> Guest:
    """The guest, once it is in a session."""
    hostd.wait_for_sample(REPORTED, HERE)
    return booted


def value(hostd: Hostd, name: str, **more: str) -> float:
    return hostd.value(name, **HERE, **more) or 0.0


def wait_until_told(hostd: Hostd, guest: Guest, kind: str, before: float = 0) -> dict[str, str]:
    """Wait until the guest has answered a notice of that kind, run its hook for it and shows it; its details."""
    answer = {"kind": kind, "answer": "done"}
    hostd.wait_for_sample("hostd_guest_notices_answered_total", answer, lambda count: count > before)
    newest = notices(guest)[-1]
    assert newest["kind"] == kind
    assert hooked(guest)[-1] == kind
    details: dict[str, str] = newest["details"]
    return details


def test_a_paused_guest_keeps_its_session_and_loses_its_old_numbers_until_it_goes_on(
    stayer: Guest, hostd: Hostd
) -> None:
    connected = ("hostd_guest_reconnects_total", "hostd_guest_sessions_total", "guest_agent_connected")
    before = [value(hostd, name) for name in connected]
    stayer.domain.suspend()
    wait_for("its numbers are gone", lambda: hostd.value(REPORTED, **HERE) is None, deadline=60)
    suspended_at = value(hostd, "libvirt_domain_last_event_timestamp_seconds", event="suspended")
    wait_for("it has stood still for long", lambda: time.time() - suspended_at > LONG_SECONDS, deadline=60)
    stayer.domain.resume()

    hostd.wait_for_sample(REPORTED, HERE)
    assert float(wait_until_told(hostd, stayer, "resumed")["paused_seconds"]) >= LONG_SECONDS
    assert [value(hostd, name) for name in connected] == before
    assert status(stayer)["hosts_away"] == 0


def test_a_guest_that_is_saved_and_restored_is_told_and_each_of_its_events_is_known_once(
    stayer: Guest, hostd: Hostd
) -> None:
    with emitting(stayer) as emitter:
        stayer.domain.managedSave()
        stayer.start()
        wait_until_told(hostd, stayer, "restored")
        emitter.wait_for_more()
        emitted = emitter.end()
    known = [event.number for event in wait_until_recorded(hostd, stayer, emitted[-1])]
    assert known == emitted


def test_a_guest_that_was_set_back_is_told_and_none_of_its_new_events_is_taken_for_an_old_one(
    stayer: Guest, hostd: Hostd
) -> None:
    stayer.domain.snapshotCreateXML("<domainsnapshot/>", OVERLAY)  # is QCOW2, as the next needs it
    snapshot = stayer.domain.snapshotCreateXML("<domainsnapshot/>")
    told = 0.0
    for count in (3, 1):
        emit(hostd, stayer, *(f"abandoned {count} {each}" for each in range(count)))
        stayer.domain.revertToSnapshot(snapshot)
        wait_until_told(hostd, stayer, "reverted", before=told)
        told += 1
        emit(hostd, stayer, *(f"new {count} {each}" for each in range(count)))
    texts = [event.text for event in recorded(hostd, stayer)]
    assert len(set(texts)) == len(texts)


def test_a_channel_is_given_up_and_taken_up_at_both_ends_as_it_is_unplugged_and_plugged(
    stayer: Guest, hostd: Hostd
) -> None:
    before, sessions = status(stayer), value(hostd, "hostd_guest_sessions_total")
    stayer.domain.detachDeviceFlags(_channel(stayer), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    hostd.wait_for_sample("guest_agent_connected", HERE, lambda connected: connected == 0)
    wait_for("the agent has no port", lambda: "no port" in (status(stayer)["reason"] or ""), deadline=60)

    stayer.domain.attachDeviceFlags(CHANNEL, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    hostd.wait_for_sample(REPORTED, HERE)
    assert value(hostd, "hostd_guest_sessions_total") == sessions + 1
    assert status(stayer)["ports_lost"] == before["ports_lost"] + 1


def test_a_qemu_that_hangs_costs_its_own_guests_session_until_it_goes_on(
    stayer: Guest, guest: Guest, hostd: Hostd
) -> None:
    other = {"domain": guest.name}
    hostd.wait_for_sample("guest_agent_connected", other, lambda connected: connected == 1)
    sessions = hostd.value("hostd_guest_sessions_total", **other)
    with frozen(stayer.qemu_pid):
        hostd.wait_for_sample("guest_agent_connected", HERE, lambda connected: connected == 0)
        assert hostd.value(REPORTED, **HERE) is None
        reports = hostd.value("hostd_guest_reports_total", **other) or 0
        hostd.wait_for_sample("hostd_guest_reports_total", other, lambda count: count > reports + 3)
        assert hostd.value("hostd_guest_sessions_total", **other) == sessions

    hostd.wait_for_sample(REPORTED, HERE)
    emit(hostd, stayer, "after all")


def emit(hostd: Hostd, guest: Guest, *texts: str) -> None:
    """Have the guest tell of events, and wait until its host has them."""
    for text in texts:
        guest.run(["guestagent", "emit", "lab.said", "--text", text])
        wait_for(
            f"the event {text!r} in {hostd.history}",
            lambda text=text: text in [event.text for event in recorded(hostd, guest)],  # type: ignore[misc]  # of this turn
            deadline=60,
            evidence=hostd.evidence,
        )


def _channel(guest: Guest) -> str:
    (ours,) = ET.fromstring(guest.domain.XMLDesc()).findall(f"devices/channel/target[@name='{AGENT_CHANNEL}']/..")
    return ET.tostring(ours, encoding="unicode")
