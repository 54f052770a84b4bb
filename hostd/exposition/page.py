"""The page: families joined from what is known of all Worlds, then what depends on the moment of the scrape.

The first part is the same until something is updated, and so is its compressed form; both are made once for each format
that is asked for. Only the tail, the ages and what hostd counts of itself, is made for each scrape.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from hostd import telemetry
from hostd.exposition import text
from hostd.exposition.compression import Deflated, deflated, member
from hostd.exposition.known import DOMAIN_TABLES, LEFT_OUT_TABLE, WORLD_TABLES, Known
from hostd.exposition.render import Table, Told, numbers_of, table_of
from hostd.metrics import DOMAIN_SCOPES
from hostd.metrics.compat import scopes_of, widened
from hostd.metrics.row import Metric
from hostd.model.world import World

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_Family = tuple[Metric[Any], Sequence[bytes], Sequence[bytes]]  # and its samples: the labels and the number of each


@dataclass(slots=True, kw_only=True)
class _Static:
    """What is the same until the next update, in one format."""

    version: int
    families: Sequence[bytes]
    ages: Sequence[tuple[str, Sequence[tuple[str, float]]]]  # a family each: its head; its series and their moments
    deflated: Deflated | None = None  # from the first time that somebody takes it


class Exposition:
    """All Worlds as Prometheus reads them. Its methods are for threads, any number of them at once."""

    def __init__(
        self,
        registry: CollectorRegistry = telemetry.REGISTRY,
        *,
        max_series_per_domain: int = 5_000,
        compat: Sequence[str] = (),
    ) -> None:
        self._registry = registry
        self._max_series_per_domain = max_series_per_domain
        self._tables = (*WORLD_TABLES, *map(table_of, scopes_of(compat)))  # of a World's own
        self._domain_tables = tuple(map(table_of, widened(DOMAIN_SCOPES, compat))) if compat else DOMAIN_TABLES
        self._known: dict[str, Known] = {}  # by the connection's name
        self._version = 0  # of what is known
        self._static: dict[bool, _Static] = {}  # by whether it is OpenMetrics
        self._knowing = threading.Lock()  # all of rendering and joining is Python's: taking turns costs nothing
        self._making = threading.Lock()  # of several scrapes at once the first does the work for all

    def update(self, world: World) -> None:
        """`world` is what its connection knows now. Renders what is new in it; a page is not made."""
        name = world.connection.name
        with self._knowing:
            known = self._known.get(name)
            if known is None:
                known = self._known[name] = Known(self._max_series_per_domain, self._tables, self._domain_tables)
            self._version += known.renew(world)

    def page(self, *, now: float, openmetrics: bool, gzip: bool) -> bytes:
        """Everything known, for a scrape at `now` (seconds since 1970)."""
        with self._making:
            static = self._static_part(openmetrics=openmetrics)
            if gzip and static.deflated is None:
                static.deflated = deflated(static.families)
        tail = self._tail(static, now, openmetrics=openmetrics)
        return member(static.deflated, tail) if gzip and static.deflated else b"".join((*static.families, tail))

    def _static_part(self, *, openmetrics: bool) -> _Static:
        static = self._static.get(openmetrics)
        with self._knowing:
            if static is None or static.version != self._version:
                known = [self._known[name] for name in sorted(self._known)]
                static = self._static[openmetrics] = _joined(
                    known, self._tables, self._version, openmetrics=openmetrics
                )
        return static

    def _tail(self, static: _Static, now: float, *, openmetrics: bool) -> bytes:
        own: bytes = (generate_openmetrics if openmetrics else generate_latest)(self._registry)
        lines: list[str] = []
        for head, moments in static.ages:
            lines.append(head)
            lines.extend(f"{series}{max(0.0, now - since)!r}\n" for series, since in moments)
        return "".join(lines).encode() + own


def _joined(known: Sequence[Known], of_worlds: Sequence[Table[World]], version: int, *, openmetrics: bool) -> _Static:
    families: list[bytes] = []
    ages: list[tuple[str, Sequence[tuple[str, float]]]] = []
    for metric, labels, numbers in _families(known, of_worlds):
        head = text.head(metric, openmetrics=openmetrics)
        if metric.is_age:
            series = [metric.name + of.decode() for of in labels]
            ages.append((head, list(zip(series, map(float, numbers), strict=True))))
        else:
            families.append(head.encode() + text.lines(metric.name, labels, numbers))
    return _Static(version=version, families=families, ages=ages)


def _families(known: Sequence[Known], of_worlds: Sequence[Table[World]]) -> Iterator[_Family]:
    """Every family of which something is known, with its samples of all owners, in the tables' order."""
    for at, of_world in enumerate(of_worlds):
        owners = [one.own[at] for one in known]
        yield from _columns(of_world, [owner.shown[0] for owner in owners if owner and owner.shown])
    domains = [domain.shown for one in known for domain in one.domains.values() if domain.shown]
    of_domains: tuple[Table[Any], ...] = (*DOMAIN_TABLES, LEFT_OUT_TABLE)
    for at, table in enumerate(of_domains):
        yield from _columns(table, [shown[at] for shown in domains])


def _columns(table: Table[Any], owners: Sequence[Told]) -> Iterator[_Family]:
    labels = list(chain.from_iterable([texts for _, _, texts, _ in owners]))
    of_all = numbers_of(owners)
    for at, metric in enumerate(table.metrics):
        numbers = of_all[at :: len(table.metrics)]
        if numbers and all(numbers):
            yield metric, labels, numbers
        elif any(numbers):
            yield metric, list(compress(labels, numbers)), list(filter(None, numbers))
