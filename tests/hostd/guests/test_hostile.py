"""Every attack, on the real host's side and with a real history, beside a guest that does no harm and is served."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from hostd import telemetry
from hostd.exposition import Exposition
from hostd.guests import budget, patience
from hostd.guests.budget import Fault
from hostd.guests.labels import LeftOut
from hostd.guests.roster import keep
from hostd.history.recorder import History, Limits
from hostd.metrics.guest import FAULT_KINDS, LEFT_OUT_KINDS
from hostd.model import changes
from hostd.model.notice import KINDS
from hostd.settings import GuestSettings
from hostd.store import Store
from hostd.systemd import Supervisor
from protocol.errors import DropReason
from protocol.messages import ANSWERS, SEVERITIES, Metrics, Report
from tests.hostd.guests.conftest import post
from tests.hostile.attacks import ATTACKS, Attack, Mark
from tests.hostile.lines import listening_at
from tests.hostile.waging import Tally, wage
from tests.support.builders import OTHER_UUID, UUID, channel, facts, world
from tests.support.guest import Qemu, qemu_at
from tests.support.pages import samples_of
from tests.support.running import running

SETTINGS = GuestSettings(report_interval_seconds=0.1)
SHORT_SECONDS = 4.0  # for what a host waits for in vain; the neighbour has to be quicker

MOVED_ELSEWHERE: Mapping[str, str] = {
    "filesystems/guest": "test_labels:test_a_guest_has_no_more_series_than_it_may_and_the_first_win",
    "filesystems/all": "test_labels:test_all_guests_together_have_no_more_and_who_came_first_keeps_its_place",
    "events/unasked": "test_hostile:test_events_that_nobody_asked_for_are_dropped",
    "answers/again": "test_hostile:test_a_settled_notice_stays_settled",
}
"""By limit and reason, the test of what one guest alone cannot bring about, or not on these settings."""

OUT_OF_REACH = {
    "input/state"
}  # a guest's frames before its session are of no session (tests/hostd/guests/test_session.py)

LIMITS: Mapping[str, str] = {
    "input": "hostd_guest_input_dropped_total",
    "quarantine": "hostd_guest_quarantines_total",
    "filesystems": "hostd_guest_filesystems_dropped_total",
    "events": "hostd_guest_events_dropped_total",
    "history": "hostd_history_guest_events_total",
    "answers": "hostd_guest_answers_dropped_total",
}

CLOSED: Mapping[str, frozenset[str]] = {
    "reason": frozenset({*(r.value for r in DropReason), *LEFT_OUT_KINDS, "early", "unasked", "unknown", "again"}),
    "fault": frozenset(FAULT_KINDS),
    "kind": frozenset(kind for kind, _ in KINDS.values()),
    "answer": frozenset(ANSWERS),
    "severity": frozenset(SEVERITIES),
}
"""What a guest's line may be labelled with, whatever comes over it."""


class Neighbour:
    """A guest that reports and acknowledges, and greets again if it has to."""

    def __init__(self) -> None:
        self.reports = 0

    async def live(self, qemu: Qemu) -> None:
        while True:
            line = await qemu.line()
            with suppress(AssertionError, ConnectionError):  # the host hung up
                await line.greet()
                while True:
                    await line.hear_and_acknowledge(Metrics)
                    await line.say(Report(cpus=1 + self.reports))
                    self.reports += 1


