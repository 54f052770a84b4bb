"""`guestagent run`: puts the parts together, listens to signals, and says how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import grp
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
from guestagent.intake import Intake
from guestagent.journal import Journal
from guestagent.ports.port import PortUnusable
from guestagent.probes import identity
from guestagent.report import ROOT, Reporter
from guestagent.ring import Limits
from guestagent.together import together

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Awaitable, Callable

STOPPED = 0
UNUSABLE = 78  # sysexits.h EX_CONFIG: starting again will not help

_logger = logging.getLogger(__name__)


class UnknownGroup(Exception):  # noqa: N818 - named for what is so
    """There is no such group; the message says which."""


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_serve(options))
    except (PortUnusable, local.SocketUnusable, UnknownGroup) as error:
        sys.stderr.write(f"guestagent: {error}\n")
        return UNUSABLE
    return STOPPED


async def _serve(options: argparse.Namespace) -> None:
    group = _group(options.emit_group)
    reporter, journal = Reporter(), _journal(options)
    conversation = Conversation(hello=reporter.hello, report=reporter.report, journal=journal)
    agent = Agent(conversation, ports.opener(_wanted(options)))
    journal.on_ready = agent.wake
    hooks = Hooks(Path(options.hooks), counters=conversation.counters, finish=agent.finish, clock=boot_seconds)
    conversation.notices.listeners.append(hooks.offer)
    board, intake = Board(conversation), Intake(journal, group=group)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    async with _answering(Path(options.socket), lambda path: local.serve(path, conversation)):
        await journal.open()  # which belongs to the agent that answers
        told, heard = Path(options.notices_socket), Path(options.emit_socket)
        async with _answering(told, board.serve), _answering(heard, intake.serve):
            _logger.info("guestagent %s runs, and answers at %s", __version__, options.socket)
            try:
                await together(agent.run(), hooks.run())
            finally:
                board.close()
        await journal.close()
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


def _journal(options: argparse.Namespace) -> Journal:
    path = Path(options.journal) if options.journal else None
    limits = Limits(events=options.journal_events, bytes=options.journal_bytes)
    return Journal(path, limits=limits, boot_id=identity.boot_id(ROOT))


def _group(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UnknownGroup(f"--emit-group: there is no group {name!a}; make it, or name another") from None
