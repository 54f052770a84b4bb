"""The documents: which metrics, of whom, in which order and style; made anew for each who asks, of what is known then.

A domain has the host's metrics and its own; the disk that all have in common has everybody's. A value that is not known
is no metric, and one that cannot be told costs itself alone. The host's part, which is most of it, is kept for a
second, for all domains may ask at once.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from hostd import telemetry
from hostd.model.domain import Domain
from hostd.model.host import Kernel
from hostd.model.world import World
from hostd.settings import VhostmdMetric, VhostmdSettings
from hostd.vhostmd.custom import lookup_of
from hostd.vhostmd.printed import Printed
from hostd.vhostmd.sets import SETS, Machine, Row, Value
from hostd.vhostmd.vendor import os_release, vendor_of
from protocol.vhostmd import END, Metric, Style, document, document_of, part

_log = logging.getLogger(__name__)

UNTELLABLE = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError)
"""What a value of the wrong kind raises: libvirt may say anything."""

KUBEVIRT_VENDOR = "kubevirt.io"


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whom metrics are of: a domain of a World, or (None) its host."""

    world: World
    machine: Machine
    domain: Domain | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    """The host's part of documents, by its metrics' places, and what it was made of."""

    world: World
    second: int
    changes: int
    parts: Mapping[int, str]

    def is_of(self, world: World, second: int, changes: int) -> bool:
        """Whether the same is to be told now."""
        is_same = self.world.host is world.host and self.world.connection is world.connection
        return is_same and (self.second, self.changes) == (second, changes)


_Maker: TypeAlias = Callable[[_Subject], Iterable[Metric]]
_Entries: TypeAlias = tuple[tuple[str, _Maker], ...]
"""What there is a place for in a document, in order: the context, and what makes it."""


class Documents:
    """Lives on the event loop alone, as what programs print does."""

    def __init__(self, settings: VhostmdSettings, printed: Printed) -> None:
        """Make ready.

        Raises:
            ConfigError: `settings.metric` names a metric that is not there.

        """
        self._printed = printed
        self._host_name = settings.host_name
        self._vendor = settings.vendor or _vendor_for(settings)
        self._style = Style.KUBEVIRT if settings.set == "kubevirt" else Style.VHOSTMD
        self._entries = _in_order(_entries(settings, printed), self._style)
        self._kernels: dict[str, tuple[Kernel | None, Kernel | None]] = {}  # by connection, its last two samples
        self._hosts: dict[tuple[str, Style], _Host] = {}  # by connection

    def answer(self, world: World, uuid: str, now: float) -> bytes:
        """What a domain is told over virtio-serial, where an empty line is the end."""
        return self.of_domain(world, uuid, now).removesuffix(b"\n") + END

    def of_domain(self, world: World, uuid: str, now: float) -> bytes:
        """The host's metrics and, while it is active, the domain's, as on a disk of its own."""
        return document_of(self._of_domain(world, uuid, now, self._style), self._style)

    def for_xenstore(self, world: World, uuid: str, now: float) -> bytes:
        """The same as Xen's domains are told it."""
        return document_of(self._of_domain(world, uuid, now, Style.XENSTORE), Style.XENSTORE)

    def of_all(self, worlds: Sequence[World], now: float) -> bytes:
        """The host's metrics, by the first connection that is up, and those of every domain that is active."""
        return document(self._of_all(worlds, now), self._style)

    def _of_domain(self, world: World, uuid: str, now: float, style: Style) -> Iterator[str]:
        parts, domain = self._parts_of_host(world, now, style), world.domains.get(uuid)
        its_own = None if domain is None or not domain.is_active else replace(self._host(world, now), domain=domain)
        for at, (context, maker) in enumerate(self._entries):
            if context == "host":
                yield parts[at]
            elif its_own is not None:
                yield part(_told(maker, its_own), style)

    def _parts_of_host(self, world: World, now: float, style: Style) -> Mapping[int, str]:
        key, second, changes = (world.connection.name, style), int(now), self._printed.changes
        kept = self._hosts.get(key)
        if kept is None or not kept.is_of(world, second, changes):
            host = self._host(world, now)
            parts = {
                at: part(_told(maker, host), style)
                for at, (context, maker) in enumerate(self._entries)
                if context == "host"
            }
            kept = self._hosts[key] = _Host(world=world, second=second, changes=changes, parts=parts)
        return kept.parts

    def _of_all(self, worlds: Sequence[World], now: float) -> Iterator[Metric]:
        hosts = [self._host(world, now) for world in worlds]
        for host in sorted(hosts, key=lambda host: not host.world.connection.is_up)[:1]:
            yield from self._all_told("host", host)
        for host in hosts:
            for domain in host.world.domains.values():
                if domain.is_active:
                    yield from self._all_told("vm", replace(host, domain=domain))

    def _all_told(self, wanted: str, subject: _Subject) -> Iterator[Metric]:
        for context, maker in self._entries:
            if context == wanted:
                yield from _told(maker, subject)

    def _host(self, world: World, now: float) -> _Subject:
        facts = world.connection.facts
        machine = Machine(
            host=world.host,
            facts=facts,
            now=now,
            host_name=self._host_name or (None if facts is None else facts.hostname),
            vendor=self._vendor,
            before=self._before(world),
        )
        return _Subject(world, machine)

    def _before(self, world: World) -> Kernel | None:
        """The sample before the World's own, for rates."""
        before, last = self._kernels.get(world.connection.name, (None, None))
        kernel = world.host.kernel
        if kernel is not None and kernel is not last:
            before, last = last, kernel
            self._kernels[world.connection.name] = before, last
        return before


