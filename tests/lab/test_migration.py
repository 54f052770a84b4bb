"""A domain that migrates is told at both ends: what happens there, the job while it runs, what it took, where it is.

One real guest is moved between two real libvirts; each test moves it on from where the one before has left it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.conftest import StartHostd, shown
from tests.lab.daemon import Hostd
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.migration import migrate, migrating
from tests.lab.waiting import wait_for

EVENTS = "libvirt_events_total"
OUT = {"operation": "migration_out", "result": "completed"}
LEAVING = (("suspended", "migrated"), ("stopped", "migrated"), ("job_completed", "migration_out_completed"))
ARRIVING = (("started", "migrated"), ("resumed", "migrated"), ("defined", "added"))
TIMES = ("duration", "downtime")
FOLLOW_AT_ONCE = "jobs_interval_seconds = 0.5"


@dataclass(frozen=True, slots=True)
class Ends:
    """The two libvirts, by who has the guest now; each is also the name of hostd's connection to it."""

    source: PrivateLibvirt
    target: PrivateLibvirt

    @property
    def uris(self) -> Mapping[str, str]:
        return {"source": self.source.uri, "target": self.target.uri}


@pytest.fixture(scope="module")
def mover(libvirtd: PrivateLibvirt, second_libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[Guest]:
    """A running guest; each test finds it where the one before has left it."""
    guest = Guest.define(libvirtd, GuestSpec(name="mover", memory_mib=256, agent=False, agent_channel=False))
    with shown(logs, guest.console):
        guest.start()
        guest.wait_ready()
        yield guest
    guest.libvirtd = _having(guest.name, libvirtd, second_libvirtd).source
    guest.remove()


@pytest.fixture
def ends(libvirtd: PrivateLibvirt, second_libvirtd: PrivateLibvirt, mover: Guest) -> Ends:
    """From where to where it moves in this test."""
    return _having(mover.name, libvirtd, second_libvirtd)


@pytest.fixture
def hostd(ends: Ends, mover: Guest, start_hostd: StartHostd) -> Hostd:
    """One at both ends, which has seen the guest at its source."""
    hostd = start_hostd(ends.uris, sampling=FOLLOW_AT_ONCE)
    for connection in ends.uris:
        hostd.wait_for_sample("libvirt_up", {"connection": connection}, lambda up: up == 1)
    hostd.wait_until_sampled(domain=mover.name)
    return hostd


def test_a_migration_is_told_while_it_runs_and_the_domains_numbers_go_on(
    ends: Ends, mover: Guest, hostd: Hostd
) -> None:
    job = {"connection": "source", "domain": mover.name}
    with migrating(mover.name, ends.source, ends.target):
        assert hostd.wait_for_sample("libvirt_domain_job_info", {**job, "operation": "migration_out"}) == 1
        moved = hostd.wait_for_sample("libvirt_domain_job_info_memory_processed_bytes", job, lambda size: size > 0)
        hostd.wait_for_sample("libvirt_domain_job_info_memory_processed_bytes", job, lambda size: size > moved)
        assert (hostd.value("libvirt_domain_job_info_time_elapsed_seconds", **job) or 0) > 0
        assert (hostd.value("libvirt_domain_job_info_memory_remaining_bytes", **job) or 0) > 0
        incoming = {"connection": "target", "domain": mover.name, "state": "paused"}
        hostd.wait_for_sample("libvirt_domain_state", incoming, lambda is_so: is_so == 1)
        assert hostd.value("libvirt_domain_state", **job, state="running") == 1
        hostd.wait_until_sampled(connection="source", domain=mover.name)
        assert hostd.value("hostd_domain_responsive", **job) == 1
        _assert_not_asked_yet(hostd, mover.name)


def test_an_aborted_migration_is_told_where_it_came_to_nothing_and_counts_as_none(
    ends: Ends, mover: Guest, hostd: Hostd
) -> None:
    job = {"connection": "source", "domain": mover.name}
    with migrating(mover.name, ends.source, ends.target) as migration:
        hostd.wait_for_sample("libvirt_domain_job_info", job)
        migration.abort()

    _wait_for_events(hostd, "target", ("started", "migrated"), ("stopped", "failed"))
    _wait_only_at(hostd, "source", mover.name)
    wait_for("the job to be told no more", lambda: hostd.value("libvirt_domain_job_info", **job) is None, deadline=60)
    assert [kind for kind in LEAVING if _count(hostd, kind, connection="source")] == []
    assert hostd.value("libvirt_domain_job_duration_seconds_count", **OUT) is None
    assert hostd.value("libvirt_domain_state", **job, state="running") == 1
    mover.libvirtd = ends.source
    mover.shell("true")


def test_a_migrated_domain_is_told_at_the_end_where_it_is_with_what_its_move_took(
    ends: Ends, mover: Guest, hostd: Hostd
) -> None:
    migrate(mover.name, ends.source, ends.target)

    _wait_for_events(hostd, "source", *LEAVING, ("migration_iteration", ""))
    _wait_for_events(hostd, "target", *ARRIVING)
    _wait_only_at(hostd, "target", mover.name)
    for event, detail in ARRIVING:
        counted = {"connection": "target", "domain": mover.name, "event": event, "detail": detail}
        assert hostd.value("libvirt_domain_events_total", **counted) == 1
    hostd.wait_until_sampled(connection="target", domain=mover.name)
    completed = {"connection": "source", **OUT}
    took = {what: hostd.value(f"libvirt_domain_job_{what}_seconds_sum", **completed) for what in TIMES}
    assert [hostd.value(f"libvirt_domain_job_{what}_seconds_count", **completed) for what in TIMES] == [1, 1]
    assert (took["duration"] or 0) > (took["downtime"] or 0) > 0
    assert hostd.value("libvirt_domain_job_duration_seconds_count", connection="target") is None
    mover.libvirtd = ends.target
    mover.shell("true")


def test_each_of_two_daemons_tells_its_own_end(ends: Ends, mover: Guest, start_hostd: StartHostd) -> None:
    source, target = start_hostd(ends.source.uri), start_hostd(ends.target.uri)
    source.wait_until_sampled(domain=mover.name)
    target.wait_for_sample("libvirt_up", {}, lambda up: up == 1)

    with migrating(mover.name, ends.source, ends.target) as migration:
        target.wait_for_sample("libvirt_domain_info", {"domain": mover.name})
        migration.finish()

    target.wait_until_sampled(domain=mover.name)
    wait_for("gone", lambda: source.value("libvirt_domain_info", domain=mover.name) is None, deadline=60)
    assert source.wait_for_sample("libvirt_domain_job_duration_seconds_count", OUT) == 1
    for hostd, its_own, the_others in ((source, LEAVING, ARRIVING), (target, ARRIVING, LEAVING)):
        assert [kind for kind in its_own if not _count(hostd, kind)] == []
        assert [kind for kind in the_others if _count(hostd, kind)] == []


def _assert_not_asked_yet(hostd: Hostd, domain: str) -> None:
    """Whoever asks a domain that is only arriving waits in libvirtd until it has arrived, and takes it to be stuck."""
    asked = {"connection": "target", "domain": domain}
    hostd.wait_for_sample("libvirt_domain_control_state_seconds", asked)
    assert hostd.value("hostd_domain_responsive", **asked) is None
    assert hostd.value("hostd_libvirt_stuck_calls") == 0


def _having(domain: str, *two: PrivateLibvirt) -> Ends:
    first, second = two
    names = [each.name() for each in first.connection.listAllDomains()]
    return Ends(first, second) if domain in names else Ends(second, first)


def _count(hostd: Hostd, kind: tuple[str, str], **more: str) -> float:
    return hostd.value(EVENTS, **_labels(kind), **more) or 0.0


def _labels(kind: tuple[str, str]) -> Mapping[str, str]:
    event, detail = kind
    return {"object": "domain", "event": event, "detail": detail}


def _wait_for_events(hostd: Hostd, connection: str, *kinds: tuple[str, str]) -> None:
    for kind in kinds:
        hostd.wait_for_sample(EVENTS, {"connection": connection, **_labels(kind)}, lambda count: count >= 1)


def _wait_only_at(hostd: Hostd, connection: str, domain: str) -> None:
    def places() -> list[str]:
        found = [sample for sample in hostd.samples() if sample.name == "libvirt_domain_info"]
        return [sample.labels["connection"] for sample in found if sample.labels["domain"] == domain]

    wait_for(f"{domain} is at {connection} alone", lambda: places() == [connection], deadline=60)
