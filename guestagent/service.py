"""`guestagent run`: puts the parts together, listens to signals, and says how it ended."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from guestagent import __version__, local, ports
from guestagent.agent import Agent
from guestagent.conversation import Conversation
from guestagent.ports.port import TransportMissing
from guestagent.report import Reporter

if TYPE_CHECKING:
    from guestagent.ports import Opener

STOPPED = 0
UNUSABLE = 78  # sysexits.h EX_CONFIG: starting again will not help

_logger = logging.getLogger(__name__)


def run(*, port: str | None, port_name: str, socket: str) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    open_port = functools.partial(ports.open_at, port) if port else functools.partial(ports.open_named, port_name)
    try:
        asyncio.run(_serve(open_port, Path(socket)))
    except (TransportMissing, local.SocketUnusable) as error:
        sys.stderr.write(f"guestagent: {error}\n")
        return UNUSABLE
    return STOPPED


async def _serve(open_port: Opener, socket: Path) -> None:
    reporter = Reporter()
    conversation = Conversation(hello=reporter.hello, report=reporter.report)
    agent = Agent(conversation, open_port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    server = await local.serve(socket, conversation)
    _logger.info("guestagent %s runs, and answers at %s", __version__, socket)
    try:
        await agent.run()
    finally:
        server.close()
        local.remove(socket)
    _logger.info("guestagent stops")
