"""The history over real files: what is acknowledged is on the disk, once, whatever the disk or hostd's end does."""

import asyncio
import contextlib
import logging
import sqlite3
import stat
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hostd.history import database
from hostd.history.recorder import History
from hostd.history.schema import MIGRATIONS
from hostd.history.taking import MAX_JOURNALS, Mark
from tests.hostd.history.histories import at_once, event, limits, recording, rows, value
from tests.support.disks import no_file_longer_than
from tests.support.running import running, until

ROOT = Path(__file__).resolve().parents[3]
KILLS = 8

TAKE_FOR_EVER = """
import asyncio, sys, time
from pathlib import Path
from tests.hostd.history.histories import event, recording

async def main():
    async with recording(Path(sys.argv[1])) as history:
        mark = await history.highest("u", 1)
        number = mark.number if mark else 0
        while True:
            taken = await history.take("u", 1, [event(number + 1, "a"), event(number + 2, "b")], time.time())
            number = taken.highest.number
            print(number, flush=True)
            if number % 1000 == 0:
                break

asyncio.run(main())
"""


async def test_what_is_taken_is_on_the_disk_with_all_that_was_said(path: Path) -> None:
    async with recording(path) as history:
        taken = await history.take("u", 7, [event(1, "disk full", device="vdb")], 1_000_000_000.0, name="web")
        assert (taken.highest, taken.new) == (Mark(1), (event(1, "disk full", device="vdb"),))
        columns = "at, source, domain, domain_name, kind, severity, text, data, journal, number"
        assert rows(path, f"SELECT {columns} FROM event") == [  # noqa: S608 - our own words
            (1e9, "guest", "u", "web", "backup.failed", "warning", "disk full", '{"device":"vdb"}', 7, 1)
        ]


async def test_what_comes_again_is_told_apart_also_after_a_restart(path: Path) -> None:
    now = time.time()
    async with recording(path) as history:
        await history.take("u", 7, [event(1), event(2)], now)
        assert (await history.take("u", 7, [event(2), event(3)], now)).duplicates == 1
    async with recording(path) as history:
        assert await history.highest("u", 7) == Mark(3)
        assert await history.highest("u", 8) is None
        assert (await history.take("u", 7, [event(3)], now)).new == ()
    assert [number for number, _ in rows(path)] == [1, 2, 3]


async def test_an_event_of_the_same_number_is_another_one_if_its_token_is(path: Path) -> None:
    now = time.time()
    first, other = (replace(event(2, text), token=token) for text, token in (("first", 7), ("other", 8)))
    async with recording(path) as history:
        await history.take("u", 7, [first], now)
    async with recording(path) as history:
        assert await history.highest("u", 7) == Mark(2, 7)
        taken = await history.take("u", 7, [other], now)
        assert (taken.reverted, taken.highest) == (1, Mark(2, 7))
        for journal in range(100, 100 + MAX_JOURNALS):  # so that it is forgotten
            await history.take("u", journal, [event(1)], now)
        assert await history.highest("u", 7) is None
        assert (await history.take("u", 7, [other], now)).new == (other,)
    assert rows(path, "SELECT text, token FROM event WHERE journal = 7") == [("first", 7), ("other", 8)]


async def test_a_file_of_the_first_layout_is_taken_up(path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(f"{MIGRATIONS[0]} PRAGMA user_version=1;")
        old.execute("INSERT INTO journal VALUES ('u', 7, 3, ?)", (time.time(),))
        old.commit()
    async with recording(path) as history:
        assert await history.highest("u", 7) == Mark(3)
        assert (await history.take("u", 7, [event(3), event(4)], time.time())).duplicates == 1
    assert rows(path, "SELECT number, token FROM event") == [(4, None)]


async def test_journals_and_domains_are_told_apart(path: Path) -> None:
    async with recording(path) as history:
        for uuid, journal in (("u", 7), ("u", 8), ("v", 7)):
            assert len((await history.take(uuid, journal, [event(1)], time.time())).new) == 1


async def test_a_thousand_guests_are_a_few_transactions(path: Path) -> None:
    async with recording(path) as history, asyncio.TaskGroup() as group:
        before = value("hostd_history_commit_duration_seconds_count")
        takes = [group.create_task(history.take(f"u{n}", n + 1, [event(1)], time.time())) for n in range(1000)]
        await asyncio.wait(takes)
        assert value("hostd_history_commit_duration_seconds_count") - before <= 3
    assert len(rows(path)) == 1000


async def test_a_session_that_ends_meanwhile_costs_nobody_anything(path: Path) -> None:
    async with recording(path) as history, asyncio.TaskGroup() as group:
        gone = group.create_task(history.take("u", 1, [event(1)], time.time()))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await history.take("v", 1, [event(1)], time.time())).highest == Mark(1)
        assert (await history.take("u", 1, [event(1)], time.time())).highest == Mark(1)


