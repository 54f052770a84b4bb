"""How soon an event of libvirt's is on hostd's page.

From just after the call that causes it has returned (libvirt may have sent the event a little before) to the end
of the first page that counts it. Pages are asked for one after the other without a pause, and what is measured
holds at least one whole look: the median look stands beside it.
"""

import time
from dataclasses import dataclass
from statistics import median

import libvirt

from bench.outcome import Outcome, Reading, Unit
from bench.scraping import PLAIN, Scraper, scraping
from bench.stage import Stage
from bench.timing import percentile
from tests.lab.progress import step
from tests.lab.waiting import WaitedInVainError

EVENTS = 100
INTERVAL_SECONDS = 10.0
DEADLINE_SECONDS = 10.0
COUNTER = "libvirt_domain_events_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One event: how long until it was seen, and how long each look took."""

    seconds: float
    looks: tuple[float, ...]


def measure(stage: Stage) -> Outcome:
    """The 99th percentile over domains that are resumed and suspended again."""
    with (
        stage.hostd(interval_seconds=INTERVAL_SECONDS) as hostd,
        scraping(hostd.port, headers=PLAIN) as scraper,
        step(f"causing {EVENTS} events", about_seconds=10),
    ):
        domains = stage.libvirtd.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        seen = [_cause(scraper, domains[number // 2 % len(domains)], number) for number in range(EVENTS)]
    late = Reading(value=percentile([each.seconds for each in seen], 99), unit=Unit.SECONDS)
    half = median(each.seconds for each in seen)
    look = median(look for each in seen for look in each.looks)
    return Outcome(
        measured=Reading(value=late.value, unit=Unit.SECONDS, of=f"p99; median {half * 1e3:.1f} ms"),
        beside=Reading(value=look, unit=Unit.SECONDS, of="one look at the page"),
        judged=late,
    )


def _cause(scraper: Scraper, domain: libvirt.virDomain, number: int) -> Seen:
    """Resume at even numbers and suspend at odd ones, so that every domain ends as it was."""
    act, event = ((domain.resume, "resumed"), (domain.suspend, "suspended"))[number % 2]
    labels = (f'domain="{domain.name()}"', f'event="{event}"')
    before = sum(scraper.scrape().page.matching(COUNTER, *labels))
    act()
    begun = time.perf_counter()
    looks = []
    while time.perf_counter() < begun + DEADLINE_SECONDS:
        look = scraper.scrape()
        seconds = time.perf_counter() - begun
        looks.append(look.seconds)
        if sum(look.page.matching(COUNTER, *labels)) > before:
            return Seen(seconds=seconds, looks=tuple(looks))
    raise WaitedInVainError(f"after {DEADLINE_SECONDS:g} s still not on hostd's page: {COUNTER} {labels}")
