"""What is measured in this guest. To add a probe: its module, and its row in `PROBES`.

Every module has pure functions from a file's text to values, and a thin `read(root)` around them; `root` is `/` but in
tests. A probe may fail in any of the ways of `FAILURES`: it then costs its own fields, never the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guestagent.probes import clock, cpu, filesystems, load, memory, uptime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FAILURES = (OSError, ValueError, LookupError, ArithmeticError)
"""A file that is missing, or not as expected."""


@dataclass(frozen=True)
class Probe:
    """One subject: the fields of `protocol.messages.Report` it fills, and how they are read."""

    fields: tuple[str, ...]
    read: Callable[[Path], Mapping[str, Any]]


PROBES: tuple[Probe, ...] = (
    Probe(("uptime_seconds",), uptime.read),
    Probe(("cpus", "cpu"), cpu.read),
    Probe(("memory",), memory.read),
    Probe(("load",), load.read),
    Probe(("filesystems", "filesystems_left_out"), filesystems.read),
    Probe(("time_seconds",), clock.read),  # last: how old it is when it arrives is how wrong the host takes it to be
)
