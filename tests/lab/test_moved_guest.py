"""A guest moves between two hosts, each with its own libvirt and its own hostd: what it sees of that, and what is lost.

One real guest, its agent in it, is moved to and fro; each test moves it on from where the one before has left it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.agents import agent, fill_port, hooked, install_hook, is_held_back, notices, status
from tests.lab.conftest import shown
from tests.lab.daemon import Hostd
from tests.lab.emitting import Event, emitting, recorded, wait_until_recorded
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.migration import migrate, migrating
from tests.lab.processes import frozen
from tests.lab.waiting import wait_for

NAME = "nomad"
HERE = {"domain": NAME}
MOST_AT_ONCE = 64  # events that are on their way together


@dataclass(frozen=True, slots=True)
class Host:
    """A libvirt and its hostd."""

    libvirtd: PrivateLibvirt
    hostd: Hostd

    def wait_for_session(self, guest: Guest) -> None:
        """Wait until both ends say that they are in one."""
        wait_for("the agent is welcomed", lambda: status(guest)["state"] == "open", deadline=60)
        self.hostd.wait_for_sample("guest_agent_connected", HERE, lambda connected: connected == 1)

    def value(self, name: str) -> float:
        return self.hostd.value(name, **HERE) or 0.0

    @property
    def connects(self) -> float:
        """How often its hostd has connected to a guest."""
        return self.hostd.value("hostd_guest_connects_total", outcome="connected") or 0.0

    @property
    def has_guest(self) -> bool:
        return NAME in [each.name() for each in self.libvirtd.connection.listAllDomains()]


@dataclass(frozen=True, slots=True)
class Move:
    """From where to where, by who has the guest now."""

    source: Host
    target: Host


@pytest.fixture(scope="module")
def hosts(libvirtd: PrivateLibvirt, second_libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[list[Host]]:
    with ExitStack() as down:
        hosts = []
        for its in (libvirtd, second_libvirtd):
            hostd = Hostd(its.uri, its.folder / "hostd")
            down.enter_context(shown(logs, hostd.log))
            hostd.start()
            down.callback(hostd.stop)
            hosts.append(Host(its, hostd))
        yield hosts


@pytest.fixture(scope="module")
def nomad(libvirtd: PrivateLibvirt, hosts: list[Host], logs: list[Path]) -> Iterator[Guest]:
    guest = Guest.define(libvirtd, GuestSpec(name=NAME, memory_mib=256, agent=False))
    with shown(logs, guest.console):
        guest.start()
        guest.wait_ready()
        install_hook(guest)
        yield guest
    guest.libvirtd = next(host.libvirtd for host in hosts if host.has_guest)
    guest.remove()


@pytest.fixture
def move(nomad: Guest, hosts: list[Host]) -> Move:
    source, target = sorted(hosts, key=lambda host: not host.has_guest)
    nomad.libvirtd = source.libvirtd
    return Move(source, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What was seen of one migration, at whose target hostd was there before the guest."""

    emitted: list[int]
    here: list[Event]  # what the source has of it
    there: list[Event]
    before: dict[str, Any]
    after: dict[str, Any]
    agents_log: str
    notices: list[str]
    hooked: list[str]


@pytest.fixture(scope="module")
def journey(nomad: Guest, hosts: list[Host]) -> Journey:
    source, target = hosts
    with agent(nomad) as program:
        source.wait_for_session(nomad)
        with emitting(nomad) as emitter:
            before, connects = status(nomad), target.connects
            with migrating(NAME, source.libvirtd, target.libvirtd) as migration:
                wait_for("the target has connected", lambda: target.connects > connects, deadline=60)
                migration.finish()
            nomad.libvirtd = target.libvirtd
            target.hostd.wait_for_sample("hostd_guest_notices_answered_total", {"kind": "moved", "answer": "done"})
            emitter.wait_for_more()
            emitted = emitter.end()
        return Journey(
            emitted=emitted,
            there=wait_until_recorded(target.hostd, nomad, emitted[-1]),
            here=recorded(source.hostd, nomad),
            before=before,
            after=status(nomad),
            agents_log=program.output,
            notices=[notice["kind"] for notice in notices(nomad)],
            hooked=hooked(nomad),
        )


