"""What hostd counts of itself, in prometheus_client's own objects: few, long-lived, never labelled by a guest.

What it knows of domains and guests is not here but in `metrics`, made anew from the World each time, so that a domain
that is gone leaves nothing behind.
"""

import platform
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

import hostd

disable_created_metrics()  # type: ignore[no-untyped-call]  # in the text format they would be a second family beside every counter

Counts: TypeAlias = Counter
"""For those who are handed one."""

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)

BUILD = Info("hostd_build", "The running version of hostd and its Python.", registry=REGISTRY)
BUILD.info({"version": hostd.__version__, "python": platform.python_version()})

CALLS = Counter(
    "hostd_libvirt_calls",
    "Calls to libvirt by what was asked and how it ended; timed_out ones may still hold a thread.",
    ["connection", "call", "result"],
    registry=REGISTRY,
)
CALL_SECONDS = Histogram(
    "hostd_libvirt_call_duration_seconds",
    "How long calls to libvirt took, waiting for a thread included, up to their deadline.",
    ["connection", "call"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0),
    registry=REGISTRY,
)
CALLS_IN_FLIGHT = Gauge(
    "hostd_libvirt_calls_in_flight", "Threads that are inside a call to libvirt now, stuck ones too.", registry=REGISTRY
)
STUCK_CALLS = Gauge(
    "hostd_libvirt_stuck_calls",
    "Calls to libvirt that overran their deadline and have not returned; each holds a thread here and a worker there.",
    registry=REGISTRY,
)
COLLECTOR_SUCCESS = Gauge(
    "hostd_collector_success",
    "1 if the collector's last run gave numbers, else 0; also 0, for good, for a call that the driver does not have.",
    ["connection", "collector"],
    registry=REGISTRY,
)
COLLECTOR_UNSUPPORTED = Gauge(
    "hostd_collector_unsupported",
    "1 for each call that the driver turned out not to have; others stand in for it where that is possible.",
    ["connection", "collector"],
    registry=REGISTRY,
)
COLLECTOR_SECONDS = Gauge(
    "hostd_collector_duration_seconds",
    "How long the collector's last run took.",
    ["connection", "collector"],
    registry=REGISTRY,
)
LONGEST_STALL = Gauge(
    "hostd_event_loop_longest_stall_seconds",
    "The longest that hostd's event loop was late since the start: for that long nobody was served.",
    registry=REGISTRY,
)
EVENTS_DROPPED = Counter(
    "hostd_events_dropped",
    "Libvirt events that found the queue full; all domains were listed anew instead.",
    ["connection"],
    registry=REGISTRY,
)
EVENTS_UNDECODED = Counter(
    "hostd_events_undecoded",
    "Libvirt events that hostd could not make sense of; they are counted nowhere else, and a debug log says why.",
    ["connection", "object", "event"],
    registry=REGISTRY,
)
JOB_SECONDS = Histogram(
    "libvirt_domain_job_duration_seconds",
    "How long migrations, saves, backups and other jobs of domains took that libvirt told the end of; aborted ones are "
    "not told of.",
    ["connection", "operation", "result"],
    buckets=(0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0),
    registry=REGISTRY,
)
JOB_DOWNTIME = Histogram(
    "libvirt_domain_job_downtime_seconds",
    "For how long such jobs kept their domain from running.",
    ["connection", "operation", "result"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0),
    registry=REGISTRY,
)
RENDER_FAILURES = Counter(
    "hostd_render_failures",
    "Times that one domain's samples, or one table of a connection's own, could not be rendered and were left out.",
    registry=REGISTRY,
)
SERIES_DROPPED = Counter(
    "hostd_series_dropped",
    "Series that were beyond exposition.max_series_per_domain, counted each time that their domain was rendered.",
    registry=REGISTRY,
)
LABELS_CUT = Counter(
    "hostd_labels_cut",
    "Values from domains' metadata that were too long for a label, counted each time that their domain was described.",
    registry=REGISTRY,
)
GUEST_CHANNELS = Gauge(
    "hostd_guest_channels", "Guest channels that hostd keeps a session for.", ["connection"], registry=REGISTRY
)
GUEST_CONNECTS = Counter(
    "hostd_guest_connects",
    "Attempts to open a guest's channel by what came of them; stranger: somebody other than the domain's QEMU listens.",
    ["connection", "outcome"],
    registry=REGISTRY,
)
KEPT_SOCKETS = Gauge(
    "hostd_kept_sockets",
    "Guest channels that systemd holds a copy of, so that a restart of hostd does not interrupt them.",
    registry=REGISTRY,
)
NOTIFY_FAILURES = Counter(
    "hostd_notify_failures",
    "Messages to systemd that it could not take, sockets to keep among them.",
    registry=REGISTRY,
)
GUEST_SESSION_FAULTS = Counter(
    "hostd_guest_session_faults",
    "Guest sessions that ended in an error nobody foresaw: a bug in hostd, contained.",
    registry=REGISTRY,
)
GUEST_ROUND_TRIP = Histogram(
    "hostd_guest_round_trip_seconds",
    "How long guests took to acknowledge what hostd sent them.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0),
    registry=REGISTRY,
)
GUEST_EVENTS_DROPPED = Counter(
    "hostd_guest_events_dropped",
    "Events of guests' that no agent would send: early (before the last ones were acknowledged) or unasked (hostd had "
    "said that it takes none).",
    ["reason"],
    registry=REGISTRY,
)
GUEST_ANSWERS_DROPPED = Counter(
    "hostd_guest_answers_dropped",
    "Answers of guests' to notices that change nothing: unknown (nothing of that number was told here) or again (it "
    "had been answered).",
    ["reason"],
    registry=REGISTRY,
)
GUEST_LOG_LINES_DROPPED = Counter(
    "hostd_guest_log_lines_dropped",
    "Lines of the log that were left out because there were too many of their kind about one guest.",
    registry=REGISTRY,
)
NOTICES_TOLD = Counter(
    "hostd_guest_notices_told",
    "Notices that were sent to guests, again after each reconnect.",
    ["kind"],
    registry=REGISTRY,
)
NOTICES_ANSWERED = Counter(
    "hostd_guest_notices_answered",
    "What guests said became of their notices.",
    ["kind", "answer"],
    registry=REGISTRY,
)
HISTORY_DURABLE = Gauge(
    "hostd_history_durable",
    "1 if guests' events are on the disk before the guest is told so; 0 while memory stands in for it.",
    registry=REGISTRY,
)
HISTORY_FAILURES = Counter(
    "hostd_history_failures",
    "Times that the history's file could not be used, by why; each is tried again.",
    ["reason"],
    registry=REGISTRY,
)
HISTORY_GUEST_EVENTS = Counter(
    "hostd_history_guest_events",
    "Events that guests sent, by what became of them: taken, duplicate (taken before), held_back (over what one domain "
    "may send; it sends them again), reverted (the guest was set back to a snapshot without knowing it, and tells them "
    "again in another journal); skipped are numbers that never came here.",
    ["result"],
    registry=REGISTRY,
)
HISTORY_PRUNED = Counter(
    "hostd_history_pruned",
    "Events that were deleted from the history, by which limit: age, size of it all, or of one domain.",
    ["reason"],
    registry=REGISTRY,
)
HISTORY_BYTES = Gauge("hostd_history_size_bytes", "What the history takes, looked at once a minute.", registry=REGISTRY)
HISTORY_COMMIT_SECONDS = Histogram(
    "hostd_history_commit_duration_seconds",
    "How long transactions took, each with the events of all guests that waited for it.",
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0),
    registry=REGISTRY,
)
VHOSTMD_UNTELLABLE = Counter(
    "hostd_vhostmd_metrics_untellable",
    "Metrics that were left out of a document for vhostmd's readers, since their value is none that can be written.",
    registry=REGISTRY,
)

