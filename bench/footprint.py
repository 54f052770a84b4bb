"""What hostd takes of its host: memory and CPU, with real domains, and memory with a thousand pretended ones.

The thousand are libvirt's test driver's, within hostd's own process: what the driver itself needs for them is
counted as hostd's.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.outcome import Outcome, Reading, Unit
from bench.pretended import node_xml
from bench.process import cpu_seconds, resident_bytes
from bench.scraping import scraping
from bench.stage import SAMPLE_AGE, Stage, running_hostd
from tests.lab.progress import step
from tests.lab.waiting import pause

INTERVAL_SECONDS = 10.0
SCRAPES = 6  # one an interval: a minute
QUIET_SECONDS = 30.0
PRETENDED = 1_000
PRETENDED_INTERVAL_SECONDS = 2.0
COLLECTIONS_AT_LEAST = 3
SCRAPES_AT_LEAST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Cores that hostd and libvirtd took over a window."""

    seconds: float
    hostd: float
    libvirtd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyRun:
    """hostd at its default interval, with scrapes and then without."""

    scraped: Use
    quiet: Use
    resident_bytes: int


def cpu(stage: Stage) -> Outcome:
    """CPU time over a minute with a scrape an interval; libvirtd's own stands beside."""
    run = stage.once(_steady_run)
    used = Reading(value=run.scraped.hostd, unit=Unit.CORES)
    return Outcome(
        measured=Reading(
            value=used.value,
            unit=Unit.CORES,
            of=f"over {run.scraped.seconds:.0f} s ({run.quiet.hostd:.2%} over {run.quiet.seconds:.0f} s unscraped)",
        ),
        beside=Reading(value=run.scraped.libvirtd, unit=Unit.CORES, of="libvirtd, asked by hostd alone"),
        judged=used,
    )


def memory(stage: Stage) -> Outcome:
    """Resident memory after the same minute."""
    used = Reading(value=stage.once(_steady_run).resident_bytes, unit=Unit.BYTES)
    return Outcome(measured=used, judged=used)


def memory_of_many(_stage: Stage) -> Outcome:
    """Resident memory with a thousand domains of the test driver."""
    with tempfile.TemporaryDirectory(prefix="virtwire-bench-") as folder:
        node = Path(folder) / "node.xml"
        node.write_text(node_xml(PRETENDED))
        used = Reading(value=_resident_with(f"test://{node}", Path(folder)), unit=Unit.BYTES)
    return Outcome(measured=used, judged=used)


def _resident_with(uri: str, folder: Path) -> int:
    with (
        step(f"collecting {PRETENDED:,} pretended domains", about_seconds=12),
        running_hostd(uri, folder, PRETENDED, interval_seconds=PRETENDED_INTERVAL_SECONDS) as hostd,
        scraping(hostd.port) as scraper,
    ):
        ages: list[float] = []
        while _collections(ages) < COLLECTIONS_AT_LEAST or len(ages) < SCRAPES_AT_LEAST:
            pause(PRETENDED_INTERVAL_SECONDS / 4)
            ages.append(max(scraper.scrape().page.values(SAMPLE_AGE).values()))
        return resident_bytes(hostd.service.pid)


def _collections(ages: list[float]) -> int:
    """How many collections looks one after the other saw: the first made the page, and each makes ages fall."""
    return 1 + sum(later < earlier for earlier, later in pairwise(ages))


def _steady_run(stage: Stage) -> SteadyRun:
    with (
        stage.hostd(interval_seconds=INTERVAL_SECONDS) as hostd,
        scraping(hostd.port) as scraper,
        step("watching what hostd takes", about_seconds=round(SCRAPES * INTERVAL_SECONDS + QUIET_SECONDS)),
    ):

        def scrape_on() -> None:
            for _ in range(SCRAPES):
                pause(INTERVAL_SECONDS)
                scraper.scrape()

        pids = (hostd.service.pid, stage.libvirtd.pid)
        scraped = _use(pids, scrape_on)
        quiet = _use(pids, lambda: pause(QUIET_SECONDS))
        return SteadyRun(scraped=scraped, quiet=quiet, resident_bytes=resident_bytes(hostd.service.pid))


def _use(pids: tuple[int, int], meanwhile: Callable[[], None]) -> Use:
    begun, before = time.monotonic(), [cpu_seconds(pid) for pid in pids]
    meanwhile()
    seconds, after = time.monotonic() - begun, [cpu_seconds(pid) for pid in pids]
    hostd, libvirtd = ((last - first) / seconds for first, last in zip(before, after, strict=True))
    return Use(seconds=seconds, hostd=hostd, libvirtd=libvirtd)
