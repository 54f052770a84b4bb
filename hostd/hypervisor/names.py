"""Libvirt's numbers by libvirt's names, from its headers (libvirt 12.8), so that a newer daemon's are known already.

A number that is not here becomes its own digits: an unknown reason must not cost a domain its state.
"""

from collections.abc import Mapping, Sequence

from hostd.model.stats import ControlState, DomainState
from hostd.model.storage import PoolState

STATES: Sequence[DomainState] = tuple(DomainState)  # in virDomainState's order, 0 to 7
CONTROL_STATES: Sequence[ControlState] = tuple(ControlState)  # in virDomainControlState's, 0 to 3
POOL_STATES: Sequence[PoolState] = tuple(PoolState)  # in virStoragePoolState's, 0 to 4

REASONS: Mapping[DomainState, Sequence[str]] = {
    DomainState.NOSTATE: ("unknown",),
    DomainState.RUNNING: (
        "unknown",
        "booted",
        "migrated",
        "restored",
        "from_snapshot",
        "unpaused",
        "migration_canceled",
        "save_canceled",
        "wakeup",
        "crashed",
        "postcopy",
        "postcopy_failed",
    ),
    DomainState.BLOCKED: ("unknown",),
    DomainState.PAUSED: (
        "unknown",
        "user",
        "migration",
        "save",
        "dump",
        "ioerror",
        "watchdog",
        "from_snapshot",
        "shutting_down",
        "snapshot",
        "crashed",
        "starting_up",
        "postcopy",
        "postcopy_failed",
        "api_error",
    ),
    DomainState.SHUTDOWN: ("unknown", "user"),
    DomainState.SHUTOFF: (
        "unknown",
        "shutdown",
        "destroyed",
        "crashed",
        "migrated",
        "saved",
        "failed",
        "from_snapshot",
        "daemon",
    ),
    DomainState.CRASHED: ("unknown", "panicked"),
    DomainState.PMSUSPENDED: ("unknown",),
}

EVENTS: Sequence[tuple[str, Sequence[str]]] = (  # virDomainEventType, each with its details
    ("defined", ("added", "updated", "renamed", "from_snapshot")),
    ("undefined", ("removed", "renamed")),
    ("started", ("booted", "migrated", "restored", "from_snapshot", "wakeup", "recreated")),
    (
        "suspended",
        (
            "paused",
            "migrated",
            "ioerror",
            "watchdog",
            "restored",
            "from_snapshot",
            "api_error",
            "postcopy",
            "postcopy_failed",
            "guest_shutdown",
        ),
    ),
    ("resumed", ("unpaused", "migrated", "from_snapshot", "postcopy", "postcopy_failed")),
    ("stopped", ("shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from_snapshot", "recreated")),
    ("shutdown", ("finished", "guest", "host")),
    ("pmsuspended", ("memory", "disk")),
    ("crashed", ("panicked", "crashloaded")),
)

# What comes with the other events of a domain, each enumeration in its order.
WATCHDOG_ACTIONS: Sequence[str] = ("none", "pause", "reset", "poweroff", "shutdown", "debug", "injectnmi")
IO_ERROR_ACTIONS: Sequence[str] = ("none", "pause", "report")
GRAPHICS_PHASES: Sequence[str] = ("connect", "initialize", "disconnect")
BLOCK_JOB_TYPES: Sequence[str] = ("unknown", "pull", "copy", "commit", "active_commit", "backup")
BLOCK_JOB_STATUSES: Sequence[str] = ("completed", "failed", "canceled", "ready")
DISK_CHANGES: Sequence[str] = ("change_missing_on_start", "drop_missing_on_start")
TRAY_CHANGES: Sequence[str] = ("open", "close")
AGENT_STATES: Sequence[str] = ("0", "connected", "disconnected")  # libvirt begins at 1
AGENT_REASONS: Sequence[str] = ("unknown", "domain_started", "channel")
MEMORY_FAILURE_RECIPIENTS: Sequence[str] = ("hypervisor", "guest")
MEMORY_FAILURE_ACTIONS: Sequence[str] = ("ignore", "inject", "fatal", "reset")
METADATA_TYPES: Sequence[str] = ("description", "title", "element")
JOB_OPERATIONS: Sequence[str] = (
    "unknown",
    "start",
    "save",
    "restore",
    "migration_in",
    "migration_out",
    "snapshot",
    "snapshot_revert",
    "dump",
    "backup",
    "snapshot_delete",
)

NETWORK_EVENTS: Sequence[str] = ("defined", "undefined", "started", "stopped")
STORAGE_POOL_EVENTS: Sequence[str] = ("defined", "undefined", "started", "stopped", "created", "deleted")
NODE_DEVICE_EVENTS: Sequence[str] = ("created", "deleted", "defined", "undefined")
SECRET_EVENTS: Sequence[str] = ("defined", "undefined")

VCPU_STATES: Sequence[str] = ("offline", "running", "blocked")  # virVcpuState


def named(number: int, names: Sequence[str]) -> str:
    """The name at that place, or the number itself."""
    return names[number] if 0 <= number < len(names) else str(number)


def state_of(number: int, reason: int) -> tuple[DomainState, str]:
    """VirDomainGetState's pair; a state that is not known is `NOSTATE`."""
    state = STATES[number] if 0 <= number < len(STATES) else DomainState.NOSTATE
    return state, named(reason, REASONS[state])


def event_of(event: int, detail: int) -> tuple[str, str]:
    """A lifecycle event's pair."""
    if not 0 <= event < len(EVENTS):
        return str(event), str(detail)
    name, details = EVENTS[event]
    return name, named(detail, details)
