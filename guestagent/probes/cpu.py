"""How many CPUs are online here, and what their time went into (proc(5), /proc/stat).

The kernel counts time for guests of this guest into `user` and `nice` already; it is not taken out again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from protocol.messages import CpuTimes

if TYPE_CHECKING:
    from pathlib import Path


def read(root: Path) -> dict[str, Any]:
    """`cpus` and `cpu`."""
    text = (root / "proc/stat").read_text(encoding="ascii")
    return {"cpus": count(text), "cpu": parse(text, ticks_per_second=os.sysconf("SC_CLK_TCK"))}


def count(text: str) -> int:
    """CPUs that are online: each has a line of its own."""
    return sum(line.startswith("cpu") and line[3:4].isdigit() for line in text.splitlines())


def parse(text: str, *, ticks_per_second: int) -> CpuTimes:
    """The first line, the sum of all CPUs. Old kernels have fewer columns."""
    name, *ticks = text.partition("\n")[0].split()
    if name != "cpu":
        raise ValueError(f"/proc/stat begins with {name!r}")
    user, nice, system, idle, *rest = (int(tick) / ticks_per_second for tick in ticks)
    padded: list[float | None] = [*rest, None, None, None, None]
    iowait, irq, softirq, steal = padded[:4]
    return CpuTimes(
        user_seconds=user,
        nice_seconds=nice,
        system_seconds=system,
        idle_seconds=idle,
        iowait_seconds=iowait,
        irq_seconds=irq,
        softirq_seconds=softirq,
        steal_seconds=steal,
    )
