"""`hostd events`: what is in the file, while hostd writes it."""

import contextlib
import json
import os
import sqlite3
from pathlib import Path

import pytest

from hostd import __main__
from hostd.history import reading
from hostd.history.reading import CannotRead
from tests.hostd.history.histories import event, recording


async def filled(path: Path) -> None:
    async with recording(path) as history:
        await history.take("uuid-1", 5, [event(1, "disk full", device="vdb"), event(2, "again")], 1e9, name="web")
        await history.take("uuid-2", 6, [event(1, "other")], 1e9 + 61)


async def test_the_newest_are_listed_the_last_at_the_end(path: Path) -> None:
    async with recording(path) as history:
        for number in range(1, 6):
            await history.take("u", 1, [event(number)], 1e9)
        assert [recorded.number for recorded in reading.newest(path, limit=2)] == [4, 5]


async def test_a_domain_is_found_by_its_name_and_uuid(path: Path) -> None:
    await filled(path)
    for domain, texts in (("web", ["disk full", "again"]), ("uuid-2", ["other"]), ("nobody", [])):
        assert [recorded.text for recorded in reading.newest(path, domain=domain, limit=9)] == texts


async def test_a_domain_is_listed_without_what_a_terminal_would_obey(path: Path) -> None:
    async with recording(path) as history:
        await history.take("u", 5, [event(1, "a\u202eb")], 1e9, name="web\x9b2J\x1b[2J")
    events = reading.newest(path, limit=9)
    (_, line), (document,) = reading.as_table(events), reading.as_json(events)
    assert (line.isprintable(), document.isascii(), "\x1b" in document) == (True, True, False)
    assert "web\\x9b2J\\x1b[2J" in line
    assert json.loads(document)["domain_name"] == "web\x9b2J\x1b[2J"


async def test_the_command_prints_a_table_or_json(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await filled(path)
    config = tmp_path / "hostd.toml"
    config.write_text(f"[history]\npath = '{path}'\n")
    assert __main__.main(["events", "--config", str(config)]) == os.EX_OK
    assert capsys.readouterr().out.splitlines() == [
        "TIME                  DOMAIN  SEVERITY  KIND           TEXT",
        "2001-09-09T01:46:40Z  web     warning   backup.failed  disk full device=vdb",
        "2001-09-09T01:46:40Z  web     warning   backup.failed  again",
        "2001-09-09T01:47:41Z  uuid-2  warning   backup.failed  other",
    ]
    assert __main__.main(["events", "--config", str(config), "--format", "json", "--domain", "web"]) == os.EX_OK
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["id"], first["data"], first["domain"], second["number"]) == (1, {"device": "vdb"}, "uuid-1", 2)


def test_the_command_says_that_there_is_no_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "hostd.toml"
    for path, words in ((str(tmp_path / "none"), "there is no history"), ("", "history.path is empty")):
        config.write_text(f"[history]\npath = '{path}'\n")
        assert __main__.main(["events", "--config", str(config)]) == os.EX_UNAVAILABLE
        assert words in capsys.readouterr().err


async def test_another_layout_or_no_database_is_named(path: Path) -> None:
    await filled(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(CannotRead, match="its layout is 99"):
        reading.newest(path, limit=1)
    path.write_bytes(b"x" * 5000)  # noqa: ASYNC240
    with pytest.raises(CannotRead, match="not a database"):
        reading.newest(path, limit=1)
