"""One program of the guest's own, run to its end within limits. It blocks: run it in a thread.

The program leads a process group of its own. The group is killed at the end, however that came, *before* the program is
reaped: as long as it is not, nobody else can have its number.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

MAX_OUTPUT_BYTES = 4096

STOPPED = "the agent stopped"

LOOK_SECONDS = 0.05
_READ_BYTES = 65536
_DRAIN_READS = 16  # at the end: whoever still writes then is about to be killed


@dataclass(frozen=True)
class Outcome:
    """How it ended: `problem` is `None` if well. Output over the limit is only counted."""

    problem: str | None
    output: bytes = b""
    cut_bytes: int = 0


def run(path: Path, environment: Mapping[str, bytes], seconds: float, stop: threading.Event) -> Outcome:
    """Run the program with that environment alone, for so long at most, or until `stop` is set."""
    if stop.is_set():
        return Outcome(STOPPED)
    try:
        process = subprocess.Popen(  # noqa: S603 - a file that hooks.py has judged, without arguments and shell
            [str(path)],
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(f"cannot be run: {error.strerror}")
    return _attend(process, seconds, stop)


def _attend(process: subprocess.Popen[bytes], seconds: float, stop: threading.Event) -> Outcome:
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    output = _Output(process.stdout.fileno())
    deadline = time.monotonic() + seconds
    problem = None
    try:
        while not _has_ended(process.pid):
            if stop.is_set() or time.monotonic() >= deadline:
                problem = STOPPED if stop.is_set() else f"took longer than {seconds:.3g} s"
                break
            output.read(LOOK_SECONDS)
        for _ in range(_DRAIN_READS):
            output.read(0)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody left, or nobody we may end
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        process.stdout.close()
    return Outcome(problem or _meaning(status), bytes(output.kept), output.cut_bytes)


class _Output:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_open = True
        self.kept = bytearray()
        self.cut_bytes = 0

    def read(self, wait_seconds: float) -> None:
        """Take what there is, or wait a little for it."""
        sources = [self._descriptor] if self._is_open else []
        if not select.select(sources, [], [], wait_seconds)[0]:
            return
        data = os.read(self._descriptor, _READ_BYTES)
        self._is_open = bool(data)
        kept = data[: MAX_OUTPUT_BYTES - len(self.kept)]
        self.kept += kept
        self.cut_bytes += len(data) - len(kept)


def _has_ended(pid: int) -> bool:
    """Whether it has, without reaping it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _meaning(status: int) -> str | None:
    if status == 0:
        return None
    return f"ended by signal {-status}" if status < 0 else f"exit status {status}"