async def test_a_guest_that_sends_too_much_is_held_back_and_nothing_is_lost(path: Path) -> None:
    now = 0.0
    async with recording(path, clock=lambda: now, events_at_once=2, events_per_second=1) as history:
        sent = [event(number) for number in range(1, 5)]
        taken = await history.take("u", 1, sent, time.time())
        assert (taken.highest, taken.held_back) == (Mark(2), 2)
        assert (await history.take("u", 1, sent, time.time())).held_back == 2
        assert (await history.take("v", 1, sent, time.time())).highest == Mark(2)
        now = 2.0
        assert (await history.take("u", 1, sent, time.time())).highest == Mark(4)
    assert value("hostd_history_guest_events_total", result="held_back") >= 6


async def test_everything_that_was_acknowledged_survives_kills(path: Path) -> None:
    for round_ in range(KILLS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", TAKE_FOR_EVER, path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(60):
            for _ in range(1 + round_ * 5 % 9):
                acknowledged = int(await process.stdout.readline())
            process.kill()
            rest = (await process.communicate())[0].split(b"\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        numbers = [number for number, _ in rows(path)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) in (acknowledged, acknowledged + 2)


async def test_without_a_path_the_history_is_in_memory() -> None:
    async with recording(None) as history:
        assert (await history.take("u", 1, [event(1)], time.time())).highest == Mark(1)
        assert await history.highest("u", 1) == Mark(1)
        assert not history.is_durable


async def test_memory_stands_in_for_a_full_disk_and_gives_back_what_it_took(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    async with recording(path, clock=lambda: now) as history:
        await history.take("u", 1, [event(1, "kept")], time.time())
        with no_file_longer_than(length(Path(f"{path}-wal"))), caplog.at_level(logging.WARNING):
            taken = await history.take("u", 1, [event(1, "kept"), event(2, "remembered")], time.time())
            assert (taken.highest, taken.duplicates, history.is_durable) == (Mark(2), 1, False)
            assert value("hostd_history_durable") == 0
        assert "kept in memory alone" in caplog.text
        now = 100.0
        await history.take("u", 1, [event(3, "again")], time.time())
        assert history.is_durable
        assert value("hostd_history_durable") == 1
    assert rows(path, "SELECT id, number, text FROM event ORDER BY id") == [
        (1, 1, "kept"),
        (2, 2, "remembered"),
        (3, 3, "again"),
    ]


def length(path: Path) -> int:
    return path.stat().st_size


async def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    path = tmp_path / "state" / "history.sqlite"
    now = 0.0
    async with recording(path, clock=lambda: now, retry=at_once()) as history:
        await history.take("u", 1, [event(1)], time.time())
        assert not history.is_durable
        (tmp_path / "state").unlink()
        now = 1.0
        await history.take("u", 1, [event(2)], time.time())
        await until(lambda: history.is_durable)  # the try that was under way may yet have failed
    assert [number for number, _ in rows(path)] == [1, 2]


async def test_a_disk_that_does_not_answer_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    async with recording(path, clock=lambda: now, retry=at_once()) as history:
        await history.take("u", 1, [event(1)], time.time())
        monkeypatch.setattr(database, "DEADLINE_SECONDS", 0.05)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # whoever writes next waits, as for a disk
            slow = value("hostd_history_failures_total", reason="slow")
            assert (await history.take("u", 1, [event(2)], time.time())).highest == Mark(2)
            assert value("hostd_history_failures_total", reason="slow") == slow + 1
            assert not history.is_durable
        monkeypatch.undo()
        now = 1.0
        await history.take("u", 1, [event(3)], time.time())
        await until(lambda: history.is_durable)
    assert sorted(number for number, _ in rows(path)) == [1, 2, 3]


@pytest.mark.parametrize("from_byte", [0, 2 * 4096])  # the whole file, or all but what says that it is a database
async def test_a_damaged_file_is_set_aside_and_a_new_one_begun(path: Path, from_byte: int) -> None:
    now = 0.0
    async with recording(path) as history:
        await history.take("u", 1, [event(number, "x" * 200) for number in range(1, 200)], time.time())
    damage(path, from_byte)
    async with recording(path, clock=lambda: now, retry=at_once()) as history:
        now = 1.0
        assert (await history.take("u", 2, [event(1)], time.time())).highest == Mark(1)
        await until(lambda: history.is_durable)
    assert rows(path, "SELECT journal, number FROM event") == [(2, 1)]
    assert path.with_name("history.sqlite.damaged").exists()


def damage(path: Path, from_byte: int) -> None:
    with path.open("r+b") as file:
        file.seek(from_byte)
        file.write(b"this is no database" * (path.stat().st_size // 19))


async def test_a_newer_hostds_file_is_left_alone(path: Path) -> None:
    async with recording(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as database_:
        database_.execute("PRAGMA user_version=99")
    newer = value("hostd_history_failures_total", reason="newer")
    async with recording(path) as history:
        assert (await history.take("u", 1, [event(1)], time.time())).highest == Mark(1)
        assert not history.is_durable
    assert value("hostd_history_failures_total", reason="newer") > newer
    assert rows(path, "SELECT count(*) FROM event") == [(0,)]


async def test_events_that_are_too_old_go_and_their_numbers_stay_known(path: Path) -> None:
    now = 0.0
    async with recording(path, clock=lambda: now) as history:
        await history.take("u", 1, [event(1, "old")], time.time() - 2 * 86_400)
        await history.take("u", 1, [event(2, "new")], time.time())
        now = 61.0
        await history.take("v", 1, [event(1, "wakes it")], time.time())
        await until(lambda: [text for _, text in rows(path)] == ["new", "wakes it"])
        assert await history.highest("u", 1) == Mark(2)


async def test_ids_are_never_used_again(path: Path) -> None:
    async with recording(path) as history:
        await history.take("u", 1, [event(1), event(2)], time.time())
    with contextlib.closing(sqlite3.connect(path)) as database_:
        database_.execute("DELETE FROM event")
        database_.commit()
    async with recording(path) as history:
        await history.take("u", 1, [event(3)], time.time())
    assert rows(path, "SELECT id FROM event") == [(3,)]


async def test_a_guest_that_tells_a_lot_costs_only_its_own_past(path: Path) -> None:
    big = {f"d{number}": "v" * 250 for number in range(16)}
    async with recording(path, max_bytes=1 << 20) as history:
        await history.take("quiet", 1, [event(1)], time.time())
        for number in range(0, 1000, 50):
            sent = [event(number + more, "x" * 500, **big) for more in range(1, 51)]
            await history.take("loud", 1, sent, time.time())
    kept = dict(rows(path, "SELECT domain, count(*) FROM event GROUP BY domain"))
    assert kept["quiet"] == 1
    assert 0 < kept["loud"] < 400
    assert length(path) < 3 << 20


async def test_one_domain_has_so_many_events_at_most(path: Path) -> None:
    now = 0.0
    async with recording(path, clock=lambda: now, events_per_domain=3) as history:
        await history.take("u", 1, [event(number) for number in range(1, 9)], time.time())
        now = 61.0
        await history.take("v", 1, [event(1)], time.time())
        await until(lambda: rows(path, "SELECT number FROM event WHERE domain = 'u'") == [(6,), (7,), (8,)])


async def test_the_file_is_not_for_everybody(path: Path) -> None:
    async with recording(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640  # noqa: ASYNC240


def workers_but(before: set[threading.Thread]) -> list[str]:
    """The connections' threads that were not there before; another test may have left one with a disk that hangs."""
    return [thread.name for thread in set(threading.enumerate()) - before if "worker_thread" in thread.name]


async def test_who_still_waits_when_hostd_ends_is_not_left_waiting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    async with recording(path):
        pass
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with asyncio.TaskGroup() as group, recording(path) as history:
            monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
            other.execute("BEGIN IMMEDIATE")
            waiting = group.create_task(history.take("u", 1, [event(1)], time.time()))
            await until(lambda: len(history._requests) == 1)
        assert waiting.cancelled()
    await until(lambda: not workers_but(before))


async def test_a_history_that_is_left_while_it_reads_its_file_leaves_nothing_running(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reading = asyncio.Event()

    async def read_for_ever(*_: object) -> int:
        is_reading.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets that")

    monkeypatch.setattr(History, "_know", read_for_ever)
    before = set(threading.enumerate())
    async with running(History(path, limits()).run()):
        await is_reading.wait()
    await until(lambda: not workers_but(before))


async def test_a_history_that_holds_on_to_what_it_took_in_memory_stays_within_bounds() -> None:
    big = {f"d{number}": "v" * 250 for number in range(16)}
    async with recording(None, max_bytes=1 << 20) as history:
        for number in range(0, 1000, 50):
            sent = [event(number + more, "x" * 500, **big) for more in range(1, 51)]
            assert (await history.take("loud", 1, sent, time.time())).highest == Mark(number + 50)
        await until(lambda: value("hostd_history_size_bytes") < 1 << 20)
