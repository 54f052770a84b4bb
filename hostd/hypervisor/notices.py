"""Every event that libvirt tells of: one row each, and what its callback's arguments mean. Pure.

A row is found by the name of libvirt's constant, because the binding has only those that it was built with, and is
subscribed to only where the libvirt at the other end is as new as the row's `since`. To add an event: a row.

Event and detail become labels, so they are taken from libvirt's enumerations alone. Whatever has no end or may be a
guest's to choose (paths, aliases, addresses, sizes) is among the particulars, which are told to the log.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hostd.hypervisor import FinishedJob, Particulars, names
from hostd.hypervisor.names import event_of, named

LEFT_OUT: Mapping[str, str] = {
    "VIR_DOMAIN_EVENT_ID_CHANNEL_LIFECYCLE": (
        "up to 12.8 the binding calls back with another number of arguments than it declares: no guest shall try that"
    ),
    "VIR_DOMAIN_EVENT_ID_IO_ERROR": "comes with every IO_ERROR_REASON and says less; one error would count twice",
    "VIR_DOMAIN_EVENT_ID_BLOCK_JOB": "comes with every BLOCK_JOB_2 and names the disk by its path",
}
"""What is never subscribed to, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a callback's arguments say."""

    detail: str = ""  # where libvirt has no word for it
    event: str = ""  # where it is not the row's own
    particulars: Particulars = ()
    job: FinishedJob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One of libvirt's event ids. Quiet is what a guest brings about at will, or what comes by the dozen."""

    name: str
    constant: str
    meaning: Callable[..., Meaning]  # of what the callback gets between the object it is about and the opaque
    since: tuple[int, int, int] = (0, 0, 0)  # libvirt's version; not said where that is older than any still about
    changes_facts: bool = False
    is_quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The events of one kind of object, and libvirt's methods for them."""

    object: str
    register: str
    deregister: str
    identity: str  # what the object is asked for, to be named in the log
    events: tuple[Event, ...]


def worded(*words: Sequence[str]) -> Callable[..., Meaning]:
    """Of numbers of these enumerations, the names, joined."""

    def meaning(*numbers: int) -> Meaning:
        return Meaning(detail="_".join(named(number, of) for number, of in zip(numbers, words, strict=True)))

    return meaning


def told(*keys: str) -> Callable[..., Meaning]:
    """Of arguments without an end: particulars, all of them."""
    return lambda *arguments: Meaning(particulars=tuple(zip(keys, arguments, strict=True)))


def events_worded(words: Sequence[str]) -> Callable[..., Meaning]:
    """Of a lifecycle whose details say nothing: the event."""
    return lambda event, _detail: Meaning(event=named(event, words))


def _lifecycle(event: int, detail: int) -> Meaning:
    name, detail_name = event_of(event, detail)
    return Meaning(event=name, detail=detail_name)


def _suspend(_reason: int) -> Meaning:  # always 0
    return Meaning()


def _io_error(path: str, alias: str, action: int, reason: str) -> Meaning:
    why = "enospc" if reason == "enospc" else "other"  # the others are empty, or of a length without limit
    detail = f"{named(action, names.IO_ERROR_ACTIONS)}_{why}"
    return Meaning(detail=detail, particulars=(("path", path), ("device", alias), ("reason", reason)))


def _graphics(phase: int, _local: object, remote: Mapping[str, object], scheme: str, subject: object) -> Meaning:
    particulars = (("remote", remote.get("node")), ("scheme", scheme), ("subject", subject))
    return Meaning(detail=named(phase, names.GRAPHICS_PHASES), particulars=particulars)


def _block_job(disk: str, kind: int, status: int) -> Meaning:
    return _with(worded(names.BLOCK_JOB_TYPES, names.BLOCK_JOB_STATUSES)(kind, status), disk=disk)


def _disk_change(old: str, new: str, alias: str, reason: int) -> Meaning:
    return _with(worded(names.DISK_CHANGES)(reason), old=old, new=new, device=alias)


def _tray_change(alias: str, reason: int) -> Meaning:
    return _with(worded(names.TRAY_CHANGES)(reason), device=alias)


def _tunable(parameters: Mapping[str, object]) -> Meaning:
    groups = {key.partition(".")[0] for key in parameters}
    known = next((group for group in ("cputune", "blkdeviotune") if group in groups), "other")
    return Meaning(detail=known, particulars=tuple(sorted(parameters.items())))


def _job_completed(parameters: Mapping[str, object]) -> Meaning:
    operation = named(_number(parameters.get("operation", 0)), names.JOB_OPERATIONS)
    result = "failed" if parameters.get("success") is False else "completed"  # only some drivers' jobs say so at all
    job = FinishedJob(
        operation=operation,
        result=result,
        seconds=_seconds(parameters.get("time_elapsed")),
        downtime_seconds=_seconds(parameters.get("downtime_net", parameters.get("downtime"))),
    )
    error = parameters.get("errmsg")
    return Meaning(detail=f"{operation}_{result}", job=job, particulars=(("error", error),) if error else ())


def _metadata_change(kind: int, uri: str | None) -> Meaning:
    return _with(worded(names.METADATA_TYPES)(kind), uri=uri)


def _memory_failure(recipient: int, action: int, flags: int) -> Meaning:
    words = worded(names.MEMORY_FAILURE_RECIPIENTS, names.MEMORY_FAILURE_ACTIONS)
    return _with(words(recipient, action), flags=flags)


