"""What this machine's kernel counts of itself, from /proc: memory, swap and CPU time that libvirt does not tell.

Three small files a time. One that is missing or that makes no sense costs its own numbers and no others.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from hostd.model.host import Kernel

PROC = Path("/proc")

_KIB = 1024


def read_kernel() -> Kernel:
    """The kernel's numbers now."""
    return kernel_of(
        meminfo=_text("meminfo"),
        vmstat=_text("vmstat"),
        stat=_text("stat"),
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
        ticks_per_second=os.sysconf("SC_CLK_TCK"),
        read_at=time.monotonic(),
    )


def kernel_of(
    *, meminfo: str, vmstat: str, stat: str, page_bytes: int, ticks_per_second: int, read_at: float
) -> Kernel:
    """The numbers in these files' texts: in KiB, in pages and (what was paged) in KiB, and in ticks of a clock."""
    memory, counts = _numbers(meminfo), _numbers(vmstat)
    ticks = _busy_ticks(stat)
    return Kernel(
        read_at=read_at,
        memory_available_bytes=_times(memory.get("MemAvailable"), _KIB),
        memory_reclaimable_bytes=_times(memory.get("SReclaimable"), _KIB),
        swap_total_bytes=_times(memory.get("SwapTotal"), _KIB),
        swap_free_bytes=_times(memory.get("SwapFree"), _KIB),
        swap_cached_bytes=_times(memory.get("SwapCached"), _KIB),
        swapped_in_bytes=_times(counts.get("pswpin"), page_bytes),
        swapped_out_bytes=_times(counts.get("pswpout"), page_bytes),
        paged_in_bytes=_times(counts.get("pgpgin"), _KIB),
        paged_out_bytes=_times(counts.get("pgpgout"), _KIB),
        cpu_seconds=None if ticks is None else ticks / ticks_per_second,
    )


def _text(name: str) -> str:
    try:
        return (PROC / name).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _numbers(text: str) -> Mapping[str, int]:
    """Of lines `MemFree:  24317040 kB` and `pgpgin 11354017`."""
    words = [line.split() for line in text.splitlines()]
    return {each[0].rstrip(":"): int(each[1]) for each in words if len(each) > 1 and each[1].isdecimal()}


def _busy_ticks(stat: str) -> int | None:
    """`cpu  USER NICE SYSTEM IDLE …`: the first line, which is of all CPUs."""
    words = stat.partition("\n")[0].split()
    name, busy = words[:1], words[1:4]
    is_whole = name == ["cpu"] and len(busy) == len(("user", "nice", "system")) and all(map(str.isdecimal, busy))
    return sum(map(int, busy)) if is_whole else None


def _times(count: int | None, unit: int) -> int | None:
    return None if count is None else count * unit
