"""Who in this guest has a device open, as far as we may see: for one message, not for every try.

Links in `/proc/PID/fd` are read, never followed: what they lead to may be a file server that is away.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")

MOST_DESCRIPTORS = 50_000
"""So many are looked at, and no more: this is for a message's sake."""

NAME_CHARACTERS = 32


def describe(node: str, *, proc: Path = PROC) -> str:
    """The process that has `node` open, in words; its name is escaped, for it may be anything."""
    target = os.path.realpath(node)
    for descriptor in itertools.islice(_descriptors(proc), MOST_DESCRIPTORS):
        with contextlib.suppress(OSError):  # closed as we looked, or not ours to see
            if os.readlink(descriptor) == target:  # noqa: PTH115 - a Path each would double the cost
                process = Path(descriptor).parents[1]
                return f"pid {process.name} ({_name_of(process)})"
    return "a program that cannot be seen from here" + ("" if os.geteuid() == 0 else " (root can)")


def _descriptors(proc: Path) -> Iterator[str]:
    for process in os.listdir(proc):  # noqa: PTH208 - the same
        if process.isdecimal() and int(process) != os.getpid():
            with contextlib.suppress(OSError), os.scandir(proc / process / "fd") as entries:
                for entry in entries:
                    yield entry.path


def _name_of(process: Path) -> str:
    try:
        name = (process / "comm").read_bytes().rstrip(b"\n").decode("utf-8", errors="replace")
    except OSError:
        return "?"
    return name.encode("unicode_escape").decode("ascii")[:NAME_CHARACTERS]