def _with(meaning: Meaning, **particulars: object) -> Meaning:
    return Meaning(detail=meaning.detail, particulars=tuple(particulars.items()))


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"not a whole number: {value!r}")
    return value


def _seconds(milliseconds: object) -> float | None:
    return None if milliseconds is None else _number(milliseconds) / 1000


def _domain(
    suffix: str,
    meaning: Callable[..., Meaning],
    *,
    name: str = "",
    since: tuple[int, int, int] = (0, 0, 0),
    changes_facts: bool = False,
    is_quiet: bool = False,
) -> Event:
    return Event(
        name=name or suffix.lower(),
        constant=f"VIR_DOMAIN_EVENT_ID_{suffix}",
        meaning=meaning,
        since=since,
        changes_facts=changes_facts,
        is_quiet=is_quiet,
    )


DOMAIN_EVENTS: tuple[Event, ...] = (
    _domain("LIFECYCLE", _lifecycle, changes_facts=True),
    _domain("REBOOT", told()),  # QEMU's libvirt tells of each reboot twice; what it tells is what is counted
    _domain("RTC_CHANGE", told("offset_seconds"), is_quiet=True),
    _domain("WATCHDOG", worded(names.WATCHDOG_ACTIONS)),
    _domain("GRAPHICS", _graphics),
    _domain("IO_ERROR_REASON", _io_error, name="io_error"),
    _domain("CONTROL_ERROR", told()),
    _domain("DISK_CHANGE", _disk_change, changes_facts=True),
    _domain("TRAY_CHANGE", _tray_change, is_quiet=True),
    _domain("PMWAKEUP", _suspend),
    _domain("PMSUSPEND", _suspend),
    _domain("BALLOON_CHANGE", told("actual_kibibytes"), is_quiet=True),
    _domain("PMSUSPEND_DISK", _suspend),
    _domain("DEVICE_REMOVED", told("device"), changes_facts=True),
    _domain("BLOCK_JOB_2", _block_job, name="block_job", changes_facts=True),  # a pivot changes the disk's source
    _domain("TUNABLE", _tunable, changes_facts=True),
    _domain("AGENT_LIFECYCLE", worded(names.AGENT_STATES, names.AGENT_REASONS)),
    _domain("DEVICE_ADDED", told("device"), changes_facts=True),
    _domain("MIGRATION_ITERATION", told("iteration"), is_quiet=True),
    _domain("JOB_COMPLETED", _job_completed),
    _domain("DEVICE_REMOVAL_FAILED", told("device")),
    _domain("METADATA_CHANGE", _metadata_change, changes_facts=True),
    _domain("BLOCK_THRESHOLD", told("disk", "path", "threshold_bytes", "excess_bytes")),
    _domain("MEMORY_FAILURE", _memory_failure, since=(6, 9, 0)),
    _domain("MEMORY_DEVICE_SIZE_CHANGE", told("device", "kibibytes"), since=(7, 9, 0), is_quiet=True),
    _domain("NIC_MAC_CHANGE", told("device", "old", "new"), since=(11, 2, 0), is_quiet=True),
    _domain("VCPU_REMOVED", told("vcpu"), since=(12, 4, 0), changes_facts=True),
)

FAMILIES: tuple[Family, ...] = (
    Family(
        object="domain",
        register="domainEventRegisterAny",
        deregister="domainEventDeregisterAny",
        identity="name",
        events=DOMAIN_EVENTS,
    ),
    Family(
        object="network",
        register="networkEventRegisterAny",
        deregister="networkEventDeregisterAny",
        identity="name",
        events=(
            Event(
                name="lifecycle",
                constant="VIR_NETWORK_EVENT_ID_LIFECYCLE",
                meaning=events_worded(names.NETWORK_EVENTS),
            ),
            Event(
                name="metadata_change",
                constant="VIR_NETWORK_EVENT_ID_METADATA_CHANGE",
                meaning=_metadata_change,
                since=(9, 8, 0),
            ),
        ),
    ),
    Family(
        object="storage_pool",
        register="storagePoolEventRegisterAny",
        deregister="storagePoolEventDeregisterAny",
        identity="name",
        events=(
            Event(
                name="lifecycle",
                constant="VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE",
                meaning=events_worded(names.STORAGE_POOL_EVENTS),
            ),
            Event(name="refresh", constant="VIR_STORAGE_POOL_EVENT_ID_REFRESH", meaning=told()),
        ),
    ),
    Family(
        object="node_device",
        register="nodeDeviceEventRegisterAny",
        deregister="nodeDeviceEventDeregisterAny",
        identity="name",
        events=(  # quiet: each interface of each domain that starts is one
            Event(
                name="lifecycle",
                constant="VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE",
                meaning=events_worded(names.NODE_DEVICE_EVENTS),
                is_quiet=True,
            ),
            Event(name="update", constant="VIR_NODE_DEVICE_EVENT_ID_UPDATE", meaning=told(), is_quiet=True),
        ),
    ),
    Family(
        object="secret",
        register="secretEventRegisterAny",
        deregister="secretEventDeregisterAny",
        identity="UUIDString",
        events=(
            Event(
                name="lifecycle",
                constant="VIR_SECRET_EVENT_ID_LIFECYCLE",
                meaning=events_worded(names.SECRET_EVENTS),
            ),
            Event(name="value_changed", constant="VIR_SECRET_EVENT_ID_VALUE_CHANGED", meaning=told()),
        ),
    ),
)