def _vendor_for(settings: VhostmdSettings) -> str | None:
    return KUBEVIRT_VENDOR if settings.set == "kubevirt" else vendor_of(os_release())


def _entries(settings: VhostmdSettings, printed: Printed) -> _Entries:
    """In the order of a configuration: the set, then the operator's own, each in place of one of its name there."""
    own = {(name, each.context) for each in settings.metric for name in _names(each)}
    end = "\n" if settings.newline_in_values and settings.set != "kubevirt" else ""  # which has it of no command
    rows = ((row.context, _of_row(row, end)) for row in SETS[settings.set] if (row.name, row.context) not in own)
    more = (
        (each.context, _of_table(each, at, end) if each.metric else _of_program(at, printed, each.context))
        for at, each in enumerate(settings.metric)
    )
    return *rows, *more


def _names(metric: VhostmdMetric) -> tuple[str, ...]:
    return tuple(variable.name for variable in metric.variables) or (metric.name,)


def _in_order(entries: _Entries, style: Style) -> _Entries:
    """Vhostmd has the host's before the VM's, and of each the last one first."""
    if style is Style.KUBEVIRT:
        return entries
    return tuple(entry for wanted in ("host", "vm") for entry in reversed(entries) if entry[0] == wanted)


def _told(maker: _Maker, subject: _Subject) -> Iterable[Metric]:
    try:
        return maker(subject)
    except UNTELLABLE as error:
        telemetry.VHOSTMD_UNTELLABLE.inc()
        of = "the host" if subject.domain is None else f"domain {subject.domain.uuid}"
        _log.debug("vhostmd: a metric of %s cannot be told: %s: %s", of, type(error).__name__, error)
        return ()


def _of_row(row: Row, end: str) -> _Maker:
    make = _maker(row.name, row.type, row.context, row.unit)
    end = end if row.ends_its_line else ""

    def metrics(subject: _Subject) -> Iterable[Metric]:
        value = row.value(subject.machine if subject.domain is None else subject.domain)
        return () if value is None else (make(subject, _text(value) + end),)

    return metrics


def _of_table(metric: VhostmdMetric, at: int, end: str) -> _Maker:
    lookup = lookup_of(metric, f"vhostmd.metric[{at}]")
    make = _maker(metric.name, metric.type, metric.context, metric.unit)

    def metrics(subject: _Subject) -> Iterable[Metric]:
        text = lookup.text(subject.domain or subject.world, subject.machine.now)
        return () if text is None else (make(subject, text + end),)

    return metrics


def _of_program(at: int, printed: Printed, context: str) -> _Maker:
    def metrics(subject: _Subject) -> Iterable[Metric]:
        id_, uuid = _whose(subject)
        found = printed.of(subject.world.connection.name, uuid or None, at)
        return tuple(metric._replace(context=context, id=id_, uuid=uuid) for metric in found)

    return metrics


def _maker(name: str, kind: str, context: str, unit: str) -> Callable[[_Subject, str], Metric]:
    def make(subject: _Subject, value: str) -> Metric:
        id_, uuid = _whose(subject)
        return Metric(name=name, value=value, type=kind, context=context, unit=unit, id=id_, uuid=uuid)

    return make


def _whose(subject: _Subject) -> tuple[str, str]:
    facts = None if subject.domain is None else subject.domain.facts
    return ("", "") if facts is None else (str(facts.id), facts.uuid)


def _text(value: Value) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"not a number that can be told: {value!r}")
        return f"{value:.6f}"
    return str(value)
