"""Runs the operator's programs (`vhostmd.metric` with `exec`) every period, and keeps what they print for documents.

A domain's name reaches a program as the value of an environment variable, and in no other way: there is no shell.

Each program has its own task and runs for one domain after the other, `AT_ONCE` programs at a time. A run that takes a
while gives its turn to others and goes on aside; one that had to be killed for it begins aside the next time. So a
program that hangs, always or for some domains, holds up nobody, and how many go on aside is bounded for each.
"""

import asyncio
import logging
import os
import pwd
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from hostd import telemetry
from hostd.config import ConfigError
from hostd.model.domain import Domain
from hostd.settings import VhostmdMetric, VhostmdSettings
from hostd.store import Store
from hostd.vhostmd import execution
from hostd.vhostmd.aside import begun
from hostd.vhostmd.causes import Causes
from hostd.vhostmd.execution import Identity, Outcome, Program, Stop
from hostd.vhostmd.output import metrics_of
from hostd.vhostmd.printed import Printed
from protocol.vhostmd import Metric

_log = logging.getLogger(__name__)

AT_ONCE = 4
TURN_SECONDS = 0.5  # after this a run goes on aside
MOST_ASIDE = 4  # runs of one program's
GRACE_SECONDS = 5.0  # between being killed and having ended; beyond it, it is in the kernel's hands
STOP_SECONDS = 2.0
RESULTS = ("succeeded", "empty", "failed", "not_started", "timed_out", "too_long", "stuck", "skipped", "refused")
_EMPTY, _STUCK = "empty", "stuck"
_TOOK_TOO_LONG = frozenset({execution.TIMED_OUT, _STUCK})
_ERRORS_SHOWN = 300


@dataclass(frozen=True, slots=True)
class _Row:
    """One program; `at` is its place in `vhostmd.metric`."""

    at: int
    metric: VhostmdMetric
    identity: Identity | None


def check(settings: VhostmdSettings) -> None:
    """Whether the programs can be run by whom they should be. It may ask a directory service, and so take a while.

    Raises:
        ConfigError: one cannot; the message says which.

    """
    _rows(settings)


async def keep(store: Store, settings: VhostmdSettings, printed: Printed) -> NoReturn:
    """Run the programs for one connection's host and domains, for ever; cancelled, it ends them.

    Raises:
        ConfigError: as `check`, which should have been asked.

    """
    rows = _rows(settings)
    stop = Stop()
    try:
        async with asyncio.TaskGroup() as group:
            runs = _Runs(store, settings, printed, stop, group, asyncio.Semaphore(AT_ONCE), Causes())
            for row in rows:
                for result in RESULTS:
                    telemetry.VHOSTMD_PROGRAM_RUNS.labels(row.metric.name, result)
                telemetry.VHOSTMD_PROGRAM_SECONDS.labels(row.metric.name)
                lane = _Lane(row, runs)
                group.create_task(lane.keep(settings.period_seconds), name=f"vhostmd program {row.metric.name}")
            await asyncio.Event().wait()
    finally:
        stop.set()
    raise AssertionError("it ends only by being cancelled")


def _rows(settings: VhostmdSettings) -> Sequence[_Row]:
    return [
        _Row(at, metric, _identity(f"vhostmd.metric[{at}]", metric))
        for at, metric in enumerate(settings.metric)
        if metric.exec
    ]


def _identity(where: str, metric: VhostmdMetric) -> Identity | None:
    if any("\0" in argument for argument in metric.exec):
        raise ConfigError(f"{where}.exec: no program can be given a NUL")
    if not metric.user:
        return None
    try:
        user = pwd.getpwnam(metric.user)
    except KeyError:
        raise ConfigError(f"{where}.user: there is no user {metric.user!r} on this host") from None
    if user.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise ConfigError(
            f"{where}.user: only root may run a program as {metric.user!r}; run hostd as root, or leave `user` out"
        )
    return Identity(user.pw_name, user.pw_uid, user.pw_gid, tuple(os.getgrouplist(user.pw_name, user.pw_gid)))


@dataclass(frozen=True, slots=True)
class _Runs:
    """What the programs of one connection share."""

    store: Store
    settings: VhostmdSettings
    printed: Printed
    stop: Stop
    group: asyncio.TaskGroup
    turns: asyncio.Semaphore
    causes: Causes


