"""`guestagent run`: puts the parts together, listens to signals, and says how it ended."""

from __future__ import annotations

import asyncio
import contextlib
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
from guestagent.ports.port import PortUnusable
from guestagent.report import Reporter
from guestagent.together import together

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Awaitable, Callable

STOPPED = 0
UNUSABLE = 78  # sysexits.h EX_CONFIG: starting again will not help

_logger = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_serve(options))
    except (PortUnusable, local.SocketUnusable) as error:
        sys.stderr.write(f"guestagent: {error}\n")
        return UNUSABLE
    return STOPPED


async def _serve(options: argparse.Namespace) -> None:
    reporter = Reporter()
    conversation = Conversation(hello=reporter.hello, report=reporter.report)
    agent = Agent(conversation, ports.opener(_wanted(options)))
    hooks = Hooks(Path(options.hooks), counters=conversation.counters, finish=agent.finish, clock=boot_seconds)
    conversation.notices.listeners.append(hooks.offer)
    board = Board(conversation)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    told = _answering(Path(options.socket), lambda path: local.serve(path, conversation))
    async with told, _answering(Path(options.notices_socket), board.serve):
        _logger.info("guestagent %s runs, and answers at %s", __version__, options.socket)
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


def _wanted(options: argparse.Namespace) -> ports.Wanted:
    vsock = options.vsock and f"vsock:{options.vsock}"
    return ports.Wanted(name=options.port_name, port=options.port, vsock=vsock, serial=options.serial)
