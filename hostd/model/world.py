"""All that is known, as one immutable value, and how each change makes the next.

Being immutable, it can be rendered in a thread while the next is made, and an unchanged domain is the *same* object in
both: that is how exposition knows what it need not render again.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, assert_never

from hostd.model import changes
from hostd.model.changes import Change
from hostd.model.domain import Domain, DomainFacts, Guest
from hostd.model.host import Connection, Host
from hostd.model.notice import after_event, answered
from hostd.model.objects import Objects
from hostd.model.stats import DomainState, ProcessStats, Sample
from hostd.model.storage import StoragePool

Key = TypeVar("Key")

STATE_AFTER: Mapping[str, DomainState] = {
    "started": DomainState.RUNNING,
    "suspended": DomainState.PAUSED,
    "resumed": DomainState.RUNNING,
    "stopped": DomainState.SHUTOFF,
    "shutdown": DomainState.SHUTDOWN,
    "pmsuspended": DomainState.PMSUSPENDED,
    "crashed": DomainState.CRASHED,
}
"""What a lifecycle event makes of a domain's state, until libvirt is asked (virDomainEventType)."""

GAP = ("connection", "gap", "reconnected")
"""What is counted when libvirt is back after it was lost: events that it told nobody of may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything hostd knows now; domains by UUID."""

    connection: Connection
    host: Host = field(default_factory=Host)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    pools: Mapping[str, StoragePool] = field(default_factory=dict)
    objects: Objects = field(default_factory=Objects)
    events: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """How often what happened to which kind of object: (object, event, detail). Outlives domains and connections."""

    def apply(self, change: Change) -> "World":  # noqa: C901, PLR0911, PLR0912 - one flat case each
        """The World after `change`. A change for a domain that is not known leaves all as it is."""
        match change:
            case changes.HypervisorConnected():
                return self._connected(change)
            case changes.HypervisorLost():
                return self._without_libvirt(change.why)
            case changes.DomainsListed():
                return replace(self, domains={f.uuid: self._described(f) for f in change.domains})
            case changes.DomainDescribed():
                return self._with(self._described(change.facts))
            case changes.DomainGone():
                return self._without(change.uuid)
            case changes.DomainEvent():
                altered = self._alter(change.uuid, lambda domain: _after_event(domain, change))
                return replace(altered, events=_counted(self.events, ("domain", change.event, change.detail)))
            case changes.ObjectEvent():
                return replace(self, events=_counted(self.events, (change.object, change.event, change.detail)))
            case changes.HostSampled():
                return replace(self, host=change.host) if self.connection.is_up else self
            case changes.StatesSurveyed():
                return self._surveyed(change.states)
            case changes.DomainsSampled():
                return self._sampled(change)
            case changes.StatsExpired():
                return self._without_stats()
            case changes.ProcessesSampled():
                return self._with_processes(change.processes)
            case changes.DomainDetailed():
                return (
                    self._alter(change.uuid, lambda domain: _detailed(domain, change))
                    if self.connection.is_up
                    else self
                )
            case changes.StorageSampled():
                return replace(self, pools=change.pools) if self.connection.is_up else self
            case changes.ObjectsSampled():
                return replace(self, objects=change.objects) if self.connection.is_up else self
            case changes.GuestGreeted():
                return self._alter_guest(
                    change.uuid, lambda g: replace(g, hello=change.hello, report=None, sessions=g.sessions + 1)
                )
            case changes.GuestReported():
                return self._alter_guest(change.uuid, lambda g: _reported(g, change))
            case changes.GuestSilent():
                return self._alter_guest(change.uuid, lambda g: replace(g, report=None, clock_offset_seconds=None))
            case changes.GuestLost():
                return self._alter_guest(
                    change.uuid,
                    lambda g: replace(_ended(g), reconnects=g.reconnects + change.is_retried),
                )
            case changes.GuestInputDropped():
                return self._alter_guest(change.uuid, lambda g: replace(g, drops=_added(g.drops, change.drops)))
            case changes.GuestThrottled():
                return self._alter_guest(
                    change.uuid, lambda g: replace(g, throttled_seconds=g.throttled_seconds + change.seconds)
                )
            case changes.GuestQuarantined():
                return self._alter_guest(
                    change.uuid,
                    lambda g: replace(g, is_quarantined=True, quarantines=_counted(g.quarantines, change.fault)),
                )
            case changes.GuestReleased():
                return self._alter_guest(change.uuid, lambda g: replace(g, is_quarantined=False))
            case changes.GuestEventsTaken():
                return self._alter_guest(change.uuid, lambda g: _told_of(g, change))
            case changes.NoticeAnswered():
                return self._alter(
                    change.uuid, lambda d: replace(d, notices=answered(d.notices, change.number, change.answer))
                )
            case _:
                assert_never(change)

    def _connected(self, change: changes.HypervisorConnected) -> "World":
        """Libvirt is back or there for the first time. What it would have told of in a gap nobody knows: no event."""
        connects = self.connection.connects + 1
        connection = replace(self.connection, facts=change.facts, connects=connects)
        if change.gap_seconds is None:
            return replace(self, connection=connection)
        connection = replace(connection, gap_seconds=change.gap_seconds)
        return replace(self, connection=connection, events=_counted(self.events, GAP))

    def _with(self, domain: Domain) -> "World":
        return replace(self, domains={**self.domains, domain.uuid: domain})

    def _alter(self, uuid: str, alter: Callable[[Domain], Domain]) -> "World":
        domain = self.domains.get(uuid)
        return self if domain is None else self._with(alter(domain))

    def _alter_guest(self, uuid: str, alter: Callable[[Guest], Guest]) -> "World":
        return self._alter(uuid, lambda domain: replace(domain, guest=alter(domain.guest)))

    def _without(self, uuid: str) -> "World":
        if uuid not in self.domains:
            return self
        return replace(self, domains={u: d for u, d in self.domains.items() if u != uuid})

    def _surveyed(self, states: Mapping[str, tuple[DomainState, str]]) -> "World":
        moved = {
            uuid: replace(domain, facts=replace(domain.facts, state=states[uuid][0], reason=states[uuid][1]))
            for uuid, domain in self.domains.items()
            if domain.is_active and states.get(uuid, domain.facts.standing) != domain.facts.standing
        }
        return replace(self, domains={**self.domains, **moved}) if moved and self.connection.is_up else self

    def _sampled(self, change: changes.DomainsSampled) -> "World":
        if not self.connection.is_up:  # the answer of a connection that was given up while it was asked
            return self
        sampled = {
            uuid: _sampled(self.domains[uuid], sample, change.at)
            for uuid, sample in change.samples.items()
            if uuid in self.domains
        }
        return replace(self, domains={**self.domains, **sampled})

    def _with_processes(self, processes: Mapping[str, ProcessStats]) -> "World":
        changed = {
            uuid: replace(domain, process=processes.get(uuid))
            for uuid, domain in self.domains.items()
            if domain.process != processes.get(uuid)
        }
        return replace(self, domains={**self.domains, **changed}) if changed else self

    def _described(self, facts: DomainFacts) -> Domain:
        known = self.domains.get(facts.uuid)
        if known is None:
            return Domain(facts=facts)
        if known.facts == facts:
            return known
        described = replace(known, facts=facts)
        return described if described.is_active else _stopped(described)

    def _without_libvirt(self, why: str) -> "World":
        was_up = self.connection.is_up
        connection = replace(self.connection, facts=None, why_down=why, losses=self.connection.losses + was_up)
        return replace(self._without_stats(), connection=connection, host=Host(), pools={}, objects=Objects())

    def _without_stats(self) -> "World":
        return replace(self, domains={u: _without_stats(d) for u, d in self.domains.items()})


