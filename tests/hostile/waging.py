"""Carries out one attack over one line: moves bytes, keeps time, and counts what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile import lines
from tests.hostile.attacks import Attack
from tests.hostile.lines import Gone, Line
from tests.hostile.peer import Peer

LOOK_SECONDS = 0.1


@dataclass
class Tally:
    """What was done, and what the host made of it."""

    sent_bytes: int = 0
    pieces: int = 0
    heard_bytes: int = 0
    connections: int = 0
    hang_ups: int = 0

    def __str__(self) -> str:
        return (
            f"{self.sent_bytes / 1e6:.2f} MB in {self.pieces} pieces sent, {self.heard_bytes / 1e3:.1f} kB heard, "
            f"{self.connections} connections, hung up on {self.hang_ups} times"
        )


@dataclass
class Pace:
    """How many bytes may go now, if there is a rate."""

    bytes_per_second: float | None
    begun: float
    spent: int = 0

    def allows(self, now: float) -> int:
        """So many."""
        if self.bytes_per_second is None:
            return lines.READ_BYTES
        return max(0, int((now - self.begun) * self.bytes_per_second) - self.spent)


def wage(
    attack: Attack, line: Line, is_over: Callable[[], bool], *, tally: Tally, bytes_per_second: float | None = None
) -> None:
    """Attack whoever comes, until it is over; `tally` is kept up to date meanwhile."""
    pace = Pace(bytes_per_second, time.monotonic())
    while not is_over():
        fd = line.connected()
        if fd is None:
            continue
        tally.connections += 1
        try:
            _Assault(attack, fd, tally, pace).go_on(is_over)
        except Gone:
            tally.hang_ups += 1
        finally:
            line.hung_up(fd)


class _Assault:
    """Over one connection."""

    def __init__(self, attack: Attack, fd: int, tally: Tally, pace: Pace) -> None:
        self._attack = attack
        self._fd = fd
        self._tally = tally
        self._pace = pace
        self._peer = Peer()
        self._pieces = attack.pieces(self._peer)
        self._unsent = b""
        self._next_at = 0.0

    def go_on(self, is_over: Callable[[], bool]) -> None:
        """Until it is over.

        Raises:
            Gone: the host has hung up.

        """
        while not is_over():
            now = time.monotonic()
            if self._hears:
                self._hear()
            if not self._unsent and now >= self._next_at and (self._peer.is_open or not self._attack.greets):
                self._unsent = next(self._pieces)
                self._next_at = now + self._attack.pause_seconds
                self._tally.pieces += 1
            sent = self._send(now) if self._unsent else 0
            if not sent:
                may_send = bool(self._unsent) and self._pace.allows(now) > 0
                seconds = min(LOOK_SECONDS, max(0.005, self._next_at - now)) if self._next_at > now else LOOK_SECONDS
                lines.wait(self._fd, seconds, reads=self._hears, writes=may_send)

    @property
    def _hears(self) -> bool:
        return not (self._attack.is_deaf and self._peer.is_open)

    def _hear(self) -> None:
        data = lines.read(self._fd)
        self._tally.heard_bytes += len(data)
        answers = self._peer.hear(data)
        if self._attack.greets:
            self._unsent += answers

    def _send(self, now: float) -> int:
        sent = lines.write(self._fd, self._unsent[: self._pace.allows(now)])
        self._pace.spent += sent
        self._tally.sent_bytes += sent
        self._unsent = self._unsent[sent:]
        return sent
