"""How much faster a page is made than by prometheus_client. Run it: `python -m bench.render`.

Both make the page of the same samples in text 0.0.4: 1,000 domains of 97 samples, all of which were just sampled anew.
Of the 97, 38 tell who it is, which states it is in and what happened to it, and those stay as they are.
Ours: `Exposition.update` with the new World, and `page`. Theirs: `generate_latest` of families that were built before,
from the very page that ours made, so that only its rendering is measured. The Worlds, too, are made before. The two
take turns within one process. What is compared are medians of the CPU time of the thread, which does not count what
else the machine was doing.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from hostd.exposition import Exposition
from hostd.model.block import BlockStats
from hostd.model.domain import Domain, DomainFacts
from hostd.model.host import Connection
from hostd.model.stats import (
    BalloonStats,
    Control,
    ControlState,
    CpuStats,
    DomainState,
    DomainStats,
    InterfaceStats,
    ProcessStats,
    VcpuStats,
)
from hostd.model.world import World

DOMAINS = 1_000
SELDOM = {
    "is_halted",
    "limits",
    "errors",
    "threshold_bytes",
    "haltpoll_success_seconds",
    "haltpoll_fail_seconds",
    "hugetlb_allocations",
    "hugetlb_failures",
}
"""What most domains do not have."""

ROUNDS = 7

EVENTS = {("started", "booted"): 1}

Stats = TypeVar("Stats", CpuStats, BalloonStats, VcpuStats, InterfaceStats, BlockStats)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of CPU time; medians, `first` aside."""

    samples: int
    first: float  # ours, with nothing rendered before
    ours: float
    ours_compressed: float  # the same, and the page as gzip
    scrape: float  # the page alone, when nothing was updated since the last
    scrape_compressed: float
    theirs: float

    @property
    def ratio(self) -> float:
        """How many of our pages are made in the time of one of theirs."""
        return self.theirs / self.ours


class _Prebuilt(Collector):
    def __init__(self, page: str) -> None:
        self._families = list(text_string_to_metric_families(page))

    def collect(self) -> Iterable[Metric]:
        return self._families


def measure() -> Measured:
    """Measure all of it; about 10 s."""
    exposition = Exposition(CollectorRegistry())
    first = _seconds(lambda: _updated(exposition, world(0), gzip=False))
    theirs = CollectorRegistry()
    theirs.register(_Prebuilt(exposition.page(now=time.time(), openmetrics=False, gzip=False).decode()))
    times: dict[str, list[float]] = {}
    for number in range(1, ROUNDS + 1):
        plain, compressed = world(2 * number), world(2 * number + 1)
        work: dict[str, Callable[[], object]] = {
            "theirs": lambda: generate_latest(theirs),
            "ours": lambda plain=plain: _updated(exposition, plain, gzip=False),  # type: ignore[misc]
            "scrape": lambda: _page(exposition, gzip=False),
            "ours_compressed": lambda compressed=compressed: _updated(exposition, compressed, gzip=True),  # type: ignore[misc]
            "scrape_compressed": lambda: _page(exposition, gzip=True),
        }
        gc.collect()
        gc.freeze()  # what is kept here to measure with is nobody's burden
        for name, do in work.items():
            times.setdefault(name, []).append(_seconds(do))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    return Measured(samples=_samples(theirs), first=first, **medians)


def _samples(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())


def world(number: int) -> World:
    """The World after collection `number`: each number another, in objects of its own."""
    domains = [_domain(at, number) for at in range(DOMAINS)]
    return World(connection=Connection(uri="qemu:///system"), domains={domain.uuid: domain for domain in domains})


def _updated(exposition: Exposition, world: World, *, gzip: bool) -> bytes:
    exposition.update(world)
    return _page(exposition, gzip=gzip)


def _page(exposition: Exposition, *, gzip: bool) -> bytes:
    return exposition.page(now=time.time(), openmetrics=False, gzip=gzip)


def _seconds(do: Callable[[], object]) -> float:
    start = time.thread_time()
    do()
    return time.thread_time() - start


def _domain(at: int, number: int) -> Domain:
    grown = 1_000_003 * (number + 1) + 7_919 * at
    return Domain(
        facts=_facts(at),
        stats=_stats(at, grown),
        is_responsive=True,
        answered_at=1_700_000_000.5 + number,
        control=Control(state=ControlState.OK, seconds=_seconds_of(grown)),
        process=ProcessStats(cpu_seconds=_seconds_of(grown + 1), resident_bytes=grown * 4096),
        events=EVENTS,
    )


@cache
def _facts(at: int) -> DomainFacts:
    """The same object in every World, as it is while nothing happens to a domain but that it is sampled."""
    return DomainFacts(
        uuid=f"11111111-1111-4111-8111-{at:012}",
        name=f"instance-{at:08}",
        id=at + 1,
        state=DomainState.RUNNING,
        reason="booted",
        is_persistent=True,
        os_type="hvm",
        machine="pc-q35-7.2",
    )


def _seconds_of(grown: int) -> float:
    return grown * 1_234_567 / 1e9  # libvirt counts nanoseconds


def _stats(at: int, grown: int) -> DomainStats:
    return DomainStats(
        cpu=_filled(CpuStats, grown),
        balloon=_filled(BalloonStats, grown),
        vcpus_current=2,
        vcpus_maximum=4,
        vcpus=tuple(_filled(VcpuStats, grown + number, number=number, state="running") for number in range(2)),
        interfaces=(_filled(InterfaceStats, grown, index=0, name=f"vnet{at}"),),
        blocks=tuple(_filled(BlockStats, grown, device=device) for device in ("vda", "vdb")),
    )


def _filled(kind: type[Stats], grown: int, **known: Any) -> Stats:  # noqa: ANN401 - fields of the kind
    """One with a number of its own in every field that is not known."""
    fields = [
        name
        for name, field in kind.__dataclass_fields__.items()
        if name not in known and field.default is None and name not in SELDOM
    ]
    numbers: dict[str, Any] = {
        name: _seconds_of(grown + place)
        if name.endswith("_seconds") and name != "last_update_seconds"
        else grown + place
        for place, name in enumerate(fields)
    }
    return kind(**known, **numbers)


def main() -> None:
    """Print what was measured."""
    found = measure()
    lines = (
        f"{found.samples:,} samples in text 0.0.4, medians of {ROUNDS} turns, CPU time:",
        f"  hostd, all sampled anew: update and page  {found.ours * 1000:8.1f} ms",
        f"  prometheus_client: generate_latest        {found.theirs * 1000:8.1f} ms",
        f"  ratio                                     {found.ratio:8.1f}",
        "",
        f"  hostd, the very first                     {found.first * 1000:8.1f} ms",
        f"  hostd, all sampled anew, as gzip          {found.ours_compressed * 1000:8.1f} ms",
        f"  hostd, a scrape with nothing new          {found.scrape * 1000:8.1f} ms",
        f"  hostd, a scrape with nothing new, as gzip {found.scrape_compressed * 1000:8.1f} ms",
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
