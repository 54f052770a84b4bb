"""What is on a page, as Prometheus's own parsers read it."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from hostd.exposition import Exposition
from hostd.model.world import World

NOW = 1_700_000_110.25

Series = tuple[str, frozenset[tuple[str, str]]]


def page_of(
    *worlds: World,
    now: float = NOW,
    openmetrics: bool = False,
    max_series_per_domain: int = 5_000,
    compat: Sequence[str] = (),
) -> str:
    """The page of these Worlds, without hostd's own metrics."""
    exposition = Exposition(CollectorRegistry(), max_series_per_domain=max_series_per_domain, compat=compat)
    for world in worlds:
        exposition.update(world)
    return exposition.page(now=now, openmetrics=openmetrics, gzip=False).decode()


def samples_of(page: str, *, openmetrics: bool = False) -> dict[Series, float]:
    """Every sample; a series that is there twice is an error."""
    parse = openmetrics_parser.text_string_to_metric_families if openmetrics else text_string_to_metric_families
    found: dict[Series, float] = {}
    for family in parse(page):
        for sample in family.samples:
            series = series_of(sample)
            assert series not in found, f"twice on the page: {series}"
            found[series] = sample.value
    return found


def series_of(sample: Sample) -> Series:
    """Which series a sample belongs to."""
    return sample.name, frozenset(sample.labels.items())


def value_of(page: str, name: str, **labels: str) -> float | None:
    """The value of the one series of that name that has these labels, others aside."""
    wanted = labels.items()
    values = [value for (found, its), value in samples_of(page).items() if found == name and wanted <= its]
    assert len(values) <= 1, f"{name} is there {len(values)} times"
    return values[0] if values else None
