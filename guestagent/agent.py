"""The shell around the conversation: opens the port, moves bytes, keeps time, and waits out what the world does.

One task, no queues. A port that is not there is waited for, one that is lost is opened anew, a host that went away is
waited for at no cost. Anything else that goes wrong is a bug here and ends the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from guestagent.ports.port import HostAway, PortError, PortLost, PortUnavailable
from protocol.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from guestagent.conversation import Conversation
    from guestagent.ports import Opener
    from guestagent.ports.port import Port

OPEN_FIRST_SECONDS = 0.1
OPEN_MOST_SECONDS = 2.0
"""A port that appears is taken a second later on average; looking more often costs an emulated guest 1 % of its CPU."""

GOODBYE_SECONDS = 0.5

_logger = logging.getLogger(__name__)


class Agent:
    """Holds `conversation` over the ports that `open_port` gives, one after the other."""

    def __init__(
        self,
        conversation: Conversation,
        open_port: Opener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conversation = conversation
        self._open_port = open_port
        self._clock = clock
        self._backoff = Backoff(first_seconds=OPEN_FIRST_SECONDS, most_seconds=OPEN_MOST_SECONDS)
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def run(self) -> None:
        """Until `stop` is called.

        Raises:
            TransportMissing: this port cannot be used with what is installed.

        """
        self._task = asyncio.current_task()
        try:
            while not self._is_stopping:
                await self._use(await self._opened())
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise

    def stop(self) -> None:
        """Say goodbye if there is anybody to say it to, and return from `run`. Callable from a signal handler."""
        self._is_stopping = True
        if self._task is not None:
            self._task.cancel()

    async def _opened(self) -> Port:
        told = None
        while True:
            try:
                port = await self._open_port()
            except PortUnavailable as error:
                if str(error) != told:
                    told = str(error)
                    _logger.warning("waiting for the port: %s", error)
                await asyncio.sleep(self._backoff.wait_seconds())
            else:
                return port

    async def _use(self, port: Port) -> None:
        try:
            while True:
                await self._converse(port)
        except PortLost as error:
            _logger.warning("port lost: %s", error)
            await asyncio.sleep(self._backoff.wait_seconds())
        finally:
            if self._is_stopping:
                await self._say_goodbye(port)
            self._conversation.end()
            port.close()

    async def _converse(self, port: Port) -> None:
        await port.wait_for_host()
        self._conversation.begin(self._clock())
        try:
            while True:
                await self._write(port, self._conversation.due(self._clock()))
                data = await self._heard(port)
                if data is not None:
                    self._backoff.reset()
                    await self._write(port, self._conversation.receive(data, self._clock()))
        except HostAway as error:
            _logger.info("host away: %s", error)
            self._conversation.end()

    async def _heard(self, port: Port) -> bytes | None:
        """What the host says before the next thing is due here, if anything."""
        data = None
        with contextlib.suppress(asyncio.TimeoutError):
            data = await asyncio.wait_for(port.read(), self._conversation.wait_seconds(self._clock()))
        if self._is_stopping:
            raise asyncio.CancelledError  # wait_for may swallow it when input comes at the same time (before 3.12)
        if data == b"":
            raise HostAway("the host's end was closed")
        return data

    async def _write(self, port: Port, frames: list[bytes]) -> None:
        for frame in frames:
            await port.write(frame)

    async def _say_goodbye(self, port: Port) -> None:
        with contextlib.suppress(asyncio.TimeoutError, PortError):
            frames = self._conversation.farewell("the agent stops")
            await asyncio.wait_for(self._write(port, frames), GOODBYE_SECONDS)
