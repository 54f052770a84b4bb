"""`guestagent run`: puts the parts together, listens to signals, and says how it ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from guestagent import __version__, local, ports
from guestagent.agent import Agent
from guestagent.conversation import Conversation
from guestagent.ports.port import PortUnusable
from guestagent.report import Reporter

if TYPE_CHECKING:
    from guestagent.ports import Opener, Wanted

STOPPED = 0
UNUSABLE = 78  # sysexits.h EX_CONFIG: starting again will not help

_logger = logging.getLogger(__name__)


def run(*, wanted: Wanted, socket: str) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_serve(ports.opener(wanted), Path(socket)))
    except (PortUnusable, local.SocketUnusable) as error:
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
