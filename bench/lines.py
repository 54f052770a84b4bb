"""What the lines to guests cost: hostd's CPU with a thousand of them, how soon a report is seen, and what a flood does.

hostd is a process of its own, and so are the guests (`bench.crowd`), behind sockets such as QEMU listens on; libvirt's
test driver is what says that there are such domains. It is asked for numbers once an hour, so that what is measured is
the lines'.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.crowd import socket_of
from bench.outcome import Outcome, Reading, Unit
from bench.pretended import name_of, node_xml
from bench.process import cpu_seconds, resident_bytes
from bench.scraping import PLAIN, Scraper, scraping
from bench.stage import Stage
from bench.timing import percentile
from tests.lab.daemon import Hostd
from tests.lab.processes import Argument, Service
from tests.lab.progress import step
from tests.lab.waiting import pause, wait_for

INTERVAL_SECONDS = 5.0
MANY = 1_000
SOME = 200
WATCHED_SECONDS = 30.0
SCRAPE_SECONDS = 15.0  # Prometheus' own default is a minute; many set this
SEEN_SECONDS = 20.0
_FLOODER = f'domain="{name_of(SOME)}"'  # the first that is not of the crowd
LOOK_SECONDS = 0.05  # between two looks at the page: a part of what is measured

_CONFIG = """
[[connection]]
uri = "test://{node}"
[http]
listen = "{address}"
[sampling]
interval_seconds = 3600
[history]
path = ""
[guests]
report_interval_seconds = {interval_seconds}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flooded:
    """Delays and memory before one guest floods, and while it does."""

    quiet_p99: float
    flooded_p99: float
    quiet_bytes: int
    flooded_bytes: int


def cpu(_stage: Stage) -> Outcome:
    """CPU of hostd with a thousand guests, scraped as Prometheus would."""
    with _crowd(MANY) as (hostd, scraper), step("watching hostd", about_seconds=round(WATCHED_SECONDS)):
        pid = hostd.service.pid
        begun, before = time.monotonic(), cpu_seconds(pid)
        for _ in range(round(WATCHED_SECONDS / SCRAPE_SECONDS)):
            pause(SCRAPE_SECONDS)
            scraper.scrape()
        used = (cpu_seconds(pid) - before) / (time.monotonic() - begun)
        resident = resident_bytes(pid)
    measured = Reading(value=used, unit=Unit.CORES, of=f"scraped every {SCRAPE_SECONDS:g} s")
    return Outcome(measured=measured, beside=Reading(value=resident, unit=Unit.BYTES, of="resident"), judged=measured)


def visible(_stage: Stage) -> Outcome:
    """From a report's sending to its being on a page, the looking included."""
    with _crowd(SOME) as (hostd, scraper):
        delays = _watched(scraper, hostd.service.pid).delays
    p99 = Reading(value=percentile(delays, 99), unit=Unit.SECONDS, of=f"p99 of {len(delays)}")
    return Outcome(
        measured=p99,
        beside=Reading(value=LOOK_SECONDS, unit=Unit.SECONDS, of="between two looks at the page"),
        judged=p99,
    )


def flood_delay(stage: Stage) -> Outcome:
    """What a guest that floods adds to the delay of two hundred others."""
    run = stage.once(_flooded)
    added = Reading(value=max(0.0, run.flooded_p99 - run.quiet_p99), unit=Unit.SECONDS, of="added to p99")
    return Outcome(
        measured=Reading(value=run.flooded_p99, unit=Unit.SECONDS, of="p99 while one floods"),
        beside=Reading(value=run.quiet_p99, unit=Unit.SECONDS, of="p99 before"),
        judged=added,
    )


def flood_memory(stage: Stage) -> Outcome:
    """What a guest that floods makes hostd's memory grow by."""
    run = stage.once(_flooded)
    return Outcome(
        measured=Reading(value=run.flooded_bytes, unit=Unit.BYTES, of="while one floods"),
        beside=Reading(value=run.quiet_bytes, unit=Unit.BYTES, of="before"),
        judged=Reading(value=max(0, run.flooded_bytes - run.quiet_bytes), unit=Unit.BYTES, of="more than before"),
    )


