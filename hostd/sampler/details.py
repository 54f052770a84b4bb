"""What is asked of each domain by slow calls: seldom, and at once where something about it has changed.

That includes the job that runs on it, such as a migration: looked for now and then, at once when QEMU tells that it
copies memory, and once found followed until it ends.

While somebody is at a domain's monitor (a question of our own for its numbers, as like as not) what only that tells is
left out. Such a domain is asked again at the next look, then ever more seldom, down to the interval of jobs; always the
interval alone would meet our own questions each time.

One domain after the other, each with its own budget, so that asking them holds no more than one of the threads that the
domains' numbers come by. A domain that does not answer is not asked this either.
"""

import logging
import time
from dataclasses import dataclass, replace

from hostd.hypervisor import Hypervisor, HypervisorError, NoSuchDomain, Unavailable
from hostd.model import changes
from hostd.model.details import NO_JOB, Details
from hostd.model.domain import Domain, DomainFacts
from hostd.settings import SamplingSettings
from hostd.store import Store

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # how soon a change is seen; looking costs no call
MIGRATES = ("migration_iteration", "")  # the one event that tells of a job while it runs: a migration, or a save


@dataclass(frozen=True, slots=True)
class _Asked:
    """When a domain was last asked, how it was then, and whether it answered."""

    at: float
    job_at: float
    facts: DomainFacts
    has_answered: bool
    iterations: int  # of a migration that it told of by then
    again_seconds: float  # what was left out is asked for after so long


class Detailed:
    """The domains of one connection."""

    def __init__(self, store: Store, hypervisor: Hypervisor, settings: SamplingSettings) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._settings = settings
        self._asked: dict[str, _Asked] = {}

    async def collect(self) -> None:
        """Ask those whose turn it is.

        Raises:
            HypervisorError: libvirt could not be asked at all.

        """
        domains = self._store.world.domains
        stuck = [uuid for uuid, domain in domains.items() if domain.is_responsive is False]
        # one that answers again is asked at once
        self._asked = {uuid: asked for uuid, asked in self._asked.items() if uuid in domains and uuid not in stuck}
        if len(stuck) >= self._settings.max_unresponsive_domains:
            return
        for uuid in domains:
            domain = self._store.world.domains.get(uuid)  # as it is by now
            if domain is None or domain.is_responsive is False:
                continue
            if self._is_due(domain):
                await self._ask(domain)
            elif domain.is_active and domain.details is not None and self._is_job_due(domain, domain.details):
                await self._follow(domain, domain.details)

    def _is_due(self, domain: Domain) -> bool:
        asked = self._asked.get(domain.uuid)
        if asked is None or asked.facts is not domain.facts:
            return True
        was_lost = asked.has_answered and domain.details is None
        is_left_out = domain.details is not None and not domain.details.is_whole
        interval = asked.again_seconds if is_left_out else self._settings.details_interval_seconds
        return was_lost or time.monotonic() >= asked.at + interval

    def _is_job_due(self, domain: Domain, known: Details) -> bool:
        asked = self._asked[domain.uuid]
        is_running = known.job not in {None, NO_JOB}
        has_begun = not is_running and _iterations(domain) != asked.iterations
        interval = self._settings.interval_seconds if is_running else self._settings.jobs_interval_seconds
        return has_begun or time.monotonic() >= asked.job_at + interval

    async def _ask(self, domain: Domain) -> None:
        details = await self._answer(domain)
        now = time.monotonic()
        self._asked[domain.uuid] = _Asked(
            at=now,
            job_at=now,
            facts=domain.facts,
            has_answered=details is not None,
            iterations=_iterations(domain),
            again_seconds=self._again_seconds(domain),
        )
        self._store.tell(changes.DomainDetailed(uuid=domain.uuid, details=details))

    def _again_seconds(self, domain: Domain) -> float:
        """How long what is left out this time may be; twice as long as the last time, if that was just before."""
        before = self._asked.get(domain.uuid)
        if before is None or domain.details is None or domain.details.is_whole:
            return LOOK_SECONDS
        return min(2 * before.again_seconds, self._settings.jobs_interval_seconds)

    async def _follow(self, domain: Domain, known: Details) -> None:
        """How far its job is. What cannot be said leaves what was known: one that is stuck is found by its numbers."""
        asked = self._asked[domain.uuid]
        self._asked[domain.uuid] = replace(asked, job_at=time.monotonic(), iterations=_iterations(domain))
        try:
            job = await self._hypervisor.ask_job(domain.uuid, deadline_seconds=self._settings.domain_seconds)
        except Unavailable:
            raise
        except HypervisorError as error:
            _log.debug("domain %r: %s", domain.name, error)
            return
        current = self._store.world.domains.get(domain.uuid)
        if job is not None and current is not None and current.details is known:  # else it was asked anew meanwhile
            self._store.tell(changes.DomainDetailed(uuid=domain.uuid, details=replace(known, job=job)))

    async def _answer(self, domain: Domain) -> Details | None:
        try:
            return await self._hypervisor.ask_details(domain.uuid, deadline_seconds=self._settings.domain_seconds)
        except Unavailable:
            raise
        except NoSuchDomain:
            return None
        except HypervisorError as error:
            asked = self._asked.get(domain.uuid)
            if asked is None or asked.has_answered:
                _log.warning("domain %r: %s; its details are not known", domain.name, error)
            return None


def _iterations(domain: Domain) -> int:
    return domain.events.get(MIGRATES, 0)
