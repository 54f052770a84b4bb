"""Storage pools as libvirt keeps them, and the volumes within."""

import enum
from dataclasses import dataclass


class PoolState(enum.Enum):
    """virStoragePoolState, by libvirt's own names."""

    INACTIVE = "inactive"
    BUILDING = "building"
    RUNNING = "running"
    DEGRADED = "degraded"
    INACCESSIBLE = "inaccessible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One volume of a pool."""

    name: str
    capacity_bytes: int | None = None
    allocation_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePool:
    """One pool. One that did not answer in time keeps its identity and loses its numbers."""

    uuid: str
    name: str
    is_responsive: bool = True
    state: PoolState | None = None
    capacity_bytes: int | None = None
    allocation_bytes: int | None = None
    available_bytes: int | None = None
    volume_count: int | None = None
    volumes: tuple[Volume, ...] = ()  # the first of them by name; empty unless the operator wants them