class Host:
    """The host's side, and what its page says."""

    def __init__(self, store: Store, neighbour: Neighbour) -> None:
        self.store = store
        self.neighbour = neighbour
        self._exposition = Exposition(telemetry.REGISTRY, max_series_per_domain=5_000)

    def page(self, *, openmetrics: bool = False) -> str:
        self._exposition.update(self.store.world)
        return self._exposition.page(now=1.0, openmetrics=openmetrics, gzip=False).decode()

    def samples(self) -> list[Sample]:
        return [Sample(name, dict(labels), value) for (name, labels), value in samples_of(self.page()).items()]

    def value(self, mark: Mark) -> float:
        """Of the attacker's, or of all guests'; looked for in the text, for it is asked often."""
        wanted = [f'{mark.label}="{mark.value}"'] if mark.label else []
        lines = [line for line in self.page().splitlines() if line.startswith((f"{mark.metric}{{", f"{mark.metric} "))]
        its = [line for line in lines if 'domain="beta"' not in line and all(each in line for each in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in its)

    async def until_moved(self, mark: Mark, before: float) -> None:
        """Wait for the mark to move, by the neighbour's reports: it is served all along."""
        while self.value(mark) <= before:
            await self.neighbour_is_served(times=1)

    async def neighbour_is_served(self, times: int = 3) -> None:
        seen = self.store.world.domains[OTHER_UUID].guest.reports
        await self.store.until(lambda w: w.domains[OTHER_UUID].guest.reports >= seen + times)


@asynccontextmanager
async def hosting(folder: Path, *, has_history: bool = True) -> AsyncIterator[Host]:
    store, neighbour = Store(world()), Neighbour()
    history = History(None, Limits(max_age_seconds=3600.0, max_bytes=1 << 24))
    attending = keep(post(store, SETTINGS, history if has_history else None), Supervisor())
    async with qemu_at(folder / "beta.sock") as qemu, running(history.run(), attending, neighbour.live(qemu)):
        store.tell(changes.DomainDescribed(facts=facts(OTHER_UUID, "beta", channel=channel(str(qemu.path)))))
        yield Host(store, neighbour)


@asynccontextmanager
async def attacked(host: Host, attack: Attack, path: Path) -> AsyncIterator[None]:
    """The attack runs in a thread beside the body."""
    over = threading.Event()
    with listening_at(path) as line:
        waging = asyncio.get_running_loop().run_in_executor(
            None, lambda: wage(attack, line, over.is_set, tally=Tally())
        )
        host.store.tell(changes.DomainDescribed(facts=facts(UUID, "alpha", channel=channel(str(path)))))
        try:
            yield
        finally:
            over.set()
            await waging


@pytest.fixture
def _soon_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rests take their time on a real clock; what is waited for in vain need not."""
    monkeypatch.setattr(budget, "RESTS_RESERVE_SECONDS", 1.0)
    monkeypatch.setattr(patience, "MESSAGE_SECONDS", SHORT_SECONDS)
    monkeypatch.setattr(patience, "LEAST_SILENT_SECONDS", SHORT_SECONDS)
    monkeypatch.setattr(patience, "MOST_SILENT_SECONDS", SHORT_SECONDS)


@pytest.mark.usefixtures("_soon_impatient")
@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_moves_its_counters_and_the_neighbour_is_served_all_along(tmp_path: Path, name: str) -> None:
    attack = ATTACKS[name]
    async with hosting(tmp_path) as host:
        await host.neighbour_is_served()
        before = {mark: host.value(mark) for mark in attack.moves}
        async with attacked(host, attack, tmp_path / "alpha.sock"):
            for mark in attack.moves:
                await host.until_moved(mark, before[mark])
            await host.neighbour_is_served()
        samples_of(host.page(openmetrics=True), openmetrics=True)
        neighbour = host.store.world.domains[OTHER_UUID].guest
        assert (neighbour.quarantines, neighbour.throttled_seconds, neighbour.drops) == ({}, 0.0, {})
        assert open_labels(host.samples()) == set()


def open_labels(samples: list[Sample]) -> set[tuple[str, str, str]]:
    """What hostd's own counters of guests' lines are labelled with, and should not be."""
    return {
        (each.name, label, value)
        for each in samples
        if each.name.startswith("hostd_guest_")
        for label, value in each.labels.items()
        if label in CLOSED and value not in CLOSED[label]
    }


def test_every_reason_fault_and_limit_has_an_attack_or_a_test_that_moves_it() -> None:
    declared = {
        "input": [reason.value for reason in DropReason],
        "quarantine": [fault.value for fault in Fault],
        "filesystems": [why.value for why in LeftOut],
        "events": ["early", "unasked"],
        "history": ["duplicate", "skipped", "held_back"],
        "answers": ["unknown", "again"],
    }
    names = {metric: limit for limit, metric in LIMITS.items()}
    marks = [mark for attack in ATTACKS.values() for mark in attack.moves]
    moved = {f"{names[mark.metric]}/{mark.value}" for mark in marks if mark.metric in names}
    assert {f"{limit}/{reason}" for limit, reasons in declared.items() for reason in reasons} == (
        moved | set(MOVED_ELSEWHERE) | OUT_OF_REACH
    )
    assert {"hostd_guest_throttled_seconds_total", "hostd_guest_reconnects_total"} <= {mark.metric for mark in marks}


@pytest.mark.parametrize("place", MOVED_ELSEWHERE.values())
def test_what_is_said_to_be_tested_elsewhere_is(place: str) -> None:
    module, _, name = place.partition(":")
    assert callable(getattr(import_module(f"tests.hostd.guests.{module}"), name))


async def test_events_that_nobody_asked_for_are_dropped(tmp_path: Path) -> None:
    mark = Mark("hostd_guest_events_dropped_total", "reason", "unasked")
    async with hosting(tmp_path, has_history=False) as host:
        before = host.value(mark)
        async with attacked(host, ATTACKS["events"], tmp_path / "alpha.sock"):
            await host.until_moved(mark, before)


async def test_a_settled_notice_stays_settled(tmp_path: Path) -> None:
    async with hosting(tmp_path) as host:
        again = Mark("hostd_guest_answers_dropped_total", "reason", "again")
        answered = Mark("hostd_guest_notices_answered_total", "kind", "moved")
        before, counted = host.value(again), host.value(answered)
        async with attacked(host, ATTACKS["answers"], tmp_path / "alpha.sock"):
            host.store.tell(changes.DomainEvent(uuid=UUID, name="alpha", event="started", detail="migrated", at=4e9))
            await host.until_moved(again, before + 100)
        (notice,) = host.store.world.domains[UUID].notices
        assert notice.answer in {"done", "failed"}
        assert host.value(answered) <= counted + 2


async def test_a_restart_wipes_out_what_a_guest_has_done_no_more_than_it_leaves_a_quarantine_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with hosting(tmp_path) as host:
        for path in (tmp_path / "alpha.sock", tmp_path / "alpha-again.sock"):
            async with attacked(host, ATTACKS["junk"], path):
                await host.store.until(lambda w: w.domains[UUID].guest.is_quarantined)
            host.store.tell(changes.DomainDescribed(facts=facts(UUID, "alpha")))
            await host.store.until(lambda w: not w.domains[UUID].guest.is_quarantined)
    assert "in quarantine for 10 s" in caplog.text
    assert "in quarantine for 20 s" in caplog.text


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.hostile", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[3],
    )


def test_the_attacks_are_listed() -> None:
    done = command("list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(ATTACKS)


def test_an_attack_needs_a_line() -> None:
    done = command("flood")
    assert (done.returncode, "--socket" in done.stderr) == (64, True)


def test_the_command_says_what_it_does_and_what_came_of_it(tmp_path: Path) -> None:
    done = command("flood", "--socket", str(tmp_path / "alpha.sock"), "--seconds", "0.2", "--rate", "1000")
    first, last = done.stdout.splitlines()
    assert "hostd_guest_throttled_seconds_total" in first
    assert last == ("flood: in the end: 0.00 MB in 0 pieces sent, 0.0 kB heard, 0 connections, hung up on 0 times")
    assert list(tmp_path.iterdir()) == []
