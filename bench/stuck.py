"""One domain's QEMU hangs: what that costs the others' numbers, and the scrape.

The QEMU is stopped for real (SIGSTOP), and goes on at the end whatever happens. The exporter is scraped after
hostd has been watched: its stuck question would be libvirt's second one to the same domain.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import libvirt

from bench.outcome import Outcome, Reading, Unit, ratio
from bench.scraping import Scraper, scraping
from bench.stage import SAMPLE_AGE, Stage
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.processes import frozen
from tests.lab.progress import step
from tests.lab.waiting import pause, wait_for

INTERVAL_SECONDS = 2.0
INTERVALS_BEFORE = 3
INTERVALS_STUCK = 5
LOOK_PAUSE_SECONDS = 0.1
EXPORTER_TIMEOUT_SECONDS = 20.0
SAMPLES_KEPT = 0.95  # a page that lost its domains is quick, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What looks at hostd's page over some intervals saw."""

    oldest_seconds: float
    scrape_seconds: Sequence[float]
    samples: int  # of the last page


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckRun:
    """The same watch before and during, and the exporter's scrape."""

    before: Watch
    during: Watch
    exporter_before_seconds: float
    exporter_during_seconds: float | None


def others_age(stage: Stage) -> Outcome:
    """The oldest that any other domain's numbers became, in intervals."""
    run = stage.once(_stuck_run)
    oldest = run.during.oldest_seconds
    return Outcome(
        measured=Reading(value=oldest, unit=Unit.SECONDS, of=f"the oldest of {stage.domains - 1}"),
        beside=Reading(value=run.before.oldest_seconds, unit=Unit.SECONDS, of="with none stuck"),
        judged=Reading(value=oldest / INTERVAL_SECONDS, unit=Unit.INTERVALS),
    )


def scrape_time(stage: Stage) -> Outcome:
    """The median scrape while one is stuck, as a share of that before."""
    run = stage.once(_stuck_run)
    before, during = (
        Reading(value=median(watch.scrape_seconds), unit=Unit.SECONDS) for watch in (run.before, run.during)
    )
    return Outcome(
        measured=Reading(
            value=during.value,
            unit=Unit.SECONDS,
            of=f"for {run.during.samples:,} samples ({before} for {run.before.samples:,} before)",
        ),
        beside=_exporter_reading(run),
        judged=ratio(during, before),
        holds=run.during.samples >= SAMPLES_KEPT * run.before.samples,
    )


def _exporter_reading(run: StuckRun) -> Reading:
    was = Reading(value=run.exporter_before_seconds, unit=Unit.SECONDS)
    if run.exporter_during_seconds is None:
        of = f"without the exporter's answer ({was} before)"
        return Reading(value=EXPORTER_TIMEOUT_SECONDS, unit=Unit.SECONDS, of=of)
    return Reading(value=run.exporter_during_seconds, unit=Unit.SECONDS, of=f"the exporter's ({was} before)")


def _stuck_run(stage: Stage) -> StuckRun:
    with (
        stage.hostd(interval_seconds=INTERVAL_SECONDS) as hostd,
        stage.exporter() as exporter,
        scraping(hostd.port) as scraper,
        scraping(exporter.port, timeout=EXPORTER_TIMEOUT_SECONDS) as exporters,
        step("watching hostd while a QEMU hangs", about_seconds=45),
    ):
        name = stage.libvirtd.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)[0].name()
        before = _watch(scraper, name, INTERVALS_BEFORE)
        exporter_before = exporters.scrape().seconds
        with _hanging(stage.libvirtd, name):
            during = _watch(scraper, name, INTERVALS_STUCK)
            exporter_during = _scrape_or_none(exporters)
    return StuckRun(
        before=before,
        during=during,
        exporter_before_seconds=exporter_before,
        exporter_during_seconds=exporter_during,
    )


def _watch(scraper: Scraper, stuck: str, intervals: int) -> Watch:
    """Look again and again. Numbers that were shown once and are dropped grow older all the same."""
    seconds: list[float] = []
    oldest, newest = 0.0, dict[str, float]()  # when each domain's newest numbers were taken
    end = time.monotonic() + intervals * INTERVAL_SECONDS
    while (now := time.monotonic()) < end:
        look = scraper.scrape()
        seconds.append(look.seconds)
        newest |= {labels: now - age for labels, age in look.page.values(SAMPLE_AGE).items()}
        oldest = max(oldest, *(now - at for labels, at in newest.items() if f'domain="{stuck}"' not in labels))
        pause(LOOK_PAUSE_SECONDS)
    return Watch(oldest_seconds=oldest, scrape_seconds=seconds, samples=look.page.samples)


def _scrape_or_none(scraper: Scraper) -> float | None:
    try:
        return scraper.scrape().seconds
    except TimeoutError:
        return None


@contextmanager
def _hanging(libvirtd: PrivateLibvirt, name: str) -> Iterator[None]:
    with frozen(libvirtd.qemu_pid(name)):
        yield
    domain = libvirtd.connection.lookupByName(name)
    wait_for(f"{name} answers", lambda: domain.controlInfo()[0] == libvirt.VIR_DOMAIN_CONTROL_OK, deadline=30)
