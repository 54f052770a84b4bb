"""The guest's own programs are run for each notice, and the host learns what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guestagent import hooks
from guestagent.counters import Counters
from guestagent.hooks import MAX_WAITING, HookRefused, Hooks
from guestagent.notices import KeptNotice
from protocol.messages import Detail, Notice
from tests.guestagent.host import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOTICE = Notice(
    number=7,
    kind="moved",
    severity="warning",
    text="you're $(elsewhere); `now`",
    details=(Detail(name="from", value="a b=c"), Detail(name="to", value="ä")),
)

Answers = list[tuple[int, str, "str | None"]]


class Folder:
    """A folder of hooks, what is run from it, and what is answered."""

    def __init__(self, path: Path) -> None:
        self.path = path / "hooks.d"
        self.counters = Counters()
        self.answers: Answers = []
        self.now = 100.0
        self.hooks = Hooks(self.path, counters=self.counters, finish=self._finish, clock=lambda: self.now)

    def _finish(self, kept: KeptNotice, status: str, text: str | None) -> None:
        self.answers.append((kept.notice.number, status, text))

    def add(self, name: str, text: str = "", *, mode: int = 0o755) -> Path:
        self.path.mkdir(exist_ok=True)
        program = self.path / name
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(mode)
        return program

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.hooks.run(), name="hooks")
            yield
            task.cancel()

    async def answered(self, notice: Notice = NOTICE) -> tuple[int, str, str | None]:
        before = len(self.answers)
        async with self.running():
            self.hooks.offer(KeptNotice(notice, self.now))
            await until(lambda: len(self.answers) > before)
        return self.answers[-1]


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def test_every_program_is_run_in_the_order_of_names(folder: Folder, tmp_path: Path) -> None:
    for name in ("20-second", "10-first", "30-third.sh"):
        folder.add(name, f"echo {name} >> {tmp_path}/ran")
    assert await folder.answered() == (7, "done", None)
    assert (tmp_path / "ran").read_text() == "10-first\n20-second\n30-third.sh\n"


async def test_a_program_finds_the_notice_in_its_environment(folder: Folder, tmp_path: Path) -> None:
    folder.add("hook", f"env | grep VIRTWIRE > {tmp_path}/env; echo $# >> {tmp_path}/env")
    await folder.answered()
    told = set((tmp_path / "env").read_text(encoding="utf-8").splitlines())
    assert {
        "VIRTWIRE_NUMBER=7",
        "VIRTWIRE_KIND=moved",
        "VIRTWIRE_SEVERITY=warning",
        "VIRTWIRE_TEXT=you're $(elsewhere); `now`",
        "VIRTWIRE_DEADLINE_SECONDS=",
        "0",
    } <= told


def test_details_are_lines_that_no_value_can_forge() -> None:
    assert hooks.environment_of(NOTICE, 1.25)["VIRTWIRE_DETAILS"] == "from=a b=c\nto=ä\n".encode()
    assert hooks.environment_of(NOTICE, 1.25)["VIRTWIRE_DEADLINE_SECONDS"] == b"1.250"
    assert set(hooks.environment_of(NOTICE, None)) - {"PATH", "LANG"} == {
        f"VIRTWIRE_{name}" for name in ("NUMBER", "KIND", "SEVERITY", "TEXT", "DETAILS", "DEADLINE_SECONDS")
    }


async def test_one_that_fails_is_told_and_does_not_keep_the_next_from_running(folder: Folder, tmp_path: Path) -> None:
    folder.add("a", "exit 3")
    folder.add("b", f"touch {tmp_path}/ran")
    assert await folder.answered() == (7, "failed", "a: exit status 3")
    assert (tmp_path / "ran").exists()
    assert folder.counters["hooks_failed"] == 1


@pytest.mark.parametrize("is_made", [False, True])
async def test_without_programs_there_is_nothing_to_tell(folder: Folder, is_made: bool) -> None:
    if is_made:
        folder.path.mkdir()
        (folder.path / "README").write_text("not a program")
        (folder.path / "folder").mkdir()
        for name in (".hidden", "old~", "hook.dpkg-old", "hook.bak"):
            folder.add(name, "exit 1")
    async with folder.running():
        assert await asyncio.to_thread(folder.hooks._run_all, KeptNotice(NOTICE, 0)) is None
        folder.hooks._tell(KeptNotice(NOTICE, 0), None)
        assert folder.answers == []
        folder.add("hook")
        folder.hooks.offer(KeptNotice(NOTICE, 0))
        await until(lambda: bool(folder.answers))
    assert folder.answers == [(7, "done", None)]


@pytest.mark.parametrize("mode", [0o757, 0o775])
async def test_a_program_that_others_may_write_to_is_not_run(folder: Folder, tmp_path: Path, mode: int) -> None:
    program = folder.add("hook", f"touch {tmp_path}/ran", mode=mode)
    assert await folder.answered() == (
        7,
        "failed",
        f"hook: {program}: others may write to it; run chmod go-w on it",
    )
    assert not (tmp_path / "ran").exists()


async def test_nothing_is_run_from_a_folder_that_others_may_write_to(folder: Folder, tmp_path: Path) -> None:
    folder.add("hook", f"touch {tmp_path}/ran")
    folder.path.chmod(0o777)
    number, status, text = await folder.answered()
    assert (number, status) == (7, "failed")
    assert "others may write to it" in str(text)
    assert not (tmp_path / "ran").exists()


async def test_a_link_is_not_followed(folder: Folder) -> None:
    program = folder.add("hook")
    (folder.path / "link").symlink_to(program)
    assert "not a plain file" in str((await folder.answered())[2])


def test_a_program_of_another_user_is_not_run(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder.add("hook")
    owner = program.stat().st_uid
    if owner == 0:
        os.chown(program, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(HookRefused, match="make it root's"):
        hooks.check(program)


async def test_notices_wait_for_each_other_and_too_many_are_dropped(folder: Folder, tmp_path: Path) -> None:
    folder.add(
        "hook", f"test ! -e {tmp_path}/busy || echo two >> {tmp_path}/bad; touch {tmp_path}/busy; rm {tmp_path}/busy"
    )
    for number in range(1, MAX_WAITING + 3):
        folder.hooks.offer(KeptNotice(Notice(number=number, kind="test", severity="info", text=""), 0))
    assert [answer[:2] for answer in folder.answers] == [(MAX_WAITING + 1, "failed"), (MAX_WAITING + 2, "failed")]
    async with folder.running():
        await until(lambda: len(folder.answers) == MAX_WAITING + 2)
    assert [answer[:2] for answer in folder.answers[2:]] == [(at, "done") for at in range(1, MAX_WAITING + 1)]
    assert not (tmp_path / "bad").exists()
    assert folder.counters["hooks_dropped"] == 2


async def test_after_the_hosts_deadline_nothing_is_run(folder: Folder, tmp_path: Path) -> None:
    folder.add("hook", f"touch {tmp_path}/ran")
    late = Notice(number=1, kind="test", severity="info", text="", deadline_seconds=5.0)
    async with folder.running():
        folder.hooks.offer(KeptNotice(late, folder.now - 6))
        await until(lambda: bool(folder.answers))
    assert folder.answers == [(1, "failed", "hook: not run: the host's deadline has passed")]
    assert not (tmp_path / "ran").exists()


async def test_at_the_hosts_deadline_a_program_is_killed(folder: Folder) -> None:
    folder.add("hook", "sleep 1000")
    notice = Notice(number=1, kind="test", severity="info", text="", deadline_seconds=0.25)
    assert await folder.answered(notice) == (1, "failed", "hook: took longer than 0.25 s")


async def test_when_the_agent_stops_what_runs_is_killed(folder: Folder, tmp_path: Path) -> None:
    folder.add("hook", f"echo $$ > {tmp_path}/pid; sleep 1000")
    async with folder.running():
        folder.hooks.offer(KeptNotice(NOTICE, 0))
        await until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
    pid = int((tmp_path / "pid").read_text())
    await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_what_it_prints_is_logged_without_tricks(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder.add("hook", r"printf 'one\033[2J\ntwo\n'; head -c 10000 /dev/zero")
    await folder.answered()
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:2] == ["hook hook: one?[2J", "hook hook: two"]
    assert "bytes more, which are not logged" in messages[-1]
    assert folder.counters["hooks_output_bytes"] > 0
