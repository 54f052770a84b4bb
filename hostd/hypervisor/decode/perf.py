"""The group PERF: a table, for an event is a key and a field."""

from collections.abc import Callable
from typing import Any

from hostd.hypervisor.decode.values import Params, count_of, seconds_of
from hostd.model.perf import PerfStats

_Decode = Callable[[Params, str], float | None]

EVENTS: tuple[tuple[str, str, _Decode], ...] = (  # the field, the key, and how it is told
    ("cmt_bytes", "perf.cmt", count_of),
    ("mbmt_bytes_per_second", "perf.mbmt", count_of),
    ("mbml_bytes_per_second", "perf.mbml", count_of),
    ("cache_misses", "perf.cache_misses", count_of),
    ("cache_references", "perf.cache_references", count_of),
    ("instructions", "perf.instructions", count_of),
    ("cpu_cycles", "perf.cpu_cycles", count_of),
    ("branch_instructions", "perf.branch_instructions", count_of),
    ("branch_misses", "perf.branch_misses", count_of),
    ("bus_cycles", "perf.bus_cycles", count_of),
    ("stalled_cycles_frontend", "perf.stalled_cycles_frontend", count_of),
    ("stalled_cycles_backend", "perf.stalled_cycles_backend", count_of),
    ("ref_cpu_cycles", "perf.ref_cpu_cycles", count_of),
    ("cpu_clock_seconds", "perf.cpu_clock", seconds_of),
    ("task_clock_seconds", "perf.task_clock", seconds_of),
    ("page_faults", "perf.page_faults", count_of),
    ("context_switches", "perf.context_switches", count_of),
    ("cpu_migrations", "perf.cpu_migrations", count_of),
    ("page_faults_minor", "perf.page_faults_min", count_of),
    ("page_faults_major", "perf.page_faults_maj", count_of),
    ("alignment_faults", "perf.alignment_faults", count_of),
    ("emulation_faults", "perf.emulation_faults", count_of),
)


def perf_of(params: Params) -> PerfStats | None:
    """The events that the domain's XML switches on; None where that is none."""
    known: dict[str, Any] = {field: decode(params, key) for field, key, decode in EVENTS if key in params}
    perf = PerfStats(**known)
    return None if perf == PerfStats() else perf
