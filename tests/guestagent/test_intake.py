"""The socket on which scripts hand in events: who may, how much, and what is said to who may not."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from guestagent import intake, local
from guestagent.intake import MAX_CLIENTS, MAX_REQUEST_BYTES, MAX_USERS, Intake, Rate
from guestagent.journal import Journal
from tests.guestagent.host import soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EVENT = {"kind": "backup.failed", "severity": "warning", "text": "no space", "details": [["device", "vdb"]]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "emit.sock"


@contextlib.asynccontextmanager
async def taking(path: Path, **more: Any) -> AsyncIterator[Journal]:  # noqa: ANN401 - as Intake takes it
    journal = Journal(path.with_name("journal"))
    await soon(journal.open())
    server = await Intake(journal, **more).serve(path)
    try:
        yield journal
    finally:
        server.close()
        await journal.close(60)
        local.remove(path)


async def answered(path: Path, request: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    answer: dict[str, Any] = json.loads(await soon(reader.readline()))
    writer.close()
    return answer


def line(**changes: object) -> bytes:
    return json.dumps({**EVENT, **changes}).encode() + b"\n"


async def test_an_event_is_kept_and_its_number_told(path: Path) -> None:
    async with taking(path) as journal:
        assert await answered(path, line()) == {"number": 1, "durable": True}
        assert await answered(path, line()) == {"number": 2, "durable": True}
        assert journal.last == 2


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"x\n",
        b"\xff\n",
        b"[" * 50_000 + b"\n",
        b"null\n",
        b"{}\n",
        line(more=1),
        line(kind=1),
        line(text=None),
        line(details={}),
        line(details=["ab"]),
        line(details=[["a", 1]]),
        line(details=[["a", "b", "c"]]),
        line(kind="NO"),
        line(text="\ud800"),
        b"a" * (MAX_REQUEST_BYTES * 3) + b"\n",
    ],
)
async def test_what_is_no_event_is_refused_and_costs_only_itself(path: Path, request_: bytes) -> None:
    async with taking(path) as journal:
        try:
            assert (await answered(path, request_))["error"] == "bad"
        except ConnectionError:
            assert len(request_) > MAX_REQUEST_BYTES  # refused before it was read
        assert journal.last == 0
        assert (await answered(path, line()))["number"] == 1


async def test_who_says_nothing_is_not_waited_for_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "REQUEST_SECONDS", 0.01)
    async with taking(path):
        answer = await answered(path, b"{")
    assert (answer["error"], "did not end within" in answer["message"]) == ("bad", True)


async def test_who_leaves_in_the_middle_costs_only_itself(path: Path) -> None:
    async with taking(path):
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(line()[:10])
        writer.transport.abort()
        assert (await answered(path, line()))["durable"]


async def test_a_script_gone_wild_is_told_so_and_counted(path: Path) -> None:
    now = 0.0
    async with taking(path, per_second=2, at_once=3, clock=lambda: now) as journal:
        answers = [await answered(path, line()) for _ in range(5)]
        assert ["error" in answer for answer in answers] == [False, False, False, True, True]
        assert answers[3]["error"] == "rate"
        assert journal.lost == {"rate": 2}
        now = 0.5
        assert "number" in await answered(path, line())
        assert (await answered(path, line()))["error"] == "rate"


async def test_too_many_clients_at_once_are_sent_away(path: Path) -> None:
    async with taking(path) as journal:
        waiting = [await asyncio.open_unix_connection(path) for _ in range(MAX_CLIENTS)]
        assert (await answered(path, line()))["error"] == "busy"
        assert journal.lost == {"busy": 1}
        for reader, writer in waiting:
            writer.write(line())
            assert "number" in json.loads(await soon(reader.readline()))
            writer.close()
        assert "number" in await answered(path, line())


async def test_only_root_and_the_agents_own_user_may_by_default(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with taking(path):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116 - of a socket, not a path's content
        monkeypatch.setattr(intake, "_user", lambda _: 12345)
        answer = await answered(path, line())
    assert answer["error"] == "denied"
    assert "--emit-group" in answer["message"]


async def test_a_group_may_if_it_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = grp.getgrgid(os.getegid()).gr_gid
    async with taking(path, group=group):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660  # noqa: PTH116
        monkeypatch.setattr(intake, "_user", lambda _: 12345)
        assert "number" in await answered(path, line())


def test_users_are_bounded_and_each_has_an_allowance_of_its_own() -> None:
    rate = Rate(per_second=1, at_once=1, clock=lambda: 0.0)
    assert [rate.takes(user) for user in (1, 1, 2)] == [True, False, True]
    assert all(rate.takes(user) for user in range(10, 10 + 2 * MAX_USERS))
    assert len(rate._users) == MAX_USERS
