"""vhostmd's names and ours, which are those of `protocol.messages.Metrics`: one row says both directions.

The message itself is not loaded, for it brings msgpack along; a test holds the two together.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from protocol.vhostmd import Metric

MEBI = 1 << 20
MAX_WHOLE = 0x7FFF_FFFF_FFFF_FFFF
MAX_NUMBER_CHARACTERS = 64
MAX_TEXT_CHARACTERS = 255

BYTE_UNITS = {"": MEBI, "bytes": 1, "byte": 1, "b": 1, "kib": 1 << 10, "kb": 1 << 10, "k": 1 << 10}
BYTE_UNITS.update({"mib": MEBI, "mb": MEBI, "m": MEBI, "gib": 1 << 30, "gb": 1 << 30, "tib": 1 << 40})
"""Without a unit memory is in MiB, which vhostmd's world also calls MB."""

SECOND_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")


class Row(NamedTuple):
    """One value: our name, what it is, and vhostmd's context, names (the first is the one we write) and type for it."""

    ours: str
    about: str
    context: str = "host"
    theirs: tuple[str, ...] = ()
    type: str = ""
    read: Callable[[Metric], object] = lambda _: None
    write: Callable[[Any], str] = str


def ours(metrics: Iterable[Metric]) -> dict[str, object]:
    """Our names' values among the metrics; `None` is what they do not tell, or not in a way that can be read."""
    found: dict[tuple[str, str], list[Metric]] = {}
    for metric in metrics:
        found.setdefault((metric.context, metric.name), []).append(metric)
    return {row.ours: _first(row, found) for row in ROWS}


def theirs(values: Mapping[str, Any]) -> list[Metric]:
    """The metrics that these values are, as SAP's set has them: memory in MiB, and no units."""
    from protocol.vhostmd import Metric  # noqa: PLC0415 - `get` needs the names alone

    return [
        Metric(name=row.theirs[0], value=row.write(values[row.ours]), type=row.type, context=row.context)
        for row in ROWS
        if row.theirs and values.get(row.ours) is not None
    ]


def whole(metric: Metric) -> int | None:
    """A number of things; some hosts write it as a real."""
    number = _number(metric.value)
    return _whole(number)


def seconds(metric: Metric) -> float | None:
    """A time in seconds."""
    number, unit = _number(metric.value), SECOND_UNITS.get(metric.unit.lower())
    return None if number is None or unit is None else float(number) * unit


def memory_bytes(metric: Metric) -> int | None:
    """An amount of memory in bytes."""
    number, unit = _number(metric.value), BYTE_UNITS.get(metric.unit.lower())
    return None if number is None or unit is None else _whole(number * unit)


def text(metric: Metric) -> str | None:
    """A name, in one line; one that is too long for us is none."""
    name = " ".join(metric.value.split())
    return name if 0 < len(name) <= MAX_TEXT_CHARACTERS and name.isprintable() else None


def _number(told: str) -> float | None:
    if len(told) > MAX_NUMBER_CHARACTERS or not _NUMBER.fullmatch(told):
        return None
    number = int(told) if told.isdigit() else float(told)
    return number if 0 <= number < math.inf else None


def _whole(number: float | None) -> int | None:
    return None if number is None or number > MAX_WHOLE else int(number)


def _first(row: Row, found: Mapping[tuple[str, str], list[Metric]]) -> object:
    for name in row.theirs:
        for metric in found.get((row.context, name), ()):
            value = row.read(metric)
            if value is not None:
                return value
    return None


def _mebibytes(value: int) -> str:
    return str(value // MEBI)


def _real(value: float) -> str:
    return f"{value:.6f}"


ROWS = (
    Row(
        "host_cpus",
        "CPUs of the host that are online.",
        theirs=("NumberOfPhysicalCPUs", "NumCPUs", "TotalPhyCPUs"),
        type="uint32",
        read=whole,
    ),
    Row(
        "host_memory_total_bytes",
        "Memory of the host.",
        theirs=("TotalPhyMem",),
        type="uint64",
        read=memory_bytes,
        write=_mebibytes,
    ),
    Row(
        "host_memory_free_bytes",
        "Memory of the host that nobody uses.",
        theirs=("FreePhysicalMemory",),
        type="uint64",
        read=memory_bytes,
        write=_mebibytes,
    ),
    Row("host_load1", "Load of the host over 1 minute."),
    Row("host_load5", "Load of the host over 5 minutes."),
    Row("host_load15", "Load of the host over 15 minutes."),
    Row(
        "host_time_seconds",
        "The host's clock when it sent these values, in seconds since 1970.",
        theirs=("Time",),
        type="uint64",
        read=seconds,
        write=lambda value: str(int(value)),
    ),
    Row(
        "domain_cpu_time_seconds_total",
        "CPU time the host has spent on this domain since its start.",
        context="vm",
        theirs=("TotalCPUTime",),
        type="real64",
        read=seconds,
        write=_real,
    ),
    Row(
        "domain_steal_seconds_total",
        "Time this domain's virtual CPUs were ready to run and the host ran something else.",
    ),
    Row(
        "domain_memory_limit_bytes",
        "The most memory this domain may get.",
        context="vm",
        theirs=("ResourceMemoryLimit",),
        type="uint64",
        read=memory_bytes,
        write=_mebibytes,
    ),
    Row(
        "host_name",
        "The host's name, if its operator lets guests know.",
        theirs=("HostName",),
        type="string",
        read=text,
    ),
)
"""Not every name of theirs that sounds like ours is: upstream's FreeMem is what would be available."""
