"""What a run was made on: figures without it mean nothing."""

import datetime as dt
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import hostd
from tests.lab.debian import system_tool
from tests.lab.processes import output_of

_UNKNOWN = "unknown"


def facts() -> Mapping[str, str]:
    """The machine and the programs, now."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": f"{len(os.sched_getaffinity(0))} ({_field('/proc/cpuinfo', 'model name')})",
        "memory": _field("/proc/meminfo", "MemTotal"),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": platform.release(),
        "hostd": hostd.__version__,
        "Python": platform.python_version(),
        "libvirt": _version("libvirtd"),
        "QEMU": _version("qemu-system-x86_64"),
    }


def _version(program: str) -> str:
    return output_of([system_tool(program), "--version"]).splitlines()[0]


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return " ".join(value.split())
    return _UNKNOWN
