"""What libvirt's slow calls say of a domain, to the model's words and units: pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from hostd.hypervisor.names import JOB_OPERATIONS, named
from hostd.hypervisor.selection import EVERYTHING, Selection
from hostd.model.details import JOB_KINDS, NO_JOB, DiskError, Job

DISK_ERRORS: Sequence[str] = ("none", "unspecified", "no_space")  # virDomainDiskErrorCode

MOST_DISK_ERRORS = 256


def _seconds(milliseconds: int) -> float:
    return milliseconds / 1000


def _ratio(percent: int) -> float:
    return percent / 100


_FIELDS: Mapping[str, tuple[str, Callable[[int], float]]] = {  # VIR_DOMAIN_JOB_*, and what becomes of each
    "time_elapsed": ("elapsed_seconds", _seconds),
    "time_remaining": ("remaining_seconds", _seconds),
    "setup_time": ("setup_seconds", _seconds),
    "downtime": ("downtime_seconds", _seconds),
    "data_total": ("data_total_bytes", int),
    "data_processed": ("data_processed_bytes", int),
    "data_remaining": ("data_remaining_bytes", int),
    "memory_total": ("memory_total_bytes", int),
    "memory_processed": ("memory_processed_bytes", int),
    "memory_remaining": ("memory_remaining_bytes", int),
    "memory_bps": ("memory_bytes_per_second", int),
    "memory_iteration": ("memory_iteration", int),
    "memory_constant": ("memory_constant_pages", int),
    "memory_normal": ("memory_normal_pages", int),
    "memory_normal_bytes": ("memory_normal_bytes", int),
    "memory_postcopy_requests": ("memory_postcopy_requests", int),
    "disk_total": ("disk_total_bytes", int),
    "disk_processed": ("disk_processed_bytes", int),
    "disk_remaining": ("disk_remaining_bytes", int),
    "disk_bps": ("disk_bytes_per_second", int),
    "disk_temp_used": ("disk_temporary_used_bytes", int),
    "disk_temp_total": ("disk_temporary_total_bytes", int),
    "compression_cache": ("compression_cache_bytes", int),
    "compression_bytes": ("compression_bytes", int),
    "compression_pages": ("compression_pages", int),
    "compression_cache_misses": ("compression_cache_misses", int),
    "compression_overflow": ("compression_overflows", int),
    "vfio_data_transferred": ("vfio_bytes", int),
    "auto_converge_throttle": ("throttle_ratio", _ratio),
}


def job(params: Mapping[str, object]) -> Job:
    """VirDomainGetJobStats's parameters."""
    kind = named(_count(params.get("type")) or 0, JOB_KINDS)
    if kind == NO_JOB.kind:
        return NO_JOB
    known: dict[str, Any] = {
        field: unit(value)
        for param, (field, unit) in _FIELDS.items()
        if (value := _count(params.get(param))) is not None
    }
    if kind != "bounded":  # of others nobody knows how long they take
        known.pop("remaining_seconds", None)
    dirty, page = _count(params.get("memory_dirty_rate")), _count(params.get("memory_page_size"))
    if dirty is not None and page is not None:
        known["memory_dirty_bytes_per_second"] = dirty * page
    return Job(operation=named(_count(params.get("operation")) or 0, JOB_OPERATIONS), kind=kind, **known)


def disk_errors(errors: Mapping[str, int], disks: Selection = EVERYTHING) -> tuple[DiskError, ...]:
    """VirDomainGetDiskErrors's of these disks, in the order of the devices."""
    listed = [(device, code) for device, code in sorted(errors.items()) if code and disks.has(device)]
    return tuple(DiskError(device=device, error=named(code, DISK_ERRORS)) for device, code in listed[:MOST_DISK_ERRORS])


def created_at(xml: str) -> int | None:
    """When the snapshot of this XML was made, in seconds since 1970."""
    try:
        moment = ET.fromstring(xml).findtext("creationTime") or ""  # noqa: S314 - libvirt's own serialisation
    except ET.ParseError:
        return None
    return int(moment) if moment.isdecimal() and moment.isascii() else None


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None  # type: ignore[return-value]  # an int, as `is_count` says
