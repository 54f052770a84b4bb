"""What a process has used, by the kernel's account."""

import os
import re
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """The time its threads have spent on CPUs, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]  # the 14th and 15th of all (proc(5)); these begin at the 3rd
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """The memory it has in RAM (VmRSS)."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"process {pid} has ended")
    return int(found[1]) * 1024
