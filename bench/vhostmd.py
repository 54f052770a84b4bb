"""What it costs hostd to stand in for vhostmd: a hundred domains that ask for SAP's metrics, and one that never stops.

hostd is a process of its own; libvirt's test driver says that there are such domains, and this process listens where
QEMU would and asks as their guests. Beside it stands what vhostmd has to do for the same: a shell for each metric of
each domain, in which virsh opens a connection of its own.
"""

import asyncio
import resource
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.outcome import Outcome, Reading, Unit
from bench.pretended import node_xml
from bench.process import cpu_seconds
from bench.stage import Stage
from bench.timing import percentile
from protocol import vhostmd
from tests.lab.daemon import Hostd
from tests.lab.progress import step

DOMAINS = 100
ROUNDS = 10
PERIOD_SECONDS = 5.0
WATCHED_SECONDS = 30.0
CONNECT_SECONDS = 60.0
ANSWER_SECONDS = 5.0  # after which libmetrics gives up
APART_SECONDS = 1.1  # a channel is answered once a second
GARBAGE = b"GET /etc/passwd\n\n" * 4096

_MAX_ANSWER_BYTES = 1 << 20
_ONE_METRIC = "virsh -c test:///default dominfo test | awk '/^CPU time/ { print $3 }'"
_METRICS_EACH = 4  # of a domain, in SAP's set
_ASKED_BY_SHELL = 20

_CONFIG = """
[[connection]]
uri = "test://{folder}/node.xml"
[http]
listen = "{address}"
[sampling]
interval_seconds = 3600
[history]
path = ""
[vhostmd]
set = "sap"
period_seconds = {period_seconds}
{vhostmd}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Shares of a core, and seconds to each answer."""

    idle_cores: float  # without vhostmd's side
    asked_cores: float
    listening_cores: float  # with it, while nobody asks
    flooded_cores: float
    answers: Sequence[float]
    flooded_answers: Sequence[float]


def cpu(stage: Stage) -> Outcome:
    """What the answers, and a disk for all that is written as often, add to hostd's CPU."""
    run = stage.once(_measure)
    added = max(0.0, run.asked_cores - run.idle_cores)
    return Outcome(
        measured=Reading(value=added, unit=Unit.CORES, of=f"more than the {100 * run.idle_cores:.2f} % without"),
        beside=Reading(value=_by_shell(), unit=Unit.CORES, of="a shell and virsh a metric, the host's own left out"),
        judged=Reading(value=added, unit=Unit.CORES),
    )


def answers(stage: Stage) -> Outcome:
    """How long answers take when all ask in the same moment."""
    seconds = stage.once(_measure).answers
    p99 = Reading(value=percentile(seconds, 99), unit=Unit.SECONDS, of=f"p99 of {len(seconds):,}, {DOMAINS} at once")
    beside = Reading(value=percentile(seconds, 50), unit=Unit.SECONDS, of="median")
    return Outcome(measured=p99, beside=beside, judged=p99)


def flood(stage: Stage) -> Outcome:
    """What a guest that never stops adds to hostd's CPU; the others have to be answered in time."""
    run = stage.once(_measure)
    added = max(0.0, run.flooded_cores - run.listening_cores)
    latest = max(run.flooded_answers)
    others = f"more; the others' latest answer after {latest * 1e3:.0f} ms"
    return Outcome(
        measured=Reading(value=added, unit=Unit.CORES, of=others),
        beside=Reading(value=max(run.answers), unit=Unit.SECONDS, of="their latest before"),
        judged=Reading(value=added, unit=Unit.CORES),
        holds=latest < ANSWER_SECONDS,
    )


def _measure(_stage: Stage) -> Measured:
    return asyncio.run(_measured())


async def _measured() -> Measured:
    async with _hostd("virtio = false") as (hostd, _):
        with step("watching hostd without vhostmd's side", about_seconds=round(WATCHED_SECONDS)):
            idle = await _watched(hostd)
    async with _hostd('disk_path = "{folder}/metrics.disk"') as (hostd, guests):
        with step(f"{DOMAINS} domains ask every {PERIOD_SECONDS:g} s", about_seconds=round(WATCHED_SECONDS)):
            async with _in_the_background(_asking(guests)):
                asked = await _watched(hostd)
        quiet: list[float] = []
        with step(f"{ROUNDS * DOMAINS:,} requests", about_seconds=round(ROUNDS * APART_SECONDS)):
            for _ in range(ROUNDS):
                await asyncio.sleep(APART_SECONDS)
                quiet += await _all_ask(guests)
        with step("one that never stops, and the others", about_seconds=round(2 * WATCHED_SECONDS)):
            listening = await _watched(hostd)
            async with _in_the_background(_flooding(guests[0])):
                flooded = await _watched(hostd)
                late = [seconds for _ in range(ROUNDS) for seconds in await _asked_later(guests[1:])]
    return Measured(
        idle_cores=idle,
        asked_cores=asked,
        listening_cores=listening,
        flooded_cores=flooded,
        answers=quiet,
        flooded_answers=late,
    )


