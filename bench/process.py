"""What a process has used, by the kernel's account."""

import re
import time
from pathlib import Path

_SCHEDULED = 2  # CPUCLOCK_SCHED: what has really run, of all threads


def cpu_seconds(pid: int) -> float:
    """The time its threads have spent on CPUs, in user and system mode.

    By its own clock (clock_getcpuclockid(3)), which counts nanoseconds: in /proc it would be hundredths of seconds.
    """
    return time.clock_gettime(~pid << 3 | _SCHEDULED)


def resident_bytes(pid: int) -> int:
    """The memory it has in RAM (VmRSS)."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"process {pid} has ended")
    return int(found[1]) * 1024
