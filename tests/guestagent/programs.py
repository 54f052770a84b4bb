"""The agent and its commands as processes, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.guestagent.host import soon

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator


ROOT = Path(__file__).resolve().parents[2]


class Guest:
    """A place for sockets, and programs run there."""

    def __init__(self, folder: Path) -> None:
        self.port = folder / "port"
        self.socket = folder / "agent.sock"
        self.notices_socket = folder / "notices.sock"
        self.hooks = folder / "hooks.d"
        self.emit_socket = folder / "emit.sock"
        self.journal = folder / "journal.sqlite"

    async def start(self, *arguments: str | Path) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "guestagent", *arguments),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def result(self, *arguments: str | Path) -> tuple[int | None, str, str]:
        process = await self.start(*arguments)
        output, errors = await soon(process.communicate())
        return process.returncode, output.decode(), errors.decode()

    async def get(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("get", "--socket", self.socket, *arguments)

    async def status(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("status", "--socket", self.socket, *arguments)

    async def notices(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("notices", "--socket", self.notices_socket, *arguments)

    async def emit(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("emit", "--socket", self.emit_socket, *arguments)

    @contextlib.asynccontextmanager
    async def agent(self, *more: str | Path) -> AsyncIterator[Process]:
        """A running agent, killed at the end if it has not ended by then."""
        told_at = ("--socket", self.socket, "--notices-socket", self.notices_socket, "--hooks", self.hooks)
        heard_at = ("--emit-socket", self.emit_socket, "--journal", self.journal)
        process = await self.start("run", "--port", self.port, *told_at, *heard_at, *more)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def told(process: Process, words: str) -> str:
    """The agent's log up to the line with these words."""
    assert process.stderr is not None
    log = ""
    while words not in log:
        line = await soon(process.stderr.readline())
        assert line, log
        log += line.decode()
    return log


def files_of(process: Process) -> str:
    """What it has mapped into its memory."""
    return Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