class _Guest:
    """A channel's two ends in one: the socket that QEMU would listen at, and who asks in the guest."""

    def __init__(self) -> None:
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.is_connected = asyncio.Event()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The host's end is there."""
        self._reader, self._writer = reader, writer
        self.is_connected.set()

    async def ask(self) -> float:
        """Ask once; the seconds to the end of the answer."""
        assert self._reader is not None
        assert self._writer is not None
        begun = time.perf_counter()
        self._writer.write(vhostmd.REQUEST)
        async with asyncio.timeout(CONNECT_SECONDS):
            answer = await self._reader.readuntil(vhostmd.END)
        if b"TotalCPUTime" not in answer:
            raise ValueError(f"this is no answer: {answer[:200]!r}")
        return time.perf_counter() - begun

    async def flood(self) -> None:
        """Send what nobody asks for, as much as goes, and read nothing of what comes of it."""
        assert self._writer is not None
        while True:
            self._writer.write(GARBAGE)
            await self._writer.drain()

    def hang_up(self) -> None:
        """The host's end is to see the end."""
        if self._writer is not None:
            self._writer.close()


@asynccontextmanager
async def _hostd(vhostmd_: str) -> AsyncIterator[tuple[Hostd, Sequence[_Guest]]]:
    async with AsyncExitStack() as down:
        folder = Path(down.enter_context(tempfile.TemporaryDirectory(prefix="virtwire-bench-")))
        guests = [_Guest() for _ in range(DOMAINS)]
        for number, guest in enumerate(guests):
            server = await asyncio.start_unix_server(
                guest.connected, _socket_of(folder, number), limit=_MAX_ANSWER_BYTES
            )
            down.callback(server.close)
            down.callback(guest.hang_up)
        node = node_xml(DOMAINS, lambda number: _socket_of(folder, number), channel=vhostmd.CHANNEL)
        (folder / "node.xml").write_text(node)
        hostd = Hostd("", folder)
        settings = {"folder": folder, "address": hostd.address, "period_seconds": PERIOD_SECONDS}
        hostd.config.write_text(_CONFIG.format(**settings, vhostmd=vhostmd_.format(folder=folder)), encoding="utf-8")
        down.push_async_callback(asyncio.to_thread, hostd.stop)
        await asyncio.to_thread(hostd.start)
        if vhostmd_ != "virtio = false":
            async with asyncio.timeout(CONNECT_SECONDS):
                for guest in guests:
                    await guest.is_connected.wait()
        await asyncio.to_thread(hostd.wait_for_sample, "libvirt_domains", {}, lambda count: count == DOMAINS)
        yield hostd, guests


def _socket_of(folder: Path, number: int) -> Path:
    return folder / f"{number}.socket"


async def _watched(hostd: Hostd) -> float:
    """The share of a core that it takes for a while."""
    pid = hostd.service.pid
    begun, before = time.monotonic(), cpu_seconds(pid)
    await asyncio.sleep(WATCHED_SECONDS)
    return (cpu_seconds(pid) - before) / (time.monotonic() - begun)


async def _all_ask(guests: Sequence[_Guest]) -> list[float]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(guest.ask()) for guest in guests]
    return [task.result() for task in tasks]


async def _asked_later(guests: Sequence[_Guest]) -> list[float]:
    await asyncio.sleep(APART_SECONDS)
    return await _all_ask(guests)


async def _asking(guests: Sequence[_Guest]) -> None:
    """Each at a moment of its own, as real guests do."""
    while True:
        for guest in guests:
            await guest.ask()
            await asyncio.sleep(PERIOD_SECONDS / DOMAINS)


async def _flooding(guest: _Guest) -> None:
    with suppress(ConnectionError):
        await guest.flood()


@asynccontextmanager
async def _in_the_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()


def _by_shell() -> float:
    """The share of a core that the domains' metrics of that set take in a shell each, every period."""
    before = _children_seconds()
    for _ in range(_ASKED_BY_SHELL):
        subprocess.run(["sh", "-c", _ONE_METRIC], check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607 - our words
    each = (_children_seconds() - before) / _ASKED_BY_SHELL
    return each * _METRICS_EACH * DOMAINS / PERIOD_SECONDS


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
