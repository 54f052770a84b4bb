"""``python -m bench.crowd FOLDER GUESTS SECONDS``: as many guests as wanted, behind sockets as QEMU would listen on.

A process of its own, so that what the guests cost is not counted as hostd's. Each is the protocol's own guest end: it
greets when asked, reports every so many seconds (each at its own moment), and acknowledges. A report's uptime is this
machine's monotonic clock when it was sent: whoever sees it on a page knows how long it took to get there.
"""

import asyncio
import random
import sys
import time
from pathlib import Path

from protocol.connection import Connection, Message, Received
from protocol.messages import (
    Ack,
    CpuTimes,
    Filesystem,
    Hello,
    HelloRequest,
    Load,
    Memory,
    Metrics,
    Notice,
    Ping,
    Report,
    Role,
    Welcome,
)

FILESYSTEMS = 10  # with all else about a hundred values


def socket_of(folder: Path, number: int) -> Path:
    """Where the guest of that number is."""
    return folder / f"{number}.sock"


def report(now: float) -> Report:
    """A hundred values, of which those that change in a real guest do."""
    busy = random.random()  # noqa: S311 - nothing secret
    return Report(
        uptime_seconds=now,
        cpus=4,
        cpu=CpuTimes(
            user_seconds=now + busy,
            nice_seconds=0.0,
            system_seconds=now / 3 + busy,
            idle_seconds=now * 3,
            iowait_seconds=busy,
            irq_seconds=0.0,
            softirq_seconds=busy,
            steal_seconds=busy,
        ),
        memory=Memory(
            total_bytes=1 << 32,
            free_bytes=int(busy * (1 << 30)),
            available_bytes=int(busy * (1 << 31)),
            buffers_bytes=1 << 20,
            cached_bytes=1 << 28,
            swap_total_bytes=1 << 30,
            swap_free_bytes=1 << 30,
        ),
        load=Load(load1=busy, load5=busy / 2, load15=busy / 3),
        filesystems=tuple(
            Filesystem(
                mountpoint=f"/srv/data/{number}",
                device=f"/dev/vd{number}",
                fstype="ext4",
                size_bytes=1 << 40,
                free_bytes=int(busy * (1 << 39)),
                available_bytes=int(busy * (1 << 38)),
                files=1 << 24,
                files_free=int(busy * (1 << 23)),
            )
            for number in range(FILESYSTEMS)
        ),
    )


class _Guest(asyncio.Protocol):
    """One connection of hostd's."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._connection = Connection(Role.GUEST)
        self._transport: asyncio.Transport | None = None
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whichever way
        self._stop()

    def data_received(self, data: bytes) -> None:
        for item in self._connection.receive(data):
            if isinstance(item, Received):
                self._take(item)

    def _take(self, received: Received) -> None:
        match received.message:
            case HelloRequest():
                self._stop()
                nonce = random.getrandbits(63)
                self._send(Hello(version_min=1, version_max=1, nonce=nonce, agent_version="crowd", window=4))
            case Welcome():
                wait = random.random() * self._interval_seconds  # noqa: S311
                self._next = asyncio.get_running_loop().call_later(wait, self._report)
            case Metrics() | Ping() | Notice():
                self._send(Ack(sequence=received.sequence))
            case _:
                return

    def _report(self) -> None:
        self._next = asyncio.get_running_loop().call_later(self._interval_seconds, self._report)
        self._send(report(time.monotonic()))

    def _send(self, message: Message) -> None:
        assert self._transport is not None
        for frame in self._connection.send(message):
            self._transport.write(frame)

    def _stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None


async def serve(folder: Path, guests: int, interval_seconds: float) -> None:
    """Until the process is ended."""
    loop = asyncio.get_running_loop()
    for number in range(guests):
        await loop.create_unix_server(lambda: _Guest(interval_seconds), socket_of(folder, number))
    sys.stdout.write("all are there\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
