"""A guest that asks as of vhostmd: what comes on its port is heard, judged and answered with the moment's document.

Nothing is read while an answer is on its way or not yet due: a guest that asks too much fills its own buffers, and
waits. So it can cost one document a second and a few dozen reads, whatever it writes.

Nobody tells the host when a program in the guest opens or closes the port. A program that gave up, after five seconds,
leaves its answer behind, and the next one would take it for its own. So an answer that QEMU has not taken wholly in
time is taken away with the connection: QEMU forgets what it has not read of one that was closed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from enum import StrEnum
from typing import NoReturn, TypeAlias

from hostd import telemetry
from hostd.channels import peer
from hostd.channels.mentions import Kind, Mentions
from hostd.model.world import World
from hostd.store import Store
from protocol import vhostmd
from protocol.bucket import full
from protocol.vhostmd import Requests, Verdict

Answer: TypeAlias = Callable[[World, str], bytes]
"""What a domain's guest is told, by the domain's UUID; the end of an answer at its end."""

_log = logging.getLogger(__name__)

READ_BYTES = 4096  # QEMU's own helping: what a guest wrote at once is judged at once
READS_PER_SECOND = 20.0  # a request byte by byte, each second
READS_RESERVE = 100.0
REST_SECONDS = 0.5  # beyond the debt, for waking costs more than reading
PACE_SECONDS = 1.0  # between two answers, as KubeVirt has it
TAKEN_SECONDS = 4.0  # vm-dump-metrics waits for five
FORGET_SECONDS = 5.0
QUIET_SECONDS = 600.0
FIRST_LOOK_SECONDS = 0.05  # nothing waits for it: the next answer is not due before a second is over
MOST_LOOK_SECONDS = 0.25
FILL_SECONDS = 0.01  # while there is more than a socket holds
MAX_ANSWER_BYTES = (16 << 20) - 2  # what vm-dump-metrics has room for

EMPTY = vhostmd.document(()) + b"\n"


class Result(StrEnum):
    """What came of a request."""

    ANSWERED = "answered"
    INVALID = "invalid"
    OVERLONG = "overlong"
    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    UNREAD = "unread"
    FORGOTTEN = "forgotten"


class Hold(StrEnum):
    """Why a guest waited."""

    PACE = "pace"
    READS = "reads"


_REFUSED = {Verdict.INVALID: Result.INVALID, Verdict.OVERLONG: Result.OVERLONG}


class Asker:
    """One domain's. What it has cost outlives its connections."""

    def __init__(self, store: Store, uuid: str, answer: Answer) -> None:
        self.mentions = Mentions(f"vhostmd channel of {uuid}")
        self._store = store
        self._uuid = uuid
        self._answer = answer
        self._connection = store.world.connection.name
        self._reads = full(READS_PER_SECOND, READS_RESERVE)
        self._due_at = 0.0  # the next answer

    async def serve(self, channel: socket.socket) -> NoReturn:
        """Answer over one connection.

        Raises:
            OSError: it is over.

        """
        requests, heard_at = Requests(), _now()
        while True:
            data = await self._read(channel)
            now = _now()
            if now - heard_at >= FORGET_SECONDS and requests.forget():  # whoever began it has given up
                self._count(Result.FORGOTTEN)
            heard_at = now
            verdict = requests.receive(data)
            if verdict is not None:
                await self._reply(channel, verdict)
            await self._rest()

    async def _read(self, channel: socket.socket) -> bytes:
        """The next helping.

        One who hears nothing for long opens the channel anew, for QEMU may be holding it back: a port that nobody
        listened at when its domain was moved, saved or went on from a pause says nothing to the first who comes.
        """
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    data = await asyncio.get_running_loop().sock_recv(channel, READ_BYTES)
            except TimeoutError:
                if self._is_running():
                    raise ConnectionAbortedError(f"nothing came for {QUIET_SECONDS:g} s; opened anew") from None
            else:
                if not data:
                    raise ConnectionResetError("QEMU closed the channel")
                return data

    async def _reply(self, channel: socket.socket, verdict: Verdict) -> None:
        wait_seconds = self._due_at - _now()
        if wait_seconds > 0:
            await self._hold(Hold.PACE, wait_seconds)
        self._due_at = _now() + PACE_SECONDS
        result, text = self._refusal(verdict) if verdict in _REFUSED else self._document()
        try:
            await self._deliver(channel, text)
        except OSError:
            self._count(Result.UNREAD)
            raise
        self._count(result)

    def _refusal(self, verdict: Verdict) -> tuple[Result, bytes]:
        self._say(logging.DEBUG, Kind.INPUT, f"{verdict.value}: it asked for something else than {vhostmd.REQUEST!r}")
        return _REFUSED[verdict], vhostmd.INVALID

    def _document(self) -> tuple[Result, bytes]:
        world = self._store.world
        if self._uuid not in world.domains:
            raise ConnectionAbortedError("the domain is gone")
        text = self._answer(world, self._uuid)
        if len(text) > MAX_ANSWER_BYTES:
            self._say(logging.WARNING, Kind.FAILED, f"the document has {len(text)} bytes; configure fewer metrics")
            return Result.TOO_LONG, EMPTY
        if text.find(vhostmd.END) != len(text) - len(vhostmd.END):  # what came behind would be the next one's answer
            self._say(logging.WARNING, Kind.FAILED, "the document has an empty line before its end, or none there")
            return Result.MALFORMED, EMPTY
        return Result.ANSWERED, text

    async def _deliver(self, channel: socket.socket, text: bytes) -> None:
        """Send it and see it taken.

        The time that a domain stands still does not count. It stands still for who asked as well, and he still waits:
        to him it is the answer to what he asked a moment ago. And a port whose host goes away in a pause may be
        one that QEMU holds back for ever.

        Raises:
            OSError: QEMU is gone, or nobody takes it.

        """
        unsent, left_seconds, look_seconds = memoryview(text), TAKEN_SECONDS, FIRST_LOOK_SECONDS
        while True:
            unsent = unsent[_sent(channel, unsent) :]
            if not unsent and peer.is_taken(channel):
                return
            if left_seconds <= 0:
                raise ConnectionAbortedError(f"nobody read the answer within {TAKEN_SECONDS:g} s; opened anew")
            was_running, began = self._is_running(), _now()
            await asyncio.sleep(FILL_SECONDS if unsent else look_seconds)
            if was_running and self._is_running():
                left_seconds -= _now() - began
            if not unsent:
                look_seconds = min(2 * look_seconds, MOST_LOOK_SECONDS)

    async def _rest(self) -> None:
        debt_seconds = self._reads.spend(_now(), 1.0)
        if debt_seconds:
            await self._hold(Hold.READS, debt_seconds + REST_SECONDS)

    async def _hold(self, reason: Hold, seconds: float) -> None:
        telemetry.VHOSTMD_HELD_BACK.labels(self._connection, reason.value).inc()
        await asyncio.sleep(seconds)

    def _is_running(self) -> bool:
        domain = self._store.world.domains.get(self._uuid)
        return domain is not None and domain.is_running

    def _count(self, result: Result) -> None:
        telemetry.VHOSTMD_REQUESTS.labels(self._connection, result.value).inc()

    def _say(self, level: int, kind: Kind, text: str) -> None:
        self.mentions.say(_log, level, kind, text, _now())


def _sent(channel: socket.socket, data: memoryview) -> int:
    """How much of it the kernel took."""
    try:
        return channel.send(data)
    except BlockingIOError:
        return 0


def _now() -> float:
    return asyncio.get_running_loop().time()
