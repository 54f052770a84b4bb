"""What a scrape costs: a page of hostd's beside one of Debian's exporter, and hostd's slowest while it collects.

hostd collects off to the side, so its scrape asks nothing of libvirt; the exporter's asks for everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.outcome import Outcome, Reading, Unit, ratio
from bench.scraping import scraping
from bench.stage import Stage
from bench.timing import alternately
from tests.lab.progress import step
from tests.lab.waiting import pause

ROUNDS = 25
SAMPLES_FACTOR = 5
SLOW_INTERVAL_SECONDS = 10.0  # the default
BUSY_INTERVAL_SECONDS = 1.0  # ten times as often as by default
BUSY_SCRAPES = 200  # that count: those whose own page says that libvirt was being asked when it was made
BUSY_PAUSE_SECONDS = 0.02  # else 200 scrapes would be over within a few collections
BUSY_MOST_SCRAPES = 1_000  # where collections are short, fewer than 200 have to do
STALL = "hostd_event_loop_longest_stall_seconds"
IN_FLIGHT = "hostd_libvirt_calls_in_flight"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyRun:
    """What scrapes saw of a hostd that collects often."""

    seconds: Sequence[float]  # of those that fell within a collection
    scrapes: int  # all of them
    longest_stall_seconds: float


def beside_exporter(stage: Stage) -> Outcome:
    """The median scrape, as a share of the exporter's."""
    with (
        stage.hostd(interval_seconds=SLOW_INTERVAL_SECONDS) as hostd,
        stage.exporter() as exporter,
        scraping(hostd.port) as ours,
        scraping(exporter.port) as theirs,
        step("scraping hostd and the exporter by turns", about_seconds=15),
    ):
        our_seconds, their_seconds = alternately(ROUNDS, ours.scrape, theirs.scrape)
        our_samples, their_samples = ours.scrape().page.samples, theirs.scrape().page.samples
    measured = Reading(value=median(our_seconds), unit=Unit.SECONDS, of=f"for {our_samples:,} samples")
    beside = Reading(value=median(their_seconds), unit=Unit.SECONDS, of=f"for the exporter's {their_samples:,}")
    return Outcome(
        measured=measured,
        beside=beside,
        judged=ratio(measured, beside),
        holds=our_samples >= SAMPLES_FACTOR * their_samples,
    )


def slowest(stage: Stage) -> Outcome:
    """The slowest of the scrapes during collections."""
    busy = stage.once(_busy_run)
    worst = Reading(value=max(busy.seconds), unit=Unit.SECONDS)
    of = f"of the {len(busy.seconds)} within a collection, among {busy.scrapes}"
    return Outcome(
        measured=Reading(value=worst.value, unit=Unit.SECONDS, of=of),
        beside=Reading(value=median(busy.seconds), unit=Unit.SECONDS, of="their median"),
        judged=worst,
    )


def longest_stall(stage: Stage) -> Outcome:
    """The longest that hostd's event loop stood still in the same run, by its own account."""
    busy = stage.once(_busy_run)
    stall = Reading(value=busy.longest_stall_seconds, unit=Unit.SECONDS)
    return Outcome(measured=stall, judged=stall)


def _busy_run(stage: Stage) -> BusyRun:
    seconds: list[float] = []
    scrapes = 0
    with (
        stage.hostd(interval_seconds=BUSY_INTERVAL_SECONDS) as hostd,
        scraping(hostd.port) as scraper,
        step(f"scraping {BUSY_SCRAPES} times during collections", about_seconds=15),
    ):
        while len(seconds) < BUSY_SCRAPES and scrapes < BUSY_MOST_SCRAPES:
            pause(BUSY_PAUSE_SECONDS)
            scrape = scraper.scrape()
            scrapes += 1
            if scrape.page.value(IN_FLIGHT):
                seconds.append(scrape.seconds)
        stall = scraper.scrape().page.value(STALL)
    return BusyRun(seconds=seconds, scrapes=scrapes, longest_stall_seconds=stall)
