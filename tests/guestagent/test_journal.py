"""The journal over a real file: killed, locked, full, damaged, and with a clock that starts anew with each boot."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from guestagent.event import BadEvent
from guestagent.journal import RETRY_SECONDS, Journal
from guestagent.ring import Limits
from guestagent.shelf import _LAYOUTS, DAMAGED, LOCKED, MISSING, UNUSABLE, Shelf
from protocol.messages import Detail
from tests.guestagent.host import soon
from tests.support.disks import no_file_longer_than

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]
KILLS = 12

APPEND_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from guestagent.journal import Journal

async def main():
    journal = Journal(Path(sys.argv[1]))
    await journal.open()
    while True:
        receipt = await journal.append("tick", "info", f"event {journal.last + 1}")
        assert receipt.is_durable
        print(receipt.number, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@contextlib.asynccontextmanager
async def opened(path: Path | None, **more: Any) -> AsyncIterator[Journal]:  # noqa: ANN401 - as Journal takes it
    journal = Journal(path, **more)
    await soon(journal.open())
    try:
        yield journal
    finally:
        await journal.close(60)


def written(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def welcomed(journal: Journal, taken: int | None = None) -> list[str]:
    """The texts that a host is told that has this much."""
    ready = asyncio.Event()
    journal.on_ready = ready.set
    journal.welcomed(taken)
    await soon(ready.wait())
    return [event.text for event in journal.unacknowledged(limit=2000, max_bytes=1 << 30)]


async def test_an_event_outlives_the_agent_with_all_that_was_said(path: Path) -> None:
    async with opened(path) as journal:
        receipt = await soon(journal.append("backup.failed", "critical", "disk gone", [("device", "/dev/vdb")]))
        assert (receipt.number, receipt.is_durable) == (1, True)
        name = journal.id
    async with opened(path) as journal:
        assert journal.id == name
        assert await welcomed(journal) == ["disk gone"]
        (event,) = journal.unacknowledged(limit=1, max_bytes=1)
    assert (event.kind, event.severity, event.details) == (
        "backup.failed",
        "critical",
        (Detail(name="device", value="/dev/vdb"),),
    )


async def test_what_the_host_has_is_gone_for_good(path: Path) -> None:
    async with opened(path) as journal:
        for text in ("one", "two"):
            await soon(journal.append("a", "info", text))
        await welcomed(journal)
        journal.acknowledge(1)
    async with opened(path) as journal:
        assert journal.acknowledged == 1
        assert await welcomed(journal) == ["two"]


async def test_whoever_sends_is_woken_by_a_new_event(path: Path) -> None:
    async with opened(path) as journal:
        await welcomed(journal)
        woken = asyncio.Event()
        journal.on_ready = woken.set
        await soon(journal.append("a", "info", "now"))
        await soon(woken.wait())
        assert [event.text for event in journal.unacknowledged(limit=9, max_bytes=9)] == ["now"]


async def test_an_events_age_is_told_by_the_clock_of_its_boot_alone(path: Path) -> None:
    async with opened(path, boot_id="first", boot_clock=lambda: 100.0) as journal:
        await soon(journal.append("a", "info", "x"))
    for boot_id, now, age in (
        ("first", 107.5, 7.5),
        ("second", 107.5, None),
        ("first", 99.0, None),
        (None, 107.5, None),
    ):
        async with opened(path, boot_id=boot_id, boot_clock=lambda now=now: now) as journal:
            await welcomed(journal)
            (event,) = journal.unacknowledged(limit=1, max_bytes=1)
            assert event.age_seconds == age


async def test_smaller_limits_cut_what_an_earlier_agent_kept(path: Path) -> None:
    async with opened(path) as journal:
        for text in "abc":
            await soon(journal.append("a", "info", text))
    async with opened(path, limits=Limits(events=1)) as journal:
        assert await welcomed(journal) == ["c"]
        assert journal.lost == {"overflow": 2}


async def test_what_cannot_be_an_event_takes_no_number(path: Path) -> None:
    async with opened(path) as journal:
        with pytest.raises(BadEvent):
            await journal.append("NO", "info", "")
        assert journal.last == 0


async def test_every_event_that_was_confirmed_survives_kills(path: Path) -> None:
    confirmed = 0
    for round_ in range(KILLS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", APPEND_FOR_EVER, path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(1 + round_ * 7 % 10):
            confirmed = int(await soon(process.stdout.readline()))
        process.kill()
        rest = (await soon(process.communicate()))[0].split(b"\n")[:-1]
        confirmed = int(rest[-1]) if rest else confirmed
        shelf = Shelf(path)
        ring = shelf.load()
        shelf.close()
        assert ring is not None
        numbers = [entry.event.number for entry in ring.entries]
        assert numbers == list(range(numbers[0], ring.last + 1))
        assert all(entry.event.text == f"event {entry.event.number}" for entry in ring.entries)
        assert ring.last in (confirmed, confirmed + 1)  # the kill may have come between the disk and the word
        confirmed = ring.last


async def test_without_a_file_events_are_in_memory_and_said_to_be() -> None:
    async with opened(None) as journal:
        receipt = await soon(journal.append("a", "info", "x"))
        assert not receipt.is_durable
        assert await welcomed(journal) == ["x"]
        assert journal.failures == {}


async def test_a_full_disk_costs_durability_and_is_tried_again(path: Path) -> None:
    now = 0.0
    async with opened(path, clock=lambda: now) as journal:
        await soon(journal.append("a", "info", "kept"))
        with no_file_longer_than(path.with_name(path.name + "-wal").stat().st_size):
            assert not (await soon(journal.append("a", "info", "remembered"))).is_durable
        assert sum(journal.failures.values()) == 1
        assert not (await soon(journal.append("a", "info", "too soon"))).is_durable
        now = RETRY_SECONDS
        assert (await soon(journal.append("a", "info", "again"))).is_durable
    async with opened(path) as journal:
        assert await welcomed(journal) == ["kept", "remembered", "too soon", "again"]


async def test_what_is_in_memory_alone_gets_a_last_chance_when_the_agent_stops(path: Path) -> None:
    async with opened(path) as journal:
        await soon(journal.append("a", "info", "kept"))
        with no_file_longer_than(path.with_name(path.name + "-wal").stat().st_size):
            await soon(journal.append("a", "info", "remembered"))
    async with opened(path) as journal:
        assert await welcomed(journal) == ["kept", "remembered"]


@pytest.mark.parametrize("damage", [b"this is no database" * 400, None])
async def test_a_damaged_file_is_set_aside(path: Path, damage: bytes | None) -> None:
    if damage is None:  # a database, with nonsense in a place that only we know the meaning of
        async with opened(path) as journal:
            await soon(journal.append("a", "info", "x"))
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE event SET details = 'x'")
            database.commit()
    else:
        written(path, damage)
    async with opened(path) as journal:
        assert (await soon(journal.append("a", "info", "new"))).is_durable
        assert journal.failures == {DAMAGED: 1}
    assert path.with_name("journal.sqlite.damaged").exists()
    async with opened(path) as journal:
        assert await welcomed(journal) == ["new"]


async def test_a_second_agent_does_not_give_the_same_numbers(path: Path) -> None:
    now = 0.0
    async with opened(path) as first:
        await soon(first.append("a", "info", "first"))
        second = Journal(path, clock=lambda: now)
        await soon(second.open())
        assert not (await soon(second.append("a", "info", "second"))).is_durable
        assert second.failures == {LOCKED: 1}
        assert second.id != first.id
    now = RETRY_SECONDS
    assert (await soon(second.append("a", "info", "third"))).is_durable
    await second.close(60)
    async with opened(path) as journal:
        assert sorted(await welcomed(journal)) == ["first", "second", "third"]


async def test_a_folder_that_cannot_be_made_costs_durability(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    async with opened(tmp_path / "file" / "journal") as journal:
        assert not (await soon(journal.append("a", "info", "x"))).is_durable
        assert journal.failures == {UNUSABLE: 1}


async def test_a_newer_agents_file_is_left_alone(path: Path) -> None:
    async with opened(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=99")
    async with opened(path) as journal:
        assert not (await soon(journal.append("a", "info", "x"))).is_durable
        assert journal.failures == {UNUSABLE: 1}
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (99,)


async def test_a_file_of_the_first_layout_is_taken_up(path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        for statement in _LAYOUTS[0]:
            database.execute(statement)
        database.execute("INSERT INTO state VALUES (7, 1, 0, 0, '{}')")
        database.execute("INSERT INTO event VALUES (1, 'a', 'info', 'old', '[]', NULL, 0)")
        database.execute("PRAGMA user_version=1")
        database.commit()
    async with opened(path) as journal:
        await soon(journal.append("a", "info", "new"))
        await welcomed(journal)
        old, new = journal.unacknowledged(limit=9, max_bytes=1 << 20)
        assert (journal.id, old.text, old.token, new.token is None) == (7, "old", None, False)
    async with opened(path) as journal:
        await welcomed(journal)
        assert [event.token for event in journal.unacknowledged(limit=9, max_bytes=1 << 20)] == [None, new.token]


async def test_a_guest_without_sqlite_remembers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    async with opened(path) as journal:
        assert not (await soon(journal.append("a", "info", "x"))).is_durable
        assert journal.failures == {MISSING: 1}


async def test_the_file_is_for_the_agent_alone(path: Path) -> None:
    async with opened(path):
        assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)
