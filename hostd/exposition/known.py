"""What is rendered of one World, and the next from it: work for what changed, and a guard around each owner.

A domain that cannot be rendered costs only itself, a table of the World's own only that table: each failure is counted,
and logged when it is new. A domain with too many series keeps the first of them in the tables' order: who it is and how
it is comes before what its guest claims, so that no guest can push out what libvirt says.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import NamedTuple

from hostd import telemetry
from hostd.exposition import text
from hostd.exposition.render import NOTHING, UNNAMED, UNTELLABLE, Identity, Owner, Table, Told, first, render, table_of
from hostd.metrics import CONNECTION_LABEL, DOMAIN_LABELS, DOMAIN_SCOPES, WORLD_SCOPES
from hostd.metrics.row import Scope, gauge, itself, whole
from hostd.model.domain import Domain
from hostd.model.world import World

_log = logging.getLogger(__name__)

LEFT_OUT: Scope[int, int, int] = Scope(
    (),
    whole,
    itself,
    (
        gauge(
            "hostd_domain_series_left_out",
            "Series of the domain beyond exposition.max_series_per_domain, which are not on the page.",
        ),
    ),
)
"""A domain's last table, on its page also when it is 0: absent means not known everywhere else, and so here it tells a
domain that could not be rendered from one that is complete."""

WORLD_TABLES: tuple[Table[World], ...] = tuple(table_of(scope) for scope in WORLD_SCOPES)
DOMAIN_TABLES: tuple[Table[Domain], ...] = tuple(table_of(scope) for scope in DOMAIN_SCOPES)
"""Without further labels (`compat.widened`), which change neither the metrics nor their order."""
LEFT_OUT_TABLE: Table[int] = table_of(LEFT_OUT)

_WIDTHS = tuple(len(table.metrics) for table in DOMAIN_TABLES)


class Whose(NamedTuple):
    """What the labels of all series of one owner are made of; where any of it is another, so are all its series."""

    connection: str
    domain: str = ""
    uuid: str = ""  # empty for the World's own
    promoted: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)  # not frozen only because that takes three times as long to make
class Rendered:
    """One owner; nothing is told of it if it cannot be rendered."""

    whose: Whose
    identity: Identity = UNNAMED
    told: Sequence[Told] = ()  # for the next time: all there is, a table each
    shown: Sequence[Told] = ()  # for the page: what of it is within the limit, and how many are not
    left_out: int = 0
    how_many: Told = NOTHING
    is_failed: bool = False


class Known:
    """What is rendered of one connection's World.

    Changed in place, a domain at a time, and so not for two threads at once: the lines that a domain had are freed as
    soon as it has new ones, whose memory is then still at hand, and the garbage collector has nothing to count.
    """

    def __init__(
        self, max_series_per_domain: int, tables: Sequence[Table[World]], domain_tables: Sequence[Table[Domain]]
    ) -> None:
        self.own: list[Rendered | None] = [None] * len(tables)  # a table each
        self.domains: dict[str, Rendered] = {}
        self._tables = tables
        self._domain_tables = domain_tables
        self._max_series_per_domain = max_series_per_domain
        self._of: Mapping[str, Domain] = {}

    def renew(self, world: World) -> bool:
        """Render what is new in `world`; whether anything was."""
        name = world.connection.name
        own = [_guarded((table,), world, Whose(name), last) for table, last in zip(self._tables, self.own, strict=True)]
        is_new = not all(map(is_, own, self.own))
        self.own[:] = own
        for uuid in [uuid for uuid in self.domains if uuid not in world.domains]:
            del self.domains[uuid]
            is_new = True
        for uuid, domain in world.domains.items():
            if self._of.get(uuid) is not domain:
                whose = Whose(name, domain.facts.name, uuid, domain.facts.promoted)
                rendered = _guarded(self._domain_tables, domain, whose, self.domains.get(uuid))
                self.domains[uuid] = _limited(rendered, domain, self.domains.get(uuid), self._max_series_per_domain)
                is_new = True
        self._of = world.domains
        return is_new


def _limited(rendered: Rendered, domain: Domain, before: Rendered | None, max_series: int) -> Rendered:
    """A domain: the first of its series, and how many are left out."""
    if rendered.is_failed or rendered is before:
        return rendered
    room = max_series - 1  # one says how many are left out
    if sum([len(one[2]) * width for one, width in zip(rendered.told, _WIDTHS, strict=True)]) > room:
        rendered.shown, rendered.left_out = first(DOMAIN_TABLES, rendered.told, room)
    if rendered.left_out:
        telemetry.SERIES_DROPPED.inc(rendered.left_out)
        if not (before and before.left_out):
            what = "domain %r: %d series are beyond exposition.max_series_per_domain and left out"
            _log.warning(what, domain.name, rendered.left_out)
    last = before.how_many if before and before.whose == rendered.whose else NOTHING
    rendered.how_many = last
    if last[0] != rendered.left_out:
        rendered.how_many = render(LEFT_OUT_TABLE, rendered.left_out, rendered.identity, last)
    rendered.shown = [*rendered.shown, rendered.how_many]
    return rendered


def _guarded(tables: Sequence[Table[Owner]], owner: Owner, whose: Whose, before: Rendered | None) -> Rendered:
    """The owner's tables, or nothing. The same object as `before` if there is nothing new."""
    try:
        if before is not None and before.told and before.whose == whose:
            identity, known = before.identity, before.told
        else:
            identity, known = _identity(whose), [NOTHING] * len(tables)
        told = [
            one if (part := table.part(owner)) is one[0] else render(table, part, identity, one)
            for table, one in zip(tables, known, strict=True)
        ]
    except UNTELLABLE as error:
        telemetry.RENDER_FAILURES.inc()
        if before is not None and before.is_failed:
            return before
        # not by its name, which may be what is wrong with it
        what = f"domain {whose.uuid}" if whose.uuid else f"connection {whose.connection!r}: {tables[0].metrics[0].name}"
        _log.warning("%s: cannot be rendered and is left out: %s: %s", what, type(error).__name__, error)
        return Rendered(whose, is_failed=True)
    if before is not None and before.told and all(map(is_, told, before.told)):
        return before
    return Rendered(whose, identity, told, told)


def _identity(whose: Whose) -> Identity:
    named = text.pairs((CONNECTION_LABEL,), (whose.connection,)) if whose.connection else ""
    domain = text.pairs(DOMAIN_LABELS, (whose.domain, whose.uuid)) if whose.uuid else ""
    promoted = {label: text.pairs((label,), (value,)) for label, value in whose.promoted}
    return Identity(",".join(filter(None, (named, domain))), promoted)
