"""The search for the host: which of the ways is open now, asked again whenever one may have opened.

A lesser way is taken only after the better ones have not been there for a while (a driver may be loading, an agent
before us may be ending), and kept until it is lost: then the search begins anew, with the best.

A reason why there is no port is raised once, for the caller to tell; for as long as it stays the same the search goes
on by itself. In between nothing is done but to listen to the kernel, and to look now and then at what it does not
announce (a socket that is listened on, a port that is let go, another mode of a node).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestagent.ports import holder, uevents
from guestagent.ports.port import PortAbsent, PortBusy, PortError, PortUnavailable, PortUnusable
from protocol.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from guestagent.ports.port import Port

LOOK_FIRST_SECONDS = 0.1
LOOK_MOST_SECONDS = 2.0
"""A port that is let go is taken a second later on average; more often costs an emulated guest 1 % of its CPU."""

ANNOUNCED_MOST_SECONDS = 30.0
"""Where the kernel tells of what we wait for, looking is only for what it might have failed to tell."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """One place where the port may be; not tried before the search has gone on for `after_seconds`."""

    open_port: Callable[[], Awaitable[Port]]
    after_seconds: float = 0.0


class Search:
    """Opens the first of `ways` that can be opened: call it for a port."""

    def __init__(self, ways: Sequence[Way], clock: Callable[[], float] = time.monotonic) -> None:
        self._ways = ways
        self._clock = clock
        self._backoff = Backoff(first_seconds=LOOK_FIRST_SECONDS, most_seconds=ANNOUNCED_MOST_SECONDS)
        self._begun_at: float | None = None
        self._told: str | None = None

    async def __call__(self) -> Port:
        """The port.

        Raises:
            PortUnavailable: there is none, for a reason that was not raised before; call again.
            PortUnusable: none of the ways can ever be opened.

        """
        with uevents.listening() as news:
            while True:
                errors = await self._try_all()
                if not isinstance(errors, list):
                    return errors
                reason = "; ".join(map(str, errors))
                if reason != self._told:
                    self._told = reason
                    raise PortUnavailable("; ".join(map(_in_full, errors)))
                if await news.wait(self._wait_seconds(errors, are_heard=news.are_heard)):
                    self._backoff.reset()

    async def _try_all(self) -> Port | list[PortError]:
        """The port, or what is wrong with each way that may be tried by now."""
        now = self._clock()
        self._begun_at = now if self._begun_at is None else self._begun_at
        errors: list[PortError] = []
        for way in self._ways:
            if now - self._begun_at < way.after_seconds:
                break
            try:
                port = await way.open_port()
            except (PortUnavailable, PortUnusable) as error:
                errors.append(error)
            else:
                self._found(port, errors)
                return port
        _raise_if_hopeless(errors, self._ways)
        return errors

    def _found(self, port: Port, errors: list[PortError]) -> None:
        instead = f", for want of a better way: {'; '.join(map(_in_full, errors))}" if errors else ""
        unseen = "" if port.sees_host else " (it does not tell whether a host is there)"
        _logger.info("%s: open%s%s", port.path, unseen, instead)
        self._begun_at = self._told = None
        self._backoff.reset()

    def _wait_seconds(self, errors: list[PortError], *, are_heard: bool) -> float:
        """Until the next look, or until another way may be tried."""
        seconds = self._backoff.wait_seconds()
        if not are_heard or not all(isinstance(error, PortAbsent) for error in errors):
            seconds = min(seconds, LOOK_MOST_SECONDS)
        begun_at = self._begun_at or 0.0
        gone = self._clock() - begun_at
        return min([seconds, *(way.after_seconds - gone for way in self._ways if way.after_seconds > gone)])


def _raise_if_hopeless(errors: list[PortError], ways: Sequence[Way]) -> None:
    unusable = [error for error in errors if isinstance(error, PortUnusable)]
    if len(unusable) == len(ways):
        raise unusable[0]


def _in_full(error: PortError) -> str:
    """With the holder of a busy port: looked for only when it is about to be told."""
    if isinstance(error, PortBusy) and error.node is not None:
        return f"{error}: {holder.describe(error.node)}"
    return str(error)