class _Lane:
    """One program's runs; `None` stands for the host among the domains' UUIDs."""

    def __init__(self, row: _Row, runs: _Runs) -> None:
        self._row = row
        self._runs = runs
        self._running: set[str | None] = set()
        self._suspects: set[str | None] = set()  # the last run had to be killed for the time it took

    async def keep(self, period_seconds: float) -> NoReturn:
        """Run it for ever."""
        while True:
            due = time.monotonic() + period_seconds
            active = self._active()
            self._runs.printed.keep(self._runs.store.world.connection.name, active)
            targets: Collection[str | None] = active if self._row.metric.context == "vm" else (None,)
            self._suspects.intersection_update(targets)
            for uuid in targets:
                await self._attend(uuid)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _active(self) -> Mapping[str, int | None]:
        """The active domains and their ids: one that was started anew is another."""
        return {uuid: domain.facts.id for uuid, domain in self._runs.store.world.domains.items() if domain.is_active}

    async def _attend(self, uuid: str | None) -> None:
        if uuid in self._running:
            self._count("skipped")
        elif uuid not in self._suspects:
            async with self._runs.turns:
                may_go_aside = len(self._running) < MOST_ASIDE
                await asyncio.wait([self._begin(uuid)], timeout=TURN_SECONDS if may_go_aside else None)
        elif len(self._running) < MOST_ASIDE:
            self._begin(uuid)
        else:
            self._count("refused")

    def _begin(self, uuid: str | None) -> "asyncio.Task[None]":
        self._running.add(uuid)
        return self._runs.group.create_task(self._run(uuid), name=f"vhostmd program {self._row.metric.name}")

    async def _run(self, uuid: str | None) -> None:
        try:
            domain = None if uuid is None else self._runs.store.world.domains.get(uuid)
            if uuid is None or (domain is not None and domain.is_active):
                await self._perform(domain)
        finally:
            self._running.discard(uuid)

    async def _perform(self, domain: Domain | None) -> None:
        program, begun_at = self._program(domain), time.monotonic()
        job = begun(partial(self._printed_by, program), name="vhostmd-program")
        try:
            done, _ = await asyncio.wait([job], timeout=program.timeout_seconds + GRACE_SECONDS)
            if done:
                outcome, metrics = job.result()
            else:
                outcome, metrics = Outcome(_STUCK, "it was killed and did not end"), ()
            telemetry.VHOSTMD_PROGRAM_SECONDS.labels(self._row.metric.name).observe(time.monotonic() - begun_at)
            self._take(domain, outcome, metrics)
            await asyncio.wait([job])
        except asyncio.CancelledError:
            self._runs.stop.set()
            await asyncio.wait([job], timeout=STOP_SECONDS)
            raise

    def _printed_by(self, program: Program) -> tuple[Outcome, tuple[Metric, ...]]:
        """In the thread."""
        outcome = execution.run(program, self._runs.stop)
        if outcome.result != execution.SUCCEEDED:
            return outcome, ()
        newline = self._runs.settings.newline_in_values
        metrics = metrics_of(self._row.metric, outcome.output, newline_in_values=newline)
        return (outcome if metrics else Outcome(_EMPTY, "it printed no value", errors=outcome.errors)), metrics

    def _program(self, domain: Domain | None) -> Program:
        environment = {
            "PATH": self._runs.settings.program_path,
            "LANG": "C.UTF-8",
            "VIRTWIRE_URI": self._runs.store.world.connection.uri,
        }
        if domain is not None:
            environment |= {
                "VIRTWIRE_DOMAIN_NAME": domain.name,
                "VIRTWIRE_DOMAIN_UUID": domain.uuid,
                "VIRTWIRE_DOMAIN_ID": str(domain.facts.id),
            }
        metric = self._row.metric
        return Program(
            arguments=metric.exec,
            environment=environment,
            timeout_seconds=metric.timeout_seconds,
            identity=self._row.identity,
        )

    def _take(self, domain: Domain | None, outcome: Outcome, metrics: tuple[Metric, ...]) -> None:
        uuid = domain.uuid if domain else None
        (self._suspects.add if outcome.result in _TOOK_TOO_LONG else self._suspects.discard)(uuid)
        if outcome.result == execution.STOPPED:
            return
        self._count(outcome.result)
        self._tell(domain, outcome)
        if domain is None or self._active().get(domain.uuid) == domain.facts.id:
            self._runs.printed.put(self._runs.store.world.connection.name, uuid, self._row.at, metrics)

    def _count(self, result: str) -> None:
        telemetry.VHOSTMD_PROGRAM_RUNS.labels(self._row.metric.name, result).inc()

    def _tell(self, domain: Domain | None, outcome: Outcome) -> None:
        where = f"vhostmd.metric[{self._row.at}]"
        if outcome.result == execution.SUCCEEDED or not self._runs.causes.is_news(f"{where} {outcome.why}"):
            return
        whose = f" for domain {domain.name!r}" if domain else ""
        said = outcome.errors.decode(errors="replace").strip()[:_ERRORS_SHOWN]
        _log.warning(
            "%s, %r%s: %s; guests are not told it%s (said once)",
            where,
            self._row.metric.name,
            whose,
            outcome.why,
            f"; it said {said!r}" if said else "",
        )