# What vhostmd did: metrics disks, the xenstore, and the operator's programs.
VHOSTMD_DISK_WRITES = Counter(
    "hostd_vhostmd_disk_writes",
    "Times that a metrics disk was to be written, by what came of it: written, unchanged (it held that), removed "
    "(its domain is gone), too_large (raise disk_size_bytes), slow (it hangs, and all wait for it), or why it failed; "
    "what is on a disk that fails stays.",
    ["result"],
    registry=REGISTRY,
)
for _result in (
    *("written", "unchanged", "removed", "too_large", "slow", "full", "read_only", "denied", "no_folder", "unfit"),
    *("too_many_files", "io_error"),
):
    VHOSTMD_DISK_WRITES.labels(_result)
VHOSTMD_DISKS_BEHIND = Gauge(
    "hostd_vhostmd_disks_behind",
    "Metrics disks that hold what is old, because they could not be written when it last changed.",
    registry=REGISTRY,
)
VHOSTMD_DOCUMENT_BYTES = Gauge(
    "hostd_vhostmd_disk_document_bytes",
    "The largest document of the last period; it needs 16 bytes less than its disk has (disk_size_bytes).",
    registry=REGISTRY,
)
VHOSTMD_XENSTORE_WRITES = Counter(
    "hostd_vhostmd_xenstore_writes",
    "Documents that were to be put into the xenstore, by what came of it: written, failed, too_large (it takes 4096 "
    "bytes with their key), missing (there is no xenstore-write).",
    ["result"],
    registry=REGISTRY,
)
for _result in ("written", "failed", "too_large", "missing"):
    VHOSTMD_XENSTORE_WRITES.labels(_result)
VHOSTMD_PROGRAM_RUNS = Counter(
    "hostd_vhostmd_program_runs",
    "Times that a program of vhostmd.metric was due, by what came of it: succeeded, empty (it printed no value), "
    "failed, not_started, timed_out, too_long (it printed over 4096 bytes), stuck (it did not even end when it was "
    "killed), skipped (its last run goes on), refused (too many of its runs go on). Guests are told what succeeded.",
    ["metric", "result"],
    registry=REGISTRY,
)
VHOSTMD_PROGRAM_SECONDS = Histogram(
    "hostd_vhostmd_program_duration_seconds",
    "How long programs of vhostmd.metric ran, to their end or until they were killed.",
    ["metric"],
    buckets=(0.01, 0.05, 0.25, 1.0, 5.0, 30.0),
    registry=REGISTRY,
)

VHOSTMD_CHANNELS = Gauge(
    "hostd_vhostmd_channels",
    "Domains' channels of vhostmd that hostd has open, and answers requests on.",
    ["connection"],
    registry=REGISTRY,
)
VHOSTMD_CONNECTS = Counter(
    "hostd_vhostmd_connects",
    "Attempts to open a domain's channel of vhostmd by what came of them; occupied: end vhostmd.",
    ["connection", "outcome"],
    registry=REGISTRY,
)
VHOSTMD_REQUESTS = Counter(
    "hostd_vhostmd_requests",
    "Requests that guests made as of vhostmd by what came of them: answered; too_long or malformed (the document could "
    "not be sent, an empty one was); invalid or overlong (refused); unread (nobody took the answer in time, and the "
    "channel was opened anew so that nobody will later); forgotten (begun and not gone on with).",
    ["connection", "result"],
    registry=REGISTRY,
)
VHOSTMD_HELD_BACK = Counter(
    "hostd_vhostmd_held_back",
    "Times that a guest waited: pace (it had an answer a moment ago) or reads (its bytes came in too small pieces).",
    ["connection", "reason"],
    registry=REGISTRY,
)
