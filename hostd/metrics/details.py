"""What libvirt is asked for a domain only now and then. To add a metric here: one row.

What counts up within a job is a gauge all the same: the next job begins at 0, and none is there between them. Names are
inovex's where it has them.
"""

from collections.abc import Iterable
from typing import Any

from hostd.metrics.row import Metric, Scope, gauge, itself
from hostd.model.details import NO_JOB, Details, DiskError, Job, Messages, Snapshots
from hostd.model.domain import Domain

DETAILS: tuple[Metric[Details], ...] = (
    gauge("libvirt_domain_autostart", "1 if the domain starts with the host, else 0.", "is_autostarted"),
    gauge(
        "libvirt_domain_managed_save_image",
        "1 if the domain's next start goes on from a saved state, which takes up disk space, else 0.",
        "has_managed_save",
    ),
)

MESSAGES: tuple[Metric[Messages], ...] = (
    gauge(
        "libvirt_domain_messages",
        "What libvirt holds against the domain: reasons for no support, deprecated settings, disk errors so far.",
        "count",
    ),
)

MESSAGE: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_message_info", "One thing that libvirt holds against the domain, in its words."),
)

DISK_ERRORS: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_disk_errors", "Disks whose last error has stopped the domain."),
)

DISK_ERROR: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_disk_error_info", "A disk whose last error has stopped the domain, and what it was."),
)

SNAPSHOTS: tuple[Metric[Snapshots], ...] = (
    gauge("libvirt_domain_snapshots", "Snapshots of the domain.", "count"),
    gauge(
        "libvirt_domain_snapshot_oldest_timestamp_seconds",
        "When the domain's oldest snapshot was made.",
        "oldest_at",
    ),
    gauge(
        "libvirt_domain_snapshot_newest_timestamp_seconds",
        "When the domain's newest snapshot was made.",
        "newest_at",
    ),
)

JOB_INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_domain_job_info", "Which job runs on the domain; there only while one does."),
)


def _job(what: str, help_: str) -> tuple[str, str]:
    return f"libvirt_domain_job_info_{what}", help_


JOB: tuple[Metric[Job], ...] = (
    gauge(*_job("time_elapsed_seconds", "How long the job has run."), "elapsed_seconds"),
    gauge(
        *_job("time_remaining_seconds", "How long the job will still run, for one whose end is known."),
        "remaining_seconds",
    ),
    gauge(*_job("setup_time_seconds", "How long the migration was being prepared."), "setup_seconds"),
    gauge(
        *_job("downtime_seconds", "How long the guest is expected to stand still at the end of the migration."),
        "downtime_seconds",
    ),
    gauge(*_job("data_total_bytes", "Data that the job has to move."), "data_total_bytes"),
    gauge(*_job("data_processed_bytes", "Data that the job has moved."), "data_processed_bytes"),
    gauge(*_job("data_remaining_bytes", "Data that the job has still to move."), "data_remaining_bytes"),
    gauge(*_job("memory_total_bytes", "Memory that the job has to move."), "memory_total_bytes"),
    gauge(*_job("memory_processed_bytes", "Memory that the job has moved."), "memory_processed_bytes"),
    gauge(
        *_job(
            "memory_remaining_bytes",
            "Memory that the job has still to move; while the guest changes it this grows again.",
        ),
        "memory_remaining_bytes",
    ),
    gauge(*_job("memory_bytes_per_second", "How fast the job moves memory."), "memory_bytes_per_second"),
    gauge(
        *_job(
            "memory_dirty_bytes_per_second",
            "How fast the guest changes its memory; faster than it is moved, and the job never ends.",
        ),
        "memory_dirty_bytes_per_second",
    ),
    gauge(
        *_job("memory_iteration", "How many times the job has begun anew with what the guest had changed meanwhile."),
        "memory_iteration",
    ),
    gauge(
        *_job("memory_constant_pages", "Pages that the job did not have to move, since all their bytes are the same."),
        "memory_constant_pages",
    ),
    gauge(*_job("memory_normal_pages", "Pages that the job moved as they are."), "memory_normal_pages"),
    gauge(*_job("memory_normal_bytes", "Memory that the job moved as it is."), "memory_normal_bytes"),
    gauge(
        *_job("memory_postcopy_requests", "Pages that the guest needed at the other end before they were there."),
        "memory_postcopy_requests",
    ),
    gauge(*_job("file_total_bytes", "Disk data that the job has to move."), "disk_total_bytes"),
    gauge(*_job("file_processed_bytes", "Disk data that the job has moved."), "disk_processed_bytes"),
    gauge(*_job("file_remaining_bytes", "Disk data that the job has still to move."), "disk_remaining_bytes"),
    gauge(*_job("file_bytes_per_second", "How fast the job moves disk data."), "disk_bytes_per_second"),
    gauge(
        *_job("file_temporary_used_bytes", "Disk space that the job uses while it runs."),
        "disk_temporary_used_bytes",
    ),
    gauge(
        *_job("file_temporary_total_bytes", "Disk space that the job may use while it runs."),
        "disk_temporary_total_bytes",
    ),
    gauge(
        *_job("compression_cache_bytes", "Size of the cache for compressing pages that are moved again."),
        "compression_cache_bytes",
    ),
    gauge(*_job("compression_bytes", "Compressed data that the job has moved."), "compression_bytes"),
    gauge(*_job("compression_pages", "Compressed pages that the job has moved."), "compression_pages"),
    gauge(
        *_job("compression_cache_misses", "Pages that could not be compressed, for they were not in the cache."),
        "compression_cache_misses",
    ),
    gauge(
        *_job("compression_overflows", "Pages that would have been larger compressed."),
        "compression_overflows",
    ),
    gauge(*_job("vfio_bytes", "State of passed-through devices that the job has moved."), "vfio_bytes"),
    gauge(
        *_job("throttle_ratio", "Part of its CPU time that the guest is denied, so that the migration can end."),
        "throttle_ratio",
    ),
)


def _messages(details: Details) -> Iterable[tuple[tuple[str, ...], Messages]]:
    for messages in details.messages:
        yield (messages.kind,), messages


def _texts(details: Details) -> Iterable[tuple[tuple[str, ...], float]]:
    for messages in details.messages:
        for text in messages.texts:
            yield (messages.kind, text), 1


def _disk_error_count(errors: tuple[DiskError, ...]) -> Iterable[tuple[tuple[str, ...], float]]:
    yield (), len(errors)


def _disk_errors(errors: tuple[DiskError, ...]) -> Iterable[tuple[tuple[str, ...], float]]:
    for error in errors:
        yield (error.device, error.error), 1


def _running(domain: Domain) -> Job | None:
    job = None if domain.details is None else domain.details.job
    return None if job is None or job == NO_JOB else job


def _operation(job: Job) -> Iterable[tuple[tuple[str, ...], float]]:
    yield (job.operation,), 1


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope((), lambda d: d.details, itself, DETAILS),
    Scope(("kind",), lambda d: d.details, _messages, MESSAGES),
    Scope(("kind", "message"), lambda d: d.details, _texts, MESSAGE),
    Scope((), lambda d: d.details and d.details.disk_errors, _disk_error_count, DISK_ERRORS),
    Scope(("target_device", "error"), lambda d: d.details and d.details.disk_errors, _disk_errors, DISK_ERROR),
    Scope((), lambda d: d.details and d.details.snapshots, itself, SNAPSHOTS),
    Scope(("operation",), _running, _operation, JOB_INFO),
    Scope((), _running, itself, JOB),
)
