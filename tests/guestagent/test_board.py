"""The socket on which the guest's own programs follow the host's notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from guestagent import board, local
from guestagent.board import Board
from guestagent.conversation import Conversation
from protocol.messages import Detail, Hello, Notice, Report
from tests.guestagent.host import soon, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def conversation() -> Conversation:
    return Conversation(
        hello=lambda: Hello(version_min=1, version_max=1, nonce=1, agent_version="0"), report=lambda *_: Report()
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notices.sock"


@pytest.fixture
async def serving(path: Path, conversation: Conversation) -> AsyncIterator[Board]:
    served = Board(conversation, clock=lambda: 100.0)
    server = await served.serve(path)
    yield served
    served.close()
    server.close()
    local.remove(path)


def tell(conversation: Conversation, number: int, text: str = "") -> None:
    details = (Detail(name="from", value="a"),)
    conversation.notices.take(
        Notice(number=number, kind="moved", severity="info", text=text, details=details), now=90.0
    )


class Follower:
    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def next(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(await soon(self._reader.readline()))
        return told


@contextlib.asynccontextmanager
async def following(path: Path) -> AsyncIterator[Follower]:
    reader, writer = await asyncio.open_unix_connection(path)
    yield Follower(reader)
    writer.close()
    await writer.wait_closed()


async def test_a_follower_is_told_what_there_was_and_what_comes(
    serving: Board, path: Path, conversation: Conversation
) -> None:
    tell(conversation, 1, "before")
    async with following(path) as follower:
        assert await follower.next() == {"notices": 1}
        assert await follower.next() == {
            "number": 1,
            "kind": "moved",
            "severity": "info",
            "text": "before",
            "details": {"from": "a"},
            "deadline_seconds": None,
            "age_seconds": 10.0,
            "status": "seen",
            "status_text": None,
        }
        tell(conversation, 2, "now")
        assert (await follower.next())["text"] == "now"


async def test_a_repeated_notice_is_told_once(serving: Board, path: Path, conversation: Conversation) -> None:
    async with following(path) as follower:
        await follower.next()
        tell(conversation, 1)
        tell(conversation, 1)
        tell(conversation, 2)
        assert [(await follower.next())["number"] for _ in range(2)] == [1, 2]


async def test_all_followers_are_told(serving: Board, path: Path, conversation: Conversation) -> None:
    async with following(path) as first, following(path) as second:
        assert await first.next() == await second.next() == {"notices": 0}
        tell(conversation, 1)
        assert (await first.next())["number"] == (await second.next())["number"] == 1


async def test_a_follower_that_does_not_read_is_let_go(
    serving: Board, path: Path, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "MAX_UNREAD_BYTES", 1000)
    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.connect(str(path))
        await until(lambda: len(serving._followers) == 1)
        for number in range(1, 5000):
            tell(conversation, number, "x" * 512)
    assert not serving._followers
    assert conversation.counters["followers_dropped"] == 1


async def test_one_follower_too_many_is_let_go(
    serving: Board, path: Path, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "MAX_FOLLOWERS", 1)
    async with following(path) as first:
        await first.next()
        async with following(path) as second:
            with pytest.raises((ConnectionError, ValueError)):  # no answer at all, or hung up
                await second.next()
        tell(conversation, 1)
        assert (await first.next())["number"] == 1
    assert conversation.counters["followers_dropped"] == 1


async def test_a_follower_that_leaves_is_forgotten(serving: Board, path: Path) -> None:
    async with following(path) as follower:
        await follower.next()
        assert len(serving._followers) == 1
    await until(lambda: not serving._followers)
