"""What the agent takes of its guest: memory, CPU with and without a host, room on the disk, time to start.

It is `guestagent.pyz` as it is shipped, started by its own first line, with its journal in a file; the host is the
protocol's own end behind a unix socket. A guest under emulation has its own figures beside them (`bench.guest`).
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.guest import emulated
from bench.hosting import HostEnd, listening
from bench.outcome import Outcome, Reading, Unit
from bench.process import cpu_seconds, resident_bytes
from bench.stage import Stage
from bench.timing import timed
from protocol.messages import Ack, Hello, Metrics, Report
from tests.lab.processes import Argument, Service, output_of
from tests.lab.progress import step
from tests.lab.waiting import pause

PROGRAM = Path(__file__).resolve().parents[1] / "guestagent.pyz"
INTERVAL_SECONDS = 10.0
REPORTS = 6  # a minute
ABSENT_SECONDS = 30.0
STARTS = 9
METRICS = Metrics(host_cpus=2, host_load1=0.5, host_time_seconds=1e9, domain_cpu_time_seconds_total=1e3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the agent took in a session, and then without a host."""

    session_cores: float
    absent_cores: float
    resident_bytes: int


def memory(stage: Stage) -> Outcome:
    """Resident memory after a minute in a session."""
    used = Reading(value=stage.once(_held).resident_bytes, unit=Unit.BYTES)
    beside = Reading(value=stage.once(emulated).resident_bytes, unit=Unit.BYTES, of="in an emulated guest")
    return Outcome(measured=used, beside=beside, judged=used)


def cpu(stage: Stage) -> Outcome:
    """CPU time in a session: a report and the host's metrics each interval."""
    used = Reading(value=stage.once(_held).session_cores, unit=Unit.CORES)
    return Outcome(measured=used, judged=used)


def cpu_absent(stage: Stage) -> Outcome:
    """CPU time with nobody at the other end; a virtio port of an emulated guest beside."""
    used = Reading(value=stage.once(_held).absent_cores, unit=Unit.CORES)
    of = "of an emulated guest's, at its virtio port"
    beside = Reading(value=stage.once(emulated).absent_cores, unit=Unit.CORES, of=of)
    return Outcome(measured=used, beside=beside, judged=used)


def size(_stage: Stage) -> Outcome:
    """The one file that a guest needs."""
    taken = Reading(value=PROGRAM.stat().st_size, unit=Unit.BYTES)
    return Outcome(measured=taken, judged=taken)


def start(_stage: Stage) -> Outcome:
    """From the start of the process to its hello; Python's own start beside."""
    with step("starting the agent again and again", about_seconds=10):
        pairs = [(_start_seconds(), timed(_start_python)) for _ in range(STARTS)]
    ours, theirs = zip(*pairs, strict=True)
    took = Reading(value=median(ours), unit=Unit.SECONDS, of=f"median of {STARTS}")
    return Outcome(
        measured=took,
        beside=Reading(value=median(theirs), unit=Unit.SECONDS, of="python3 -c pass"),
        judged=took,
    )


def _start_seconds() -> float:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="virtwire-bench-") as folder, _greeted(Path(folder)) as (_, host):
        host.hear(Hello)
        return time.perf_counter() - begun


def _start_python() -> None:
    output_of(["/usr/bin/env", "python3", "-c", "pass"])


def _held(_stage: Stage) -> Held:
    about = round(REPORTS * INTERVAL_SECONDS + ABSENT_SECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="virtwire-bench-") as folder,
        step("watching what the agent takes", about_seconds=about),
        contextlib.ExitStack() as agents,
    ):
        with _greeted(Path(folder), until=agents) as (agent, host):
            host.welcome(report_interval_seconds=INTERVAL_SECONDS)
            host.hear(Report)
            session = _cores(agent.pid, lambda: _converse(host))
            resident = resident_bytes(agent.pid)
        absent = _cores(agent.pid, lambda: pause(ABSENT_SECONDS))
    return Held(session_cores=session, absent_cores=absent, resident_bytes=resident)


def _converse(host: HostEnd) -> None:
    for _ in range(REPORTS):
        host.hear(Report)
        host.say(METRICS)
        host.hear(Ack)


def _cores(pid: int, meanwhile: Callable[[], None]) -> float:
    begun, before = time.monotonic(), cpu_seconds(pid)
    meanwhile()
    return (cpu_seconds(pid) - before) / (time.monotonic() - begun)


@contextlib.contextmanager
def _greeted(folder: Path, *, until: contextlib.ExitStack | None = None) -> Iterator[tuple[Service, HostEnd]]:
    """An agent that has just connected to us, who go at the block's end; it ends then, or with `until`."""
    with contextlib.ExitStack() as down, listening(folder / "host") as listener:
        agent = Service(_command(folder), log=folder / "agent.log")
        (until or down).callback(agent.stop)
        line = down.enter_context(listener.accept()[0])
        line.setblocking(True)
        yield agent, HostEnd(line)


def _command(folder: Path) -> list[Argument]:
    files = {
        "--port": "host",
        "--journal": "journal.sqlite",
        "--socket": "agent.sock",
        "--notices-socket": "notices.sock",
        "--emit-socket": "emit.sock",
        "--hooks": "hooks.d",
    }
    return [PROGRAM, "run", *(word for option, name in files.items() for word in (option, folder / name))]
