"""The guest's own programs that are run for each notice of the host: files in a folder, as run-parts(8) has it.

What the host says reaches them in the values of environment variables and nowhere else: it chooses no program, no
argument and no variable's name, and no shell is between. One notice at a time, one program after the other by their
names; the host is told "done" if all ended well, else "failed" and why.

The agent may be root, so what is run must not be anybody else's to change.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import stat
import threading
from collections import deque
from typing import TYPE_CHECKING, NoReturn

from guestagent import execution

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guestagent.counters import Counters
    from guestagent.execution import Outcome
    from guestagent.notices import KeptNotice
    from protocol.messages import Notice

HOOK_SECONDS = 30.0
"""For so long may one program run, or until the notice's own deadline if that is sooner."""

MAX_WAITING = 16

DONE, FAILED = "done", "failed"

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_LEFTOVERS = (".dpkg-old", ".dpkg-new", ".dpkg-dist", ".rpmsave", ".rpmnew", ".rpmorig", ".bak", ".swp")
_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

_logger = logging.getLogger(__name__)


class HookRefused(Exception):  # noqa: N818 - named for what is so
    """A file or folder that others may have changed; the message says which and what to do."""


class Hooks:
    """Runs the programs of `folder` for every notice it is offered. `finish` is told what came of each."""

    def __init__(
        self,
        folder: Path,
        *,
        counters: Counters,
        finish: Callable[[KeptNotice, str, str | None], None],
        clock: Callable[[], float],
        seconds: float = HOOK_SECONDS,
    ) -> None:
        self._folder = folder
        self._counters = counters
        self._finish = finish
        self._clock = clock
        self._seconds = seconds
        self._waiting: deque[KeptNotice] = deque()
        self._arrived = asyncio.Event()
        self._stop = threading.Event()
        self._cut_bytes = 0  # of what runs in the thread

    def offer(self, kept: KeptNotice) -> None:
        """Have the programs run for this notice, after those that wait already."""
        if len(self._waiting) >= MAX_WAITING:
            self._counters.add("hooks_dropped")
            self._finish(kept, FAILED, f"{MAX_WAITING} notices are waiting for their hooks already")
            return
        self._waiting.append(kept)
        self._arrived.set()

    async def run(self) -> NoReturn:
        """Work, for ever; a program that runs when this is cancelled is killed."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._arrived.clear()
                while self._waiting:
                    kept = self._waiting.popleft()
                    problems = await loop.run_in_executor(None, self._run_all, kept)  # even looking may wait for a disk
                    self._tell(kept, problems)
                await self._arrived.wait()
        finally:
            self._stop.set()

    def _tell(self, kept: KeptNotice, problems: list[str] | None) -> None:
        self._counters.add("hooks_output_bytes", self._cut_bytes)
        self._cut_bytes = 0
        if problems is None:
            return
        if not problems:
            self._finish(kept, DONE, None)
            return
        why = "; ".join(problems)
        self._counters.add("hooks_failed", len(problems))
        _logger.warning("hooks for the host's notice %d (%s) failed: %s", kept.notice.number, kept.notice.kind, why)
        self._finish(kept, FAILED, why)

    def _run_all(self, kept: KeptNotice) -> list[str] | None:
        """What went wrong; `None` if there was nothing to run. In a thread."""
        try:
            programs = find(self._folder)
        except HookRefused as error:
            return [str(error)]
        tried = [(program.name, self._run_one(program, kept)) for program in programs]
        return [f"{name}: {problem}" for name, problem in tried if problem is not None] if tried else None

    def _run_one(self, program: Path, kept: KeptNotice) -> str | None:
        """What went wrong, if anything."""
        try:
            check(program)
        except HookRefused as error:
            return str(error)
        seconds, left = self._seconds, None
        if kept.notice.deadline_seconds is not None:
            left = kept.arrived_at + kept.notice.deadline_seconds - self._clock()
            seconds = min(seconds, left)
        if seconds <= 0:
            return "not run: the host's deadline has passed"
        outcome = execution.run(program, environment_of(kept.notice, left), seconds, self._stop)
        _log(program.name, outcome)
        self._cut_bytes += outcome.cut_bytes
        return outcome.problem


def find(folder: Path) -> list[Path]:
    """The programs in the folder, by their names; none if there is no folder.

    Raises:
        HookRefused: others could put programs there.

    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise HookRefused(f"{folder}: {error.strerror}") from error
    chosen = [folder / name for name in names if _NAME.fullmatch(name) and not name.endswith(_LEFTOVERS)]
    programs = [path for path in chosen if os.access(path, os.X_OK) and not path.is_dir()]
    if programs:
        _check_owner(folder, folder.stat())
    return programs


def check(program: Path) -> None:
    """That nobody else can have written the program.

    Raises:
        HookRefused: somebody can.

    """
    try:
        found = program.lstat()
    except OSError as error:
        raise HookRefused(f"{program}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise HookRefused(f"{program}: not a plain file; put the program itself there")
    _check_owner(program, found)


def environment_of(notice: Notice, left_seconds: float | None) -> dict[str, bytes]:
    """The notice, as a program gets it: nothing else of the agent's environment."""
    details = "".join(f"{detail.name}={detail.value}\n" for detail in notice.details)
    values = {
        "NUMBER": str(notice.number),
        "KIND": notice.kind,
        "SEVERITY": notice.severity,
        "TEXT": notice.text,
        "DETAILS": details,  # a line each: no value holds a line's end
        "DEADLINE_SECONDS": "" if left_seconds is None else f"{left_seconds:.3f}",
    }
    told = {f"VIRTWIRE_{name}": value.encode() for name, value in values.items()}
    return {"PATH": _PATH, "LANG": b"C.UTF-8", **told}


def _log(name: str, outcome: Outcome) -> None:
    for line in outcome.output.decode(errors="replace").splitlines():
        _logger.info("hook %s: %s", name, "".join(c if c.isprintable() else "?" for c in line))
    if outcome.cut_bytes:
        _logger.info("hook %s: and %d bytes more, which are not logged", name, outcome.cut_bytes)


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in {0, os.geteuid()}:
        raise HookRefused(f"{path}: belongs to user {found.st_uid}; make it root's")
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise HookRefused(f"{path}: others may write to it; run chmod go-w on it")
