"""One real guest, emulated: how long its agent takes to answer, and what it takes there.

A ping of the host's is answered with an acknowledgement. Beside it, by turns, as many bytes come back from an echo in
the same guest, at another port of the same device, that opens, reads and writes it with the agent's own code for ports:
what is more than that is the protocol's. And, at a third, from a loop that does nothing but to block in `read` and to
`write`, which no agent could. An emulated processor is many times slower than a real one, so only multiples count.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from bench.hosting import HostEnd, connected
from bench.outcome import Outcome, Reading, Unit, ratio
from bench.stage import Stage
from bench.timing import alternately
from protocol.messages import Ack, Ping, Report
from tests.lab.guest import AGENT_CHANNEL, Guest, GuestSpec
from tests.lab.libvirtd import private_libvirt
from tests.lab.progress import step
from tests.lab.waiting import pause, wait_for

ROUNDS = 300
INTERVAL_SECONDS = 10.0
ABSENT_SECONDS = 10.0
ECHO_CHANNEL = "io.virtwire.echo.0"
LOOP_CHANNEL = "io.virtwire.loop.0"

_CHANNEL = "<channel type='unix'><source mode='bind'/><target type='virtio' name='{}'/></channel>"
_NODE = """
import sys
from pathlib import Path

names = Path("/sys/class/virtio-ports").glob("*/name")
node = next(f"/dev/{name.parent.name}" for name in names if name.read_text().strip() == sys.argv[1])
"""
_ECHO = f"""{_NODE}
import asyncio

from guestagent.ports.virtio import open_port


async def main():
    port = await open_port(node)
    while data := await port.read():
        await port.write(data)


asyncio.run(main())
"""
_LOOP = f"""{_NODE}
import os

line = os.open(node, os.O_RDWR)
while data := os.read(line, 4096):
    os.write(line, data)
"""
# The process's own clock (clock_getcpuclockid(3)) and its resident memory, in kB.
_USE = r"""
import re
import time
from pathlib import Path

files = Path("/proc").glob("[0-9]*/cmdline")
pid = next(int(file.parent.name) for file in files if b"guestagent.pyz\0run" in file.read_bytes())
print(time.clock_gettime(~pid << 3 | 2), *re.findall("VmRSS:\\s+(\\d+)", Path(f"/proc/{pid}/status").read_text()))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """What was seen of the agent in the guest; times are medians of seconds."""

    answer_seconds: float
    echo_seconds: float
    loop_seconds: float
    resident_bytes: int
    absent_cores: float


def round_trip(stage: Stage) -> Outcome:
    """From a ping's sending to its acknowledgement, as a multiple of an echo's."""
    seen = stage.once(emulated)
    measured = Reading(value=seen.answer_seconds, unit=Unit.SECONDS, of=f"median of {ROUNDS}")
    of = f"an echo ({seen.loop_seconds * 1e3:.1f} ms, a loop that blocks)"
    beside = Reading(value=seen.echo_seconds, unit=Unit.SECONDS, of=of)
    return Outcome(measured=measured, beside=beside, judged=ratio(measured, beside))


def emulated(_stage: Stage) -> Emulated:
    """Boot the guest and watch it; half a minute."""
    with _booted() as guest, step("an emulated guest", about_seconds=round(ABSENT_SECONDS) + 5):
        _wait_for_agent(guest)
        begun, (before, _) = time.monotonic(), _used(guest)
        pause(ABSENT_SECONDS)
        absent = (_used(guest)[0] - before) / (time.monotonic() - begun)
        with (
            _echoing(guest, ECHO_CHANNEL, _ECHO) as echo,
            _echoing(guest, LOOP_CHANNEL, _LOOP) as loop,
            connected(guest.channel_path(AGENT_CHANNEL)) as line,
        ):
            host = HostEnd(line)
            host.ask_for_hello()
            host.welcome(report_interval_seconds=INTERVAL_SECONDS)
            host.hear(Report)
            size = _ping(host)
            calls = (lambda: _ping(host), lambda: _echo(echo, size), lambda: _echo(loop, size))
            answers, echoes, loops = alternately(ROUNDS, *calls)
            resident = _used(guest)[1]
    return Emulated(
        answer_seconds=median(answers),
        echo_seconds=median(echoes),
        loop_seconds=median(loops),
        resident_bytes=resident,
        absent_cores=absent,
    )


def _wait_for_agent(guest: Guest) -> None:
    """Until it has its port; in an emulated guest, its start takes seconds of CPU."""

    def waits_for_host() -> bool:
        return "no host at the other end" in guest.run(["guestagent", "status"], check=False).stdout

    wait_for("the agent has its port", waits_for_host, deadline=60, interval=1.0, evidence=guest.evidence)


def _used(guest: Guest) -> tuple[float, int]:
    """The agent's CPU seconds so far, and its memory in bytes."""
    seconds, kilobytes = guest.run(["python3", "-c", _USE]).stdout.split()
    return float(seconds), int(kilobytes) * 1024


def _ping(host: HostEnd) -> int:
    """How many bytes it was."""
    size = host.say(Ping())
    host.hear(Ack)
    return size


def _echo(line: socket.socket, size: int) -> None:
    line.sendall(bytes(size))
    while size:
        size -= len(line.recv(size))


@contextlib.contextmanager
def _booted() -> Iterator[Guest]:
    channels = tuple(_CHANNEL.format(name) for name in (ECHO_CHANNEL, LOOP_CHANNEL))
    with private_libvirt() as libvirtd:
        guest = Guest.define(libvirtd, GuestSpec(name="measured", extra_devices=channels))
        with step("booting an emulated guest", about_seconds=10):
            guest.start()
            guest.wait_ready()
        yield guest
        guest.remove()


@contextlib.contextmanager
def _echoing(guest: Guest, channel: str, program: str) -> Iterator[socket.socket]:
    """A line on which what is sent comes back; the program ends when we hang up."""
    with connected(guest.channel_path(channel)) as line:
        start = 'PYTHONPATH=/opt/virtwire/guestagent.pyz python3 -c "$1" "$2" </dev/null >/dev/null 2>&1 &'
        guest.run(["sh", "-c", start, "sh", program, channel])
        yield line
