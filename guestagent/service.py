"""`guestagent run`: puts the parts together, listens to signals, and says how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from guestagent import __version__, local, ports
from guestagent.agent import Agent
from guestagent.board import Board
from guestagent.clock import boot_seconds
from guestagent.conversation import Conversation
from guestagent.hooks import Hooks
from guestagent.ports.port import TransportMissing
from guestagent.report import Reporter
from guestagent.together import together

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from guestagent.ports import Opener

STOPPED = 0
UNUSABLE = 78  # sysexits.h EX_CONFIG: starting again will not help

_logger = logging.getLogger(__name__)


def run(*, port: str | None, port_name: str, socket: str, notices_socket: str, hooks: str) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    open_port = functools.partial(ports.open_at, port) if port else functools.partial(ports.open_named, port_name)
    try:
        asyncio.run(_serve(open_port, Path(socket), Path(notices_socket), Path(hooks)))
    except (TransportMissing, local.SocketUnusable) as error:
        sys.stderr.write(f"guestagent: {error}\n")
        return UNUSABLE
    return STOPPED


async def _serve(open_port: Opener, socket: Path, notices_socket: Path, hooks_folder: Path) -> None:
    reporter = Reporter()
    conversation = Conversation(hello=reporter.hello, report=reporter.report)
    agent = Agent(conversation, open_port)
    hooks = Hooks(hooks_folder, counters=conversation.counters, finish=agent.finish, clock=boot_seconds)
    conversation.notices.listeners.append(hooks.offer)
    board = Board(conversation)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    told = _answering(socket, lambda path: local.serve(path, conversation))
    async with told, _answering(notices_socket, board.serve):
        _logger.info("guestagent %s runs, and answers at %s", __version__, socket)
        try:
            await together(agent.run(), hooks.run())
        finally:
            board.close()
    _logger.info("guestagent stops")


@contextlib.asynccontextmanager
async def _answering(path: Path, serve: Callable[[Path], Awaitable[asyncio.AbstractServer]]) -> AsyncIterator[None]:
    server = await serve(path)
    try:
        yield
    finally:
        server.close()
        local.remove(path)