def _after_event(domain: Domain, change: changes.DomainEvent) -> Domain:
    state = STATE_AFTER.get(change.event, domain.facts.state)
    reason = domain.facts.reason if state is domain.facts.state else "unknown"
    facts = replace(domain.facts, name=change.name, state=state, reason=reason)
    suspended_at = domain.last_events.get("suspended")
    return replace(
        domain,
        notices=after_event(domain.notices, change.event, change.detail, change.at, suspended_at),
        facts=domain.facts if facts == domain.facts else facts,
        events=_counted(domain.events, (change.event, change.detail)),
        last_events={**domain.last_events, change.event: change.at},
    )


def _counted(counts: Mapping[Key, int], key: Key) -> Mapping[Key, int]:
    return {**counts, key: counts.get(key, 0) + 1}


def _sampled(domain: Domain, sample: Sample, at: float) -> Domain:
    if not domain.is_active:  # it has stopped since it was asked
        return domain
    return replace(
        domain,
        stats=sample.stats,
        is_responsive=sample.has_answered,
        answered_at=at if sample.has_answered else domain.answered_at,
        control=sample.control,
        details=None if sample.has_answered is False else domain.details,
    )


def _detailed(domain: Domain, change: changes.DomainDetailed) -> Domain:
    return domain if domain.details == change.details else replace(domain, details=change.details)


def _reported(guest: Guest, change: changes.GuestReported) -> Guest:
    its_clock = change.report.time_seconds
    return replace(
        guest,
        report=change.report,
        reported_at=change.at,
        reports=guest.reports + 1,
        filesystems_dropped=_added(guest.filesystems_dropped, change.left_out)
        if change.left_out
        else guest.filesystems_dropped,
        clock_offset_seconds=None if its_clock is None else its_clock - change.at,
    )


def _told_of(guest: Guest, change: changes.GuestEventsTaken) -> Guest:
    if not change.events:
        return guest
    severities = Counter(event.severity for event in change.events)
    return replace(guest, events=_added(guest.events, severities), last_event_at=change.at)


def _stopped(domain: Domain) -> Domain:
    guest = _ended(domain.guest)
    return replace(_without_stats(domain), answered_at=None, process=None, guest=guest)


def _without_stats(domain: Domain) -> Domain:
    """Nothing is known of how it is doing now; who it is and what happened to it stays."""
    bare = replace(domain, stats=None, is_responsive=None, control=None, details=None)
    return domain if bare == domain else bare


def _ended(guest: Guest) -> Guest:
    return replace(guest, hello=None, report=None, clock_offset_seconds=None)


def _added(counts: Mapping[Key, int], more: Mapping[Key, int]) -> Mapping[Key, int]:
    return {key: counts.get(key, 0) + more.get(key, 0) for key in {**counts, **more}}
