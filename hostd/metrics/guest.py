"""A guest as its agent tells of it, and the line to it as hostd sees it. To add a metric here: one row.

Whose words they are is in the name: `guest_` is what a guest claims, `hostd_guest_` what hostd counted. A guest's words
become label values only through the protocol's own limits, and its clock is never exported.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from hostd.metrics.row import Metric, Scope, age, counter, gauge, itself
from hostd.model.domain import Domain, Guest
from protocol.errors import DropReason
from protocol.messages import SEVERITIES, CpuTimes, Filesystem, Hello, Load, Memory, Report

FAULT_KINDS = ("flood", "mistakes", "sessions")
"""Why a guest may be in quarantine (hostd.guests.budget.Fault; a test holds the two together)."""

LEFT_OUT_KINDS = ("guest", "all", "new")
"""Why a filesystem may be cut from a report (hostd.guests.labels.LeftOut; a test holds the two together)."""

LINE: tuple[Metric[Guest], ...] = (
    gauge(
        "guest_agent_connected",
        "1 while an agent in the guest has a session with hostd, else 0.",
        "is_connected",
    ),
    counter("hostd_guest_sessions_total", "Sessions that the guest's agents began.", "sessions"),
    counter("hostd_guest_reports_total", "Reports that came from the guest.", "reports"),
    counter("hostd_guest_reconnects_total", "Times that hostd opened the guest's channel anew.", "reconnects"),
    age(
        "guest_report_age_seconds",
        "How long ago the guest last reported, by the host's clock; also after its numbers were dropped as too old.",
        "reported_at",
    ),
    gauge(
        "guest_clock_offset_seconds",
        "How far the guest's clock was ahead of the host's when its last report arrived; negative if it lags.",
        "clock_offset_seconds",
    ),
    counter(
        "hostd_guest_throttled_seconds_total",
        "For how long hostd did not read what the guest sent, because it had sent more than it may.",
        "throttled_seconds",
    ),
    gauge(
        "hostd_guest_quarantined",
        "1 while hostd keeps the guest's line closed for what the guest did, else 0.",
        "is_quarantined",
    ),
    gauge(
        "guest_last_event_timestamp_seconds",
        "When the guest last told of an event, by the host's clock, in seconds since 1970.",
        "last_event_at",
    ),
)

FAULTS: tuple[Metric[float], ...] = (
    counter("hostd_guest_quarantines_total", "Times that the guest's line was closed for what the guest did, by why."),
)

FILESYSTEM_DROPS: tuple[Metric[float], ...] = (
    counter(
        "hostd_guest_filesystems_dropped_total",
        "Filesystems that were cut from the guest's reports: guest (it has guests.max_series_per_guest), all (all "
        "guests together have guests.max_series), new (too many new names of late).",
    ),
)

EVENTS: tuple[Metric[float], ...] = (
    counter(
        "guest_events_total", "Events that the guest told of, by severity; each counts once however often it came."
    ),
)

DROPS: tuple[Metric[float], ...] = (
    counter("hostd_guest_input_dropped_total", "Pieces of the guest's input that were thrown away, by reason."),
)

AGENT: tuple[Metric[float], ...] = (
    gauge("guest_agent_info", "The agent in the guest, and the system it runs on, as it calls itself."),
)

REPORT: tuple[Metric[Report], ...] = (
    gauge("guest_uptime_seconds", "How long the guest's kernel has run.", "uptime_seconds"),
    gauge("guest_cpus", "CPUs that the guest has online.", "cpus"),
    gauge(
        "guest_filesystems_left_out",
        "Filesystems that the guest has mounted beyond the number it may report.",
        "filesystems_left_out",
    ),
    counter(
        "guest_agent_dropped_frames_total",
        "Pieces of hostd's output that the agent threw away since it started.",
        "dropped_frames",
    ),
    counter(
        "guest_events_lost_total",
        "Events that the guest's journal had no room for before hostd could take them.",
        "events_lost",
    ),
)

AGENT_DROPS: tuple[Metric[float], ...] = (
    counter("guest_agent_input_dropped_total", "Pieces of hostd's output that the agent threw away, by reason."),
)

CPU: tuple[Metric[float | None], ...] = (
    counter("guest_cpu_seconds_total", "Time that all CPUs of the guest together spent in the mode."),
)

MEMORY: tuple[Metric[Memory], ...] = (
    gauge("guest_memory_total_bytes", "Memory that the guest's kernel manages.", "total_bytes"),
    gauge("guest_memory_free_bytes", "Memory of the guest that nobody uses.", "free_bytes"),
    gauge(
        "guest_memory_available_bytes",
        "Memory that the guest could give to programs without swapping.",
        "available_bytes",
    ),
    gauge("guest_memory_buffers_bytes", "Memory of the guest in block buffers.", "buffers_bytes"),
    gauge("guest_memory_cached_bytes", "Memory of the guest in its page cache.", "cached_bytes"),
    gauge("guest_swap_total_bytes", "Swap space of the guest.", "swap_total_bytes"),
    gauge("guest_swap_free_bytes", "Swap space of the guest that nobody uses.", "swap_free_bytes"),
)

LOAD: tuple[Metric[Load], ...] = (
    gauge("guest_load1", "Load of the guest over 1 minute.", "load1"),
    gauge("guest_load5", "Load of the guest over 5 minutes.", "load5"),
    gauge("guest_load15", "Load of the guest over 15 minutes.", "load15"),
)

FILESYSTEM: tuple[Metric[Filesystem], ...] = (
    gauge("guest_filesystem_size_bytes", "Size of the guest's filesystem.", "size_bytes"),
    gauge("guest_filesystem_free_bytes", "Space of the filesystem that is not used.", "free_bytes"),
    gauge(
        "guest_filesystem_available_bytes",
        "Space of the filesystem that ordinary users may still fill.",
        "available_bytes",
    ),
    gauge("guest_filesystem_files", "Inodes of the filesystem.", "files"),
    gauge("guest_filesystem_files_free", "Inodes of the filesystem that are not used.", "files_free"),
    gauge("guest_filesystem_readonly", "1 if the filesystem is mounted read-only.", "is_read_only"),
)


def _line(domain: Domain) -> Guest | None:
    """Only where there is a line: a domain without our channel has no agent to be disconnected."""
    return domain.guest if domain.facts.channel is not None or domain.guest.sessions else None


def _drops(drops: Mapping[DropReason, int]) -> Iterable[tuple[tuple[str, ...], float]]:
    for reason in DropReason:
        yield (reason.value,), drops.get(reason, 0)


def _faults(quarantines: Mapping[str, int]) -> Iterable[tuple[tuple[str, ...], float]]:
    for fault in FAULT_KINDS:
        yield (fault,), quarantines.get(fault, 0)


def _filesystem_drops(dropped: Mapping[str, int]) -> Iterable[tuple[tuple[str, ...], float]]:
    for why in LEFT_OUT_KINDS:
        yield (why,), dropped.get(why, 0)


def _events(events: Mapping[str, int]) -> Iterable[tuple[tuple[str, ...], float]]:
    for severity in SEVERITIES:
        yield (severity,), events.get(severity, 0)


def _agent_drops(report: Report) -> Iterable[tuple[tuple[str, ...], float]]:
    """Of the reasons that we know: what else a guest may call one shall not be a label."""
    counts = {drop.reason: drop.count for drop in report.drops or ()}
    for reason in DropReason:
        if reason.value in counts:
            yield (reason.value,), counts[reason.value]


def _agent(hello: Hello) -> Iterable[tuple[tuple[str, ...], float]]:
    optional = (hello.os_name, hello.kernel_release, hello.machine, hello.hostname)
    yield (hello.agent_version, *(text or "" for text in optional)), 1


def _cpu(cpu: CpuTimes) -> Iterable[tuple[tuple[str, ...], float | None]]:
    for field in CpuTimes.__dataclass_fields__:
        yield (field.removesuffix("_seconds"),), getattr(cpu, field)


def _filesystems(report: Report) -> Iterable[tuple[tuple[str, ...], Filesystem]]:
    for filesystem in report.filesystems or ():
        yield (filesystem.mountpoint, filesystem.device, filesystem.fstype), filesystem


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope((), _line, itself, LINE),
    Scope(("reason",), lambda d: d.guest.drops if d.facts.channel else None, _drops, DROPS),
    Scope(("fault",), lambda d: d.guest.quarantines if d.facts.channel else None, _faults, FAULTS),
    Scope(
        ("reason",),
        lambda d: d.guest.filesystems_dropped if d.facts.channel else None,
        _filesystem_drops,
        FILESYSTEM_DROPS,
    ),
    Scope(("severity",), lambda d: d.guest.events if d.facts.channel else None, _events, EVENTS),
    Scope(("version", "os", "kernel", "machine", "hostname"), lambda d: d.guest.hello, _agent, AGENT),
    Scope((), lambda d: d.guest.report, itself, REPORT),
    Scope(("reason",), lambda d: d.guest.report, _agent_drops, AGENT_DROPS),
    Scope(("mode",), lambda d: d.guest.report and d.guest.report.cpu, _cpu, CPU),
    Scope((), lambda d: d.guest.report and d.guest.report.memory, itself, MEMORY),
    Scope((), lambda d: d.guest.report and d.guest.report.load, itself, LOAD),
    Scope(("mountpoint", "device", "fstype"), lambda d: d.guest.report, _filesystems, FILESYSTEM),
)
