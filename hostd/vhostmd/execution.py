"""One program of the operator's, run to its end within limits. It blocks: run it in a thread.

Why not asyncio's subprocesses: they start a program on the event loop, which then waits until the program's file is
read (on a dead file server for ever), and they reap it at once. Here the program leads a process group of its own, and
the group is killed at the end, however that came, *before* the program is reaped: until then its number is its own.

The file is looked at before: Python has the child share its memory until it is another program, and meanwhile none of
hostd's threads could go on. What hangs there has hung in that look already, in this thread alone.
"""

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAX_OUTPUT_BYTES = 4096
MAX_ERROR_BYTES = 1024  # of what it says on standard error; the rest is read and forgotten

SUCCEEDED, FAILED, NOT_STARTED = "succeeded", "failed", "not_started"
TIMED_OUT, TOO_LONG, STOPPED = "timed_out", "too_long", "stopped"

_READ_BYTES = 65536
_DRAIN_READS = 16  # at the end: whoever still writes then is about to be killed
_LOOK_BYTES = 256  # what the kernel reads of it to know what it is


@dataclass(frozen=True, slots=True)
class Identity:
    """Who runs it, with all groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is run. It inherits nothing but its environment."""

    arguments: Sequence[str | bytes]  # the first is the program, looked for in the environment's PATH
    environment: Mapping[str, str]
    timeout_seconds: float
    identity: Identity | None = None  # None is hostd's own


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended, in one of the words above, and what more there is to say of that."""

    result: str
    why: str = ""
    output: bytes = b""
    errors: bytes = b""  # the beginning of it


class Stop:
    """Ends all runs that it was given to, from any thread, once and for all; closed with the last that has it."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """What can be read from once it is set."""
        return self._descriptor

    def set(self) -> None:
        """End them."""
        os.eventfd_write(self._descriptor, 1)

    def __del__(self) -> None:
        os.close(self._descriptor)


def run(program: Program, stop: Stop) -> Outcome:
    """Run it, for as long as it may take, or until `stop` is set."""
    name = os.fsdecode(program.arguments[0])
    path = shutil.which(name, path=program.environment["PATH"])
    if path is None:
        return Outcome(NOT_STARTED, f"no program {name!r} is to be found in {program.environment['PATH']}")
    _look_at(path)
    try:
        process = _started(program, path)
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # ValueError: a NUL in an argument
        who = f" as {program.identity.name}" if program.identity else ""
        return Outcome(NOT_STARTED, f"{path} cannot be run{who}: {getattr(error, 'strerror', None) or error}")
    return _attend(process, program.timeout_seconds, stop)


def _look_at(path: str) -> None:
    with suppress(OSError), Path(path).open("rb", buffering=0) as file:  # it may be such that it can only be run
        file.read(_LOOK_BYTES)


def _started(program: Program, path: str) -> subprocess.Popen[bytes]:
    who = program.identity
    return subprocess.Popen(  # noqa: S603 - the operator's own words, and never a shell
        [argument if isinstance(argument, bytes) else argument.encode() for argument in program.arguments],
        executable=path,
        env={name: value.encode(errors="replace") for name, value in program.environment.items()},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        user=who.uid if who else None,
        group=who.gid if who else None,
        extra_groups=who.groups if who else None,
    )


def _attend(process: subprocess.Popen[bytes], timeout_seconds: float, stop: Stop) -> Outcome:
    output, errors = _Stream(process.stdout, MAX_OUTPUT_BYTES + 1), _Stream(process.stderr, MAX_ERROR_BYTES)
    ended = Outcome(NOT_STARTED, "it could not be waited for")
    try:
        ended = _watch(process, output, errors, time.monotonic() + timeout_seconds, stop)
    finally:
        with suppress(ProcessLookupError, PermissionError):  # nobody left, or nobody we may end
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        output.close()
        errors.close()
    if ended.result == SUCCEEDED and status:
        why = f"it was ended by signal {-status}" if status < 0 else f"exit status {status}"
        return Outcome(FAILED, why, errors=bytes(errors.kept))
    if ended.result == TIMED_OUT:
        return Outcome(TIMED_OUT, f"it took longer than {timeout_seconds:g} s", errors=bytes(errors.kept))
    return Outcome(ended.result, ended.why, bytes(output.kept), bytes(errors.kept))


def _watch(
    process: subprocess.Popen[bytes], output: "_Stream", errors: "_Stream", deadline: float, stop: Stop
) -> Outcome:
    """Read until it has ended, which its status then tells more of, or has to be."""
    with ExitStack() as undo:
        end = os.pidfd_open(process.pid)  # readable once it has ended, reaped or not
        undo.callback(os.close, end)
        selector = undo.enter_context(selectors.DefaultSelector())
        for source in (output.descriptor, errors.descriptor, end, stop.fileno()):
            selector.register(source, selectors.EVENT_READ)
        ready: set[int] = set()
        while end not in ready:
            ready = {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
            if stop.fileno() in ready:
                return Outcome(STOPPED)
            if not ready and time.monotonic() >= deadline:
                return Outcome(TIMED_OUT)
            for stream in (output, errors):
                if stream.descriptor in ready and not stream.read():
                    selector.unregister(stream.descriptor)
            if output.is_full:
                break
        for stream in (output, errors):
            for _ in range(_DRAIN_READS):
                stream.read()
    return Outcome(TOO_LONG, f"it printed more than {MAX_OUTPUT_BYTES} bytes") if output.is_full else Outcome(SUCCEEDED)


class _Stream:
    """What it prints, up to a bound; what is over that is read, so that nobody waits, and forgotten."""

    def __init__(self, pipe: IO[bytes] | None, most_bytes: int) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._most_bytes = most_bytes
        self.descriptor = pipe.fileno()
        self.kept = bytearray()
        os.set_blocking(self.descriptor, False)

    @property
    def is_full(self) -> bool:
        """Whether there is as much as there is room for."""
        return len(self.kept) >= self._most_bytes

    def read(self) -> bool:
        """Take what there is; whether more may come."""
        try:
            data = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return True
        self.kept += data[: self._most_bytes - len(self.kept)]
        return bool(data)

    def close(self) -> None:
        """Nobody reads it any more."""
        self._pipe.close()
