"""The socket on which the guest's own programs read what the host said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

import pytest

from guestagent import __version__, local
from guestagent.conversation import Conversation
from guestagent.document import document
from guestagent.local import SocketUnusable
from protocol.messages import Hello, Metrics, Report
from tests.guestagent.host import soon

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
    return tmp_path / "run" / "agent.sock"


@contextlib.asynccontextmanager
async def serving(path: Path, conversation: Conversation) -> AsyncIterator[None]:
    server = await local.serve(path, conversation)
    yield
    server.close()
    local.remove(path)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_gone(path: Path) -> bool:
    return not path.exists()


async def told(path: Path) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(path)
    answer: dict[str, Any] = json.loads(await soon(reader.read()))
    writer.close()
    return answer


async def test_an_agent_that_has_heard_nothing_says_so(path: Path, conversation: Conversation) -> None:
    async with serving(path, conversation):
        answer = await told(path)
    assert answer["version"] == __version__
    assert (answer["connected"], answer["metrics"], answer["age_seconds"]) == (False, None, None)


async def test_everything_is_told_with_its_age_and_its_meaning(path: Path, conversation: Conversation) -> None:
    conversation.metrics, conversation.metrics_at = Metrics(host_cpus=4, host_name="ä"), 100.0
    answer = document(conversation, 107.5)
    assert answer["age_seconds"] == 7.5
    assert (answer["metrics"]["host_cpus"], answer["metrics"]["host_name"]) == (4, "ä")
    assert answer["metrics"]["host_load1"] is None
    assert set(answer["about"]) == set(answer["metrics"])


async def test_each_client_is_told_what_is_so_now(path: Path, conversation: Conversation) -> None:
    async with serving(path, conversation):
        for cpus in (1, 2):
            conversation.metrics, conversation.metrics_at = Metrics(host_cpus=cpus), 0.0
            assert (await told(path))["metrics"]["host_cpus"] == cpus


async def test_a_client_that_never_reads_holds_nothing(path: Path, conversation: Conversation) -> None:
    async with serving(path, conversation):
        with contextlib.ExitStack() as clients:
            for _ in range(50):
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(str(path))
            assert (await told(path))["version"] == __version__


async def test_a_client_whose_socket_takes_nothing_is_let_go() -> None:
    class Full(asyncio.WriteTransport):
        was_aborted = False

        def write(self, data: object) -> None:
            pass

        def get_write_buffer_size(self) -> int:
            return 1

        def abort(self) -> None:
            self.was_aborted = True

    transport = Full()
    talk = Conversation(
        hello=lambda: Hello(version_min=1, version_max=1, nonce=1, agent_version="0"), report=lambda *_: Report()
    )
    local._Teller(talk, lambda: 0.0).connection_made(transport)
    assert transport.was_aborted


async def test_every_user_may_connect_and_the_folder_is_made(path: Path, conversation: Conversation) -> None:
    async with serving(path, conversation):
        assert mode_of(path) == 0o666
        assert mode_of(path.parent) == 0o755
    assert is_gone(path)


async def test_the_socket_of_a_dead_agent_is_replaced(path: Path, conversation: Conversation) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(path, conversation):
        assert (await told(path))["version"] == __version__


async def test_the_socket_of_a_living_agent_is_left_alone(path: Path, conversation: Conversation) -> None:
    async with serving(path, conversation):
        with pytest.raises(SocketUnusable, match="another agent answers here"):
            await local.serve(path, conversation)
        assert (await told(path))["version"] == __version__


async def test_the_socket_of_an_agent_too_busy_to_answer_is_left_alone(path: Path, conversation: Conversation) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as clients:
        busy.bind(str(path))
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(str(path))
        with pytest.raises(SocketUnusable, match="another agent answers here"):
            await local.serve(path, conversation)


async def test_what_is_not_a_socket_is_left_alone(path: Path, conversation: Conversation) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(SocketUnusable, match="not a socket"):
        await local.serve(path, conversation)
    assert not is_gone(path)


async def test_a_place_that_cannot_be_used_says_why(tmp_path: Path, conversation: Conversation) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SocketUnusable, match="File exists"):
        await local.serve(tmp_path / "file" / "agent.sock", conversation)
    with pytest.raises(SocketUnusable, match="too long"):
        await local.serve(tmp_path / ("x" * 200), conversation)
