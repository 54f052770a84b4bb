"""Child processes of the lab: each is ours, has its log in a file, and is ended by its own pid."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.waiting import wait_for

Argument = str | Path


class CommandFailedError(RuntimeError):
    """A command ended with a non-zero status. The message holds what it said."""


def output_of(argv: Sequence[Argument], *, folder: Path | None = None, stdin: str | None = None) -> str:
    """Run a command to its end and give its standard output; a failure tells the whole story."""
    done = subprocess.run(argv, cwd=folder, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        command = " ".join(str(part) for part in argv)
        raise CommandFailedError(f"{command}\nexit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended after it was told to."""

    code: int  # negative: the signal that ended it
    seconds: float


class Service:
    """One long-running child process with its output in a log file, and its pid in a file beside that."""

    def __init__(
        self,
        argv: Sequence[Argument],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start it. In its own session, a Ctrl-C at the terminal reaches us alone, and we end it in order."""
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                argv,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        log.with_suffix(".pid").write_text(str(self.pid))

    @property
    def pid(self) -> int:
        """The process id, which names a zombie once the process has ended."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self.process.poll() is None

    def stop(self, deadline: float = 15) -> Exit:
        """Ask it to end (SIGTERM); SIGKILL after the deadline. An ended process is fine, too."""
        started = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return Exit(code=self.process.wait(), seconds=time.monotonic() - started)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def log_tail(self, lines: int = 40) -> str:
        """Give the end of its log, for the message of a failure."""
        return tail(self.log, lines)


def tail(log: Path, lines: int = 40) -> str:
    """Give the end of a log file under a line that names it."""
    text = log.read_text(errors="replace") if log.exists() else "(no such file)"
    return "\n".join([f"--- {log} ---", *text.splitlines()[-lines:]])


def kill_and_wait(pid: int, deadline: float = 15) -> None:
    """End a process that is not our child (a QEMU is libvirtd's) and wait until it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for(f"end of process {pid}", lambda: not alive(pid), deadline=deadline)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process (SIGSTOP) for as long as the block lasts, as a hung one stands still; it may end meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie (a container may have no init that reaps them)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def belongs_to(pid: int, folder: Path) -> bool:
    """Whether a process was started with this folder in its command line, so that a reused pid is left alone."""
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
