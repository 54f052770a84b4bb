"""What libvirt is asked for one domain by slow calls, now and then. `None` is not known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """What libvirt holds against a domain, of one kind."""

    kind: str  # tainting, deprecation or ioerror
    texts: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskError:
    """A disk whose last error has stopped the domain."""

    device: str
    error: str  # unspecified or no_space


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """A domain's snapshots; the moments are in seconds since 1970."""

    count: int
    oldest_at: int | None = None
    newest_at: int | None = None


JOB_KINDS = ("none", "bounded", "unbounded", "completed", "failed", "cancelled")
"""Of virDomainJobType, in its order: whether a job knows its end, or how one has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The job that runs, such as a migration, and how far it is."""

    operation: str  # virDomainJobOperation, by libvirt's own names
    kind: str  # one of `JOB_KINDS`, or the number of one that is newer
    elapsed_seconds: float | None = None
    remaining_seconds: float | None = None
    setup_seconds: float | None = None
    downtime_seconds: float | None = None
    data_total_bytes: int | None = None
    data_processed_bytes: int | None = None
    data_remaining_bytes: int | None = None
    memory_total_bytes: int | None = None
    memory_processed_bytes: int | None = None
    memory_remaining_bytes: int | None = None
    memory_bytes_per_second: int | None = None
    memory_dirty_bytes_per_second: int | None = None
    memory_iteration: int | None = None
    memory_constant_pages: int | None = None
    memory_normal_pages: int | None = None
    memory_normal_bytes: int | None = None
    memory_postcopy_requests: int | None = None
    disk_total_bytes: int | None = None
    disk_processed_bytes: int | None = None
    disk_remaining_bytes: int | None = None
    disk_bytes_per_second: int | None = None
    disk_temporary_used_bytes: int | None = None
    disk_temporary_total_bytes: int | None = None
    compression_cache_bytes: int | None = None
    compression_bytes: int | None = None
    compression_pages: int | None = None
    compression_cache_misses: int | None = None
    compression_overflows: int | None = None
    vfio_bytes: int | None = None
    throttle_ratio: float | None = None  # of its CPU time that the guest is denied, so that its memory settles


NO_JOB = Job(operation="none", kind="none")
"""What is known of a domain on which none runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Everything of one domain."""

    is_autostarted: bool | None = None
    has_managed_save: bool | None = None
    messages: tuple[Messages, ...] = ()  # the kinds that the daemon tells of
    disk_errors: tuple[DiskError, ...] | None = None
    snapshots: Snapshots | None = None
    job: Job | None = None
    is_whole: bool = True  # else somebody was at the monitor, and what only that tells is left out
