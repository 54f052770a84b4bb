"""What the host's kernel says of itself and of domains' processes: known also of one that is stuck, at no cost to it.

Libvirt's drivers keep the process's number in a file of their own. Read are `stat` and the control group's pressure;
never `cmdline` or `smaps`, which wait for the process's memory to be unlocked, and a stuck one may never unlock it.
"""

import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from hostd.model.stats import Pressure, ProcessStats

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")

_PROGRAMS = ("qemu", "kvm", "libvirt_lxc")  # how its name begins, lest a file that outlived its process name another
_OWN_GROUP = re.compile(r"^(.*/(?:machine-(?:qemu|lxc)[^/]*|[^/]+\.libvirt-(?:qemu|lxc)))(?:/|$)")
_RESOURCES = ("cpu", "memory", "io")
_QUOTES = {'"': "&quot;", "'": "&apos;"}
_MICROSECONDS = 1_000_000


def pid_folder(uri: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where the driver of `uri` keeps the numbers of its domains' processes; None if that is not on this machine.

    The places are libvirt's state folders: /run/libvirt/DRIVER of the system daemon, and below the user's runtime
    folder for a session daemon, which is where its socket is.
    """
    parts = urlsplit(uri)
    driver = parts.scheme.partition("+")[0]
    if parts.hostname or driver not in {"qemu", "lxc"}:
        return None
    if parts.path.rstrip("/").endswith("/session"):
        socket = parse_qs(parts.query).get("socket")
        if socket:
            return Path(socket[0]).parent / "qemu" / "run"
        runtime = environment.get("XDG_RUNTIME_DIR") or f"{environment.get('HOME', '')}/.cache"
        return Path(runtime) / "libvirt" / "qemu" / "run"
    return Path("/run/libvirt") / driver


def pid_file(folder: Path, name: str) -> Path:
    """The file of the domain `name`: libvirt writes its name as it would in XML (seen on 9.0)."""
    return folder / f"{escape(name, _QUOTES)}.pid"


def process_stats(file: Path) -> ProcessStats | None:
    """What can be read of the process whose number is in the file; None if there is none or it may not be read."""
    try:
        folder = PROC / str(int(file.read_text()))
        stat = (folder / "stat").read_text()
    except (OSError, ValueError):
        return None
    name, _, fields = stat.partition("(")[2].rpartition(") ")
    if not name.startswith(_PROGRAMS):
        return None
    values = fields.split()  # proc(5), from the third field on
    ticks, ticks_per_second = int(values[11]) + int(values[12]), os.sysconf("SC_CLK_TCK")
    booted_at = _booted_at(PROC)
    return ProcessStats(
        cpu_seconds=ticks / ticks_per_second,
        started_at=None if booted_at is None else booted_at + int(values[19]) / ticks_per_second,
        resident_bytes=int(values[21]) * os.sysconf("SC_PAGE_SIZE"),
        pressures=_pressures(folder / "cgroup"),
    )


def host_pressures() -> tuple[Pressure, ...]:
    """Of the whole machine; none where its kernel does not keep them."""
    return _all_known(_pressure(PROC / "pressure" / resource, resource) for resource in _RESOURCES)


@lru_cache(maxsize=8)  # long to make where there are many CPUs; and set anew with the clock, as no start can be
def _booted_at(proc: Path) -> int | None:
    try:
        booted = re.search(r"^btime (\d+)$", (proc / "stat").read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if booted is None else int(booted[1])


def _pressures(membership: Path) -> tuple[Pressure, ...]:
    """Of the group that libvirt made for this domain alone; a group it shares would tell of others too."""
    try:
        unified = next(line[3:] for line in membership.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return ()
    own = _OWN_GROUP.match(unified)
    if own is None:
        return ()
    group = CGROUPS / own[1].lstrip("/")
    return _all_known(_pressure(group / f"{resource}.pressure", resource) for resource in _RESOURCES)


def _all_known(found: Iterable[Pressure | None]) -> tuple[Pressure, ...]:
    return tuple(pressure for pressure in found if pressure is not None)


def _pressure(file: Path, resource: str) -> Pressure | None:
    """`some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`: totals in microseconds."""
    try:
        totals = dict(re.findall(r"^(some|full) .*total=(\d+)$", file.read_text(), re.MULTILINE))
    except OSError:
        return None
    waiting, stalled = (int(totals[kind]) / _MICROSECONDS if kind in totals else None for kind in ("some", "full"))
    return Pressure(resource=resource, waiting_seconds=waiting, stalled_seconds=stalled)