def _flooded(_stage: Stage) -> Flooded:
    with _crowd(SOME, flooders=1) as (hostd, scraper):
        pid = hostd.service.pid
        quiet = _watched(scraper, pid)
        with _flooding(hostd, scraper):
            flooded = _watched(scraper, pid)
    p99s = {"quiet_p99": percentile(quiet.delays, 99), "flooded_p99": percentile(flooded.delays, 99)}
    return Flooded(**p99s, quiet_bytes=quiet.resident_bytes, flooded_bytes=flooded.resident_bytes)


@contextmanager
def _flooding(hostd: Hostd, scraper: Scraper) -> Iterator[None]:
    """A guest that sends as much as it can, from when hostd, which has to find it first, holds it back."""
    folder = hostd.config.parent
    command: list[Argument] = [sys.executable, "-m", "tests.hostile", "flood", "--socket", socket_of(folder, SOME)]
    flooder = Service(command, log=folder / "flooder.log")

    def is_held_back() -> bool:
        return sum(scraper.scrape().page.matching("hostd_guest_throttled_seconds_total", _FLOODER)) > 0

    try:
        wait_for("hostd holds a flooder back", is_held_back, deadline=90, interval=0.2, evidence=flooder.log_tail)
        yield
    finally:
        flooder.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How old each report was when it was first seen on a page, and the median of its memory."""

    delays: list[float]
    resident_bytes: int


@contextmanager
def _crowd(guests: int, *, flooders: int = 0) -> Iterator[tuple[Hostd, Scraper]]:
    """A hostd that so many guests have reported to; of the flooders it knows nothing but the domain."""
    with ExitStack() as down:
        folder = Path(down.enter_context(tempfile.TemporaryDirectory(prefix="virtwire-bench-")))
        node = folder / "node.xml"
        node.write_text(node_xml(guests + flooders, lambda number: socket_of(folder, number)))
        crowd = Service(
            [sys.executable, "-m", "bench.crowd", folder, str(guests), str(INTERVAL_SECONDS)], log=folder / "crowd.log"
        )
        down.callback(crowd.stop)
        wait_for("the guests' sockets", lambda: "all are there" in crowd.log_tail(), deadline=30)
        hostd = Hostd("", folder)
        hostd.config.write_text(
            _CONFIG.format(node=node, address=hostd.address, interval_seconds=INTERVAL_SECONDS), encoding="utf-8"
        )
        down.callback(hostd.stop)
        hostd.start()
        scraper = down.enter_context(scraping(hostd.port, headers=PLAIN))

        def have_reported() -> bool:
            return len(scraper.scrape().page.values("guest_uptime_seconds")) == guests

        with step(f"{guests:,} guests greet and report", about_seconds=10):
            wait_for(f"{guests} reports", have_reported, deadline=120, interval=0.5, evidence=hostd.evidence)
        yield hostd, scraper


def _watched(scraper: Scraper, pid: int) -> Watched:
    """Look for a while; at the flooder's reports not at all."""
    delays: list[float] = []
    resident: list[float] = []
    seen = scraper.scrape().page.values("guest_uptime_seconds")
    until = time.monotonic() + SEEN_SECONDS
    while time.monotonic() < until:
        pause(LOOK_SECONDS)
        page = scraper.scrape().page
        now = time.monotonic()
        resident.append(resident_bytes(pid))
        told = page.values("guest_uptime_seconds").items()
        values = {guest: sent for guest, sent in told if _FLOODER not in guest}  # whose word it is when it was sent
        delays += [now - sent for guest, sent in values.items() if seen.get(guest) != sent]
        seen = values
    return Watched(delays=delays, resident_bytes=round(percentile(resident, 50)))
