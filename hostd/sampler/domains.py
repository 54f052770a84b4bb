"""The domains' numbers, in two steps, so that one that is stuck delays no other.

First a survey: what libvirt knows of all without the help of any. Then each is asked by itself, a few at once, each
with a budget and over a thread that is replaced if it does not come back. One that does not answer keeps what the
survey says, loses its numbers rather than freezing them, and is asked again when its circuit allows. Some groups are
asked for only now and then (`rare`) and kept in between.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hostd.hypervisor import Answer, CallFailed, Hypervisor, HypervisorError, NoSuchDomain, Unavailable
from hostd.model import changes
from hostd.model.stats import DomainStats, Sample, Survey
from hostd.sampler.circuit import Circuit
from hostd.sampler.rare import Rare
from hostd.settings import SamplingSettings
from hostd.store import Store

_log = logging.getLogger(__name__)

TELL_SECONDS = 0.25  # what was learned waits no longer for the rest of its round
EXPIRE_INTERVALS = 3  # without a survey for so long, nothing that is known tells the present any more


@dataclass(slots=True)
class _Round:
    """One collection: who is still to be asked, and what was learned since it was last told."""

    surveyed: Mapping[str, Survey]
    is_holding: bool
    waiting: deque[str]
    learned: dict[str, Sample] = field(default_factory=dict)
    told_at: float = 0.0
    lost: Unavailable | None = None


class Domains:
    """Collections of one connection's domains."""

    def __init__(self, store: Store, hypervisor: Hypervisor, settings: SamplingSettings, *, at_once: int) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._settings = settings
        self._at_once = at_once
        self._circuits: dict[str, Circuit] = {}
        self._rare: dict[str, Rare] = {}
        self._surveyed_at = time.monotonic()

    async def collect(self) -> None:
        """Once.

        Raises:
            HypervisorError: libvirt could not be asked at all, or so many domains are stuck that the rest were not
                asked.

        """
        surveyed = await self._survey()
        self._circuits = {uuid: self._circuits.get(uuid) or self._circuit() for uuid in surveyed}
        self._rare = {uuid: self._rare.get(uuid) or self._new_rare() for uuid in surveyed}
        stuck = sum(not circuit.is_answering for circuit in self._circuits.values())
        is_holding = stuck >= self._settings.max_unresponsive_domains
        current = _Round(surveyed, is_holding, deque(surveyed), told_at=time.monotonic())
        async with asyncio.TaskGroup() as group:
            for number in range(min(self._at_once, len(surveyed))):
                group.create_task(self._pull(current), name=f"asking domains {number}")
        self._tell(current)
        if current.lost is not None:
            raise current.lost
        if is_holding:
            raise CallFailed(
                f"{stuck} domains do not answer, and each holds one of libvirt's workers; the others are not asked, "
                "to leave it some (sampling.max_unresponsive_domains)"
            )

    async def _survey(self) -> Mapping[str, Survey]:
        try:
            surveyed = await self._hypervisor.survey()
        except HypervisorError:
            if time.monotonic() - self._surveyed_at > EXPIRE_INTERVALS * self._settings.interval_seconds:
                self._store.tell(changes.StatsExpired())
            raise
        self._surveyed_at = time.monotonic()
        states = {uuid: (survey.state, survey.reason) for uuid, survey in surveyed.items()}
        self._store.tell(changes.StatesSurveyed(states=states))
        return surveyed

    async def _pull(self, current: _Round) -> None:
        """Ask one domain after another, as the others that pull leave them."""
        while current.waiting and current.lost is None:
            uuid = current.waiting.popleft()
            try:
                current.learned[uuid] = await self._ask(uuid, current)
            except NoSuchDomain:
                continue
            except Unavailable as error:
                current.lost = error
            if not current.waiting or time.monotonic() - current.told_at >= TELL_SECONDS:
                self._tell(current)

    async def _ask(self, uuid: str, current: _Round) -> Sample:
        circuit, rare = self._circuits[uuid], self._rare[uuid]
        is_held = current.surveyed[uuid].is_in_the_making or (current.is_holding and circuit.is_answering)
        may_enter = circuit.may_ask(time.monotonic()) and not is_held
        was_answering, why = circuit.is_answering, "its monitor is occupied"
        try:
            budget = self._settings.domain_seconds
            is_rare = rare.is_due(time.monotonic())
            answer = await self._hypervisor.ask(uuid, deadline_seconds=budget, may_enter=may_enter, is_rare=is_rare)
        except (NoSuchDomain, Unavailable):
            raise
        except HypervisorError as error:
            circuit.failed(time.monotonic())
            why = str(error)
            answer = await self._control_of(uuid)
        else:
            if answer.stats is not None:
                circuit.answered()
            elif not is_held:
                circuit.left_alone()
        self._log_turn(uuid, why, was=was_answering, now=circuit.is_answering)
        return self._sample(answer, current.surveyed[uuid], rare, is_held=is_held)

    async def _control_of(self, uuid: str) -> Answer:
        """How the way to a monitor that did not answer is: libvirt tells that without going there."""
        try:
            return await self._hypervisor.ask(uuid, deadline_seconds=self._settings.domain_seconds, may_enter=False)
        except HypervisorError:
            return Answer(stats=None, control=None)

    def _tell(self, current: _Round) -> None:
        learned, current.learned = current.learned, {}
        current.told_at = time.monotonic()
        if learned:
            self._store.tell(changes.DomainsSampled(samples=learned, at=time.time()))

    def _sample(self, answer: Answer, survey: Survey, rare: Rare, *, is_held: bool) -> Sample:
        if answer.stats is None:
            rare.forget()
            has_answered = None if is_held else False
            return Sample(stats=_surveyed(DomainStats(), survey), has_answered=has_answered, control=answer.control)
        known = replace(answer.stats, rare=rare.known(answer.stats.rare, time.monotonic()))
        return Sample(stats=_surveyed(known, survey), has_answered=True, control=answer.control)

    def _circuit(self) -> Circuit:
        return Circuit(interval_seconds=self._settings.interval_seconds)

    def _new_rare(self) -> Rare:
        seconds = self._settings.rare_interval_seconds
        return Rare(interval_seconds=seconds, slack_seconds=self._settings.interval_seconds / 2)

    def _log_turn(self, uuid: str, why: str, *, was: bool, now: bool) -> None:
        if was == now:
            return
        domain = self._store.world.domains.get(uuid)
        name = uuid if domain is None else domain.name
        if now:
            _log.info("domain %r answers again", name)
        else:
            _log.warning("domain %r does not answer: %s; it has no numbers until it does", name, why)


def _surveyed(stats: DomainStats, survey: Survey) -> DomainStats:
    """With what the survey says; interfaces that the domain itself told of go before."""
    interfaces = stats.interfaces or survey.interfaces
    return replace(stats, interfaces=interfaces, bandwidth=survey.bandwidth, perf=survey.perf)
