"""The World as Prometheus reads it: text 0.0.4 and OpenMetrics 1.0.

Why not prometheus_client's renderer: it takes 6 to 16 µs a sample, holds the GIL all the while, and one bad value fails
the whole page. Here a domain's samples are rendered once for as long as the domain is the same (World's) object, and a
domain whose values cannot be rendered costs only itself. prometheus_client still renders hostd's own few metrics.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from hostd import telemetry
from hostd.metrics import DOMAIN_LABELS, DOMAIN_SCOPES, WORLD_SCOPES
from hostd.metrics.row import Kind, Metric, Scope
from hostd.model.domain import Domain
from hostd.model.world import World

Owner = TypeVar("Owner")

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_DOMAIN_METRICS = tuple(metric for scope in DOMAIN_SCOPES for metric in scope.metrics)
_WORLD_METRICS = tuple(metric for scope in WORLD_SCOPES for metric in scope.metrics)


@dataclass(frozen=True, slots=True)
class _Ageing:
    """A sample whose value is the age of a moment, known only when the page is made."""

    series: str
    since: float

    def at(self, now: float) -> str:
        return f"{self.series} {_number(max(0.0, now - self.since))}\n"


_Chunk = str | tuple[_Ageing, ...]  # one owner's samples of one metric
_Chunks = Sequence[_Chunk]  # one owner's samples, a chunk for each metric in its table's order


class Exposition:
    """Renders pages; keeps what it rendered for as long as it holds."""

    def __init__(self, registry: CollectorRegistry = telemetry.REGISTRY) -> None:
        self._registry = registry
        self._rendered: dict[str, tuple[Domain, _Chunks]] = {}
        self._lock = threading.Lock()  # pages are made in threads; one at a time shares the work best

    def page(self, world: World, *, now: float, openmetrics: bool) -> bytes:
        """Everything known, for a scrape at `now` (seconds since 1970)."""
        with self._lock:
            domains = [self._chunks_of(domain) for domain in world.domains.values()]
            self._rendered = {uuid: kept for uuid, kept in self._rendered.items() if uuid in world.domains}
        families = [
            *_families(_WORLD_METRICS, [_render(WORLD_SCOPES, world, ())], now, openmetrics=openmetrics),
            *_families(_DOMAIN_METRICS, domains, now, openmetrics=openmetrics),
        ]
        own: bytes = (generate_openmetrics if openmetrics else generate_latest)(self._registry)
        return "".join(families).encode() + own

    def _chunks_of(self, domain: Domain) -> _Chunks:
        known = self._rendered.get(domain.uuid)
        if known is not None and known[0] is domain:
            return known[1]
        try:
            chunks = _render(DOMAIN_SCOPES, domain, tuple(zip(DOMAIN_LABELS, (domain.name, domain.uuid), strict=True)))
            "".join(chunk for chunk in chunks if isinstance(chunk, str)).encode()
        except (TypeError, ValueError, ArithmeticError):  # a value no page can hold: this domain's alone
            telemetry.RENDER_FAILURES.inc()
            chunks = [""] * len(_DOMAIN_METRICS)
        self._rendered[domain.uuid] = (domain, chunks)
        return chunks


def _render(scopes: Iterable[Scope[Owner, Any]], owner: Owner, identity: Sequence[tuple[str, str]]) -> _Chunks:
    chunks: list[_Chunk] = []
    for scope in scopes:
        items = [(_labels(identity, scope.labels, values), item) for values, item in scope.items(owner)]
        unique = dict(reversed(items))  # two items with the same labels would be the same series twice: the first wins
        ordered = [(labels, unique[labels]) for labels in dict.fromkeys(labels for labels, _ in items)]
        chunks.extend(_chunk(metric, ordered) for metric in scope.metrics)
    return chunks


def _chunk(metric: Metric[Any], items: Sequence[tuple[str, Any]]) -> _Chunk:
    known = [(labels, value) for labels, item in items if (value := metric.value(item)) is not None]
    if metric.is_age:
        return tuple(_Ageing(metric.name + labels, value) for labels, value in known)
    return "".join(f"{metric.name}{labels} {_number(value)}\n" for labels, value in known)


def _families(
    metrics: Sequence[Metric[Any]], owners: Sequence[_Chunks], now: float, *, openmetrics: bool
) -> Iterator[str]:
    for at, metric in enumerate(metrics):
        samples = "".join(
            chunk if isinstance(chunk, str) else "".join(ageing.at(now) for ageing in chunk)
            for chunk in (chunks[at] for chunks in owners)
        )
        if samples:
            is_counter = openmetrics and metric.kind is Kind.COUNTER
            family = metric.name.removesuffix("_total") if is_counter else metric.name
            yield f"# HELP {family} {_escape_help(metric.help)}\n# TYPE {family} {metric.kind.value}\n{samples}"


def _labels(identity: Sequence[tuple[str, str]], names: Sequence[str], values: Sequence[str]) -> str:
    pairs = [*identity, *zip(names, values, strict=True)]
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs) + "}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    """As Prometheus reads it. A bool is 0 or 1; a float keeps all its digits."""
    return repr(float(value)) if isinstance(value, float) else str(int(value))
