"""What libvirt keeps besides domains and storage: networks, and how many there are of the rest."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Countable(enum.Enum):
    """What is only counted, by kinds."""

    NODE_DEVICES = "node devices"
    SECRETS = "secrets"
    INTERFACES = "interfaces"
    NWFILTERS = "network filters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One virtual network. One that was not asked, or did not answer in time, keeps its identity and loses the rest."""

    uuid: str
    name: str
    is_responsive: bool | None = True  # None if it was not asked
    bridge: str | None = None  # the host's device; not every kind of network has one
    is_active: bool | None = None
    is_persistent: bool | None = None
    is_autostart: bool | None = None
    dhcp_leases: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Networks by UUID, and counts by kind; of what has no driver there is no count."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    counts: Mapping[Countable, Mapping[str, int]] = field(default_factory=dict)