def test_none_of_a_moving_guests_events_is_lost_and_each_host_knows_it_once(journey: Journey) -> None:
    here, there = ([event.identity for event in events] for events in (journey.here, journey.there))
    assert len(set(here)) == len(here)
    assert len(set(there)) == len(there)
    (journal,) = {event.journal for event in [*journey.here, *journey.there]}
    assert {(journal, number) for number in journey.emitted} == {*here, *there}


def test_both_hosts_know_an_event_by_one_identity_if_its_acknowledgement_was_on_its_way(journey: Journey) -> None:
    there = {event.identity: event.text for event in journey.there}
    both = [event for event in journey.here if event.identity in there]
    assert both == journey.here[len(journey.here) - len(both) :]  # the last that the source took
    assert len(both) <= MOST_AT_ONCE
    assert [event.text for event in both] == [there[event.identity] for event in both]


def test_a_guest_whose_target_is_ready_sees_no_break(journey: Journey) -> None:
    for what in ("hosts_away", "ports_lost", "silences", "events_lost"):
        assert journey.after[what] == journey.before[what]
    assert "host away" not in journey.agents_log


def test_a_guest_is_told_that_it_has_moved_and_its_new_host_how_its_programs_took_it(journey: Journey) -> None:
    assert journey.notices == ["moved"]
    assert journey.hooked == ["moved"]


def test_a_guest_whose_migration_is_given_up_keeps_its_session(move: Move, nomad: Guest) -> None:
    with agent(nomad) as program:
        move.source.wait_for_session(nomad)
        before, connects = status(nomad), move.target.connects
        with migrating(NAME, move.source.libvirtd, move.target.libvirtd) as migration:
            wait_for("the target has connected", lambda: move.target.connects > connects, deadline=60)
            migration.abort()
        reports = move.source.value("hostd_guest_reports_total")
        move.source.hostd.wait_for_sample("hostd_guest_reports_total", HERE, lambda count: count > reports + 1)
        assert status(nomad)["greetings"] == before["greetings"]
        assert notices(nomad) == []
        assert "host away" not in program.output


def test_a_port_that_was_not_read_from_is_well_again_where_its_host_is_there_before_it(
    move: Move, nomad: Guest
) -> None:
    with ExitStack() as running:
        with frozen(move.source.hostd.service.pid):
            running.enter_context(_held_back(nomad))
            connects = move.target.connects
            with migrating(NAME, move.source.libvirtd, move.target.libvirtd) as migration:
                wait_for("the target has connected", lambda: move.target.connects > connects, deadline=60)
                migration.finish()
        nomad.libvirtd = move.target.libvirtd
        _wait_healed(move.target)


def test_a_port_that_came_wedged_out_of_a_migration_heals_by_itself(move: Move, nomad: Guest) -> None:
    with ExitStack() as running:
        with frozen(move.source.hostd.service.pid), frozen(move.target.hostd.service.pid):
            running.enter_context(_held_back(nomad))
            migrate(NAME, move.source.libvirtd, move.target.libvirtd)
        nomad.libvirtd = move.target.libvirtd
        _wait_healed(move.target)
        assert move.target.value("hostd_guest_reconnects_total") >= 1


def test_a_port_that_came_wedged_out_of_a_saved_state_heals_by_itself(move: Move, nomad: Guest) -> None:
    with ExitStack() as running:
        with frozen(move.source.hostd.service.pid):
            running.enter_context(_held_back(nomad))
            nomad.domain.managedSave()
            nomad.start()
        _wait_healed(move.source)


def test_a_port_that_was_let_go_of_while_its_guest_was_paused_heals_by_itself(move: Move, nomad: Guest) -> None:
    with ExitStack() as running:
        with frozen(move.source.hostd.service.pid):
            running.enter_context(_held_back(nomad))
            nomad.domain.suspend()
            move.source.hostd.kill()
        move.source.hostd.start()
        move.source.hostd.wait_for_sample("hostd_guest_connects_total", {"outcome": "connected"})
        nomad.domain.resume()
        _wait_healed(move.source)
        assert move.source.value("hostd_guest_reconnects_total") >= 1


@contextmanager
def _held_back(guest: Guest) -> Iterator[None]:
    """An agent that has a port into which nothing more goes, for as long as the block lasts."""
    fill_port(guest)
    with agent(guest) as program:
        program.wait_for(": open")
        assert is_held_back(guest)
        yield


def _wait_healed(host: Host) -> None:
    host.hostd.wait_for_sample("guest_agent_connected", HERE, lambda connected: connected == 1)
