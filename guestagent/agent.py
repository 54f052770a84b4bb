"""The shell around the conversation: opens the port, moves bytes, keeps time, and waits out what the world does.

Over each port one coroutine listens and another speaks, so that a host that does not take what is written until it has
been heard is heard. A port that is not there is waited for, one that is lost is opened anew, a host that went away is
waited for at no cost. Anything else that goes wrong is a bug here and ends the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING, NoReturn

from guestagent.clock import boot_seconds
from guestagent.ports.port import HostAway, PortError, PortLost, PortUnavailable
from guestagent.together import together
from protocol.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from guestagent.conversation import Conversation
    from guestagent.notices import KeptNotice
    from guestagent.ports import Opener
    from guestagent.ports.port import Port

OPEN_FIRST_SECONDS = 0.1
OPEN_MOST_SECONDS = 2.0
"""A port that appears is taken a second later on average; looking more often costs an emulated guest 1 % of its CPU."""

GOODBYE_SECONDS = 0.5

LOOK_SECONDS = 30.0
"""How long to sleep at most while something is due some time: timers stand still in a guest that is suspended."""

_logger = logging.getLogger(__name__)


class Agent:
    """Holds `conversation` over the ports that `open_port` gives, one after the other."""

    def __init__(
        self,
        conversation: Conversation,
        open_port: Opener,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self.conversation = conversation
        self._open_port = open_port
        self._clock = clock
        self._backoff = Backoff(first_seconds=OPEN_FIRST_SECONDS, most_seconds=OPEN_MOST_SECONDS)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until `stop` is called.

        Raises:
            TransportMissing: this port cannot be used with what is installed.

        """
        await together(self._hold_line(), self._stop.wait())

    def stop(self) -> None:
        """Say goodbye if there is anybody to say it to, and return from `run`. Callable from a signal handler."""
        self._stop.set()

    def wake(self) -> None:
        """Something may be due that was not: look again. What the journal calls when it has more."""
        self.conversation.look_at_journal(self._clock())
        self._wake.set()

    def finish(self, kept: KeptNotice, status: str, text: str | None) -> None:
        """Tell the host what this guest's programs made of a notice."""
        self.conversation.notices.finish(kept, status, text)
        self.wake()

    async def _hold_line(self) -> NoReturn:
        while True:
            port = await self._opened()
            self.conversation.port = port.path
            try:
                await self._use(port)
            finally:
                if self._stop.is_set():
                    await self._say_goodbye(port)
                self.conversation.port = None
                port.close()
            await asyncio.sleep(self._backoff.wait_seconds())

    async def _opened(self) -> Port:
        told = None
        while True:
            try:
                port = await self._open_port()
            except PortUnavailable as error:
                if str(error) != told:
                    told = str(error)
                    _logger.warning("waiting for the port: %s", error)
                    self.conversation.end(f"no port: {error}")
                await asyncio.sleep(self._backoff.wait_seconds())
            else:
                return port

    async def _use(self, port: Port) -> None:
        """Converse with whatever hosts come and go, until the port is lost."""
        try:
            while True:
                self.conversation.end("no host at the other end")
                await port.wait_for_host()
                self.conversation.begin(self._clock())
                await self._converse(port)
        except PortLost as error:
            _logger.warning("port lost: %s", error)
            self.conversation.counters.add("ports_lost")
            self.conversation.end(f"port lost: {error}")

    async def _converse(self, port: Port) -> None:
        try:
            await together(self._listen(port), self._speak(port))
        except HostAway as error:
            _logger.info("host away: %s", error)
            self.conversation.counters.add("hosts_away")

    async def _listen(self, port: Port) -> NoReturn:
        while True:
            data = await port.read()
            if not data:
                raise HostAway("the host's end was closed")
            self._backoff.reset()
            self.conversation.receive(data, self._clock())
            self._wake.set()
            await asyncio.sleep(0)  # a port with ever more to read never waits by itself: let the others have a turn

    async def _speak(self, port: Port) -> NoReturn:
        while True:
            self._wake.clear()
            frames = self.conversation.due(self._clock())
            for frame in frames:
                await port.write(frame)
            if not frames:
                await self._rest()

    async def _rest(self) -> None:
        """Until something is due, or there is reason to look."""
        seconds = self.conversation.wait_seconds(self._clock())
        if math.isinf(seconds):
            await self._wake.wait()
            return
        timer = asyncio.get_running_loop().call_later(min(seconds, LOOK_SECONDS), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _say_goodbye(self, port: Port) -> None:
        with contextlib.suppress(asyncio.TimeoutError, PortError):
            for frame in self.conversation.farewell("the agent stops"):
                await asyncio.wait_for(port.write(frame), GOODBYE_SECONDS)
