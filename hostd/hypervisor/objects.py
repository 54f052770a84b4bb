"""Networks, and how many there are of other things, asked of a connection that blocks: it runs in a thread of `calls`.

Any may raise `libvirt.libvirtError`; the adapter makes it one of ours.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import libvirt

from hostd.hypervisor.link import is_alive
from hostd.hypervisor.names import named
from hostd.hypervisor.support import Support
from hostd.model.objects import Countable, Network

T = TypeVar("T")

_Binding: TypeAlias = Any  # libvirt's objects have no types

MOST_LEASES = 10_000  # that are counted of one network

# virNodeDevCapType, by libvirt's own names. One that a libvirt does not know it has none of.
_DEVICES = (
    "system",
    "pci",
    "usb_device",
    "usb",
    "net",
    "scsi_host",
    "scsi_target",
    "scsi",
    "storage",
    "fc_host",
    "vports",
    "scsi_generic",
    "drm",
    "mdev_types",
    "mdev",
    "ccw",
    "css",
    "vdpa",
    "ap_card",
    "ap_queue",
    "ap_matrix",
    "vpd",
)
_SECRET_USAGES = ("none", "volume", "ceph", "iscsi", "tls", "vtpm")  # virSecretUsageType


def networks(connection: _Binding, support: Support) -> Mapping[str, str]:
    """All networks, UUID to name."""
    listed = support.ask("networks", connection.listAllNetworks)
    return {each.UUIDString(): each.name() for each in listed or ()}


def network(connection: _Binding, uuid: str, support: Support) -> Network | None:
    """One network; None if it is gone. Its leases are a file that somebody else writes, and may fail by themselves."""
    try:
        each = connection.networkLookupByUUIDString(uuid)
        is_active = bool(each.isActive())
        return Network(
            uuid=uuid,
            name=each.name(),
            bridge=_unless_it_fails(connection, each.bridgeName),
            is_active=is_active,
            is_persistent=bool(each.isPersistent()),
            is_autostart=bool(each.autostart()),
            dhcp_leases=_leases(connection, each, support) if is_active else None,
        )
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_NETWORK:
            raise
        return None


def count(connection: _Binding, what: Countable, support: Support) -> Mapping[str, int] | None:
    """How many there are of each kind; None where there is no driver for them."""
    return support.ask(what.value.replace(" ", "_"), lambda: _COUNTS[what](connection))


def _leases(connection: _Binding, each: _Binding, support: Support) -> int | None:
    leases = _unless_it_fails(connection, lambda: support.ask("dhcp_leases", each.DHCPLeases))
    return None if leases is None else min(len(leases), MOST_LEASES)


def _unless_it_fails(connection: _Binding, question: Callable[[], T]) -> T | None:
    try:
        return question()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK or not is_alive(connection):
            raise
        return None


def _node_devices(connection: _Binding) -> Mapping[str, int]:
    """Counted by libvirt, a call for each capability: a list would be of hundreds of devices, each to be asked."""
    return {capability: connection.numOfDevices(capability) for capability in _DEVICES}


def _secrets(connection: _Binding) -> Mapping[str, int]:
    """By what they are for, which is all that is asked of them."""
    counts = Counter(named(secret.usageType(), _SECRET_USAGES) for secret in connection.listAllSecrets())
    return {usage: counts[usage] for usage in (*_SECRET_USAGES, *counts)}


def _interfaces(connection: _Binding) -> Mapping[str, int]:
    active, inactive = libvirt.VIR_CONNECT_LIST_INTERFACES_ACTIVE, libvirt.VIR_CONNECT_LIST_INTERFACES_INACTIVE
    return {
        "active": len(connection.listAllInterfaces(active)),
        "inactive": len(connection.listAllInterfaces(inactive)),
    }


def _nwfilters(connection: _Binding) -> Mapping[str, int]:
    return {"": connection.numOfNWFilters()}


_COUNTS: Mapping[Countable, Callable[[_Binding], Mapping[str, int]]] = {
    Countable.NODE_DEVICES: _node_devices,
    Countable.SECRETS: _secrets,
    Countable.INTERFACES: _interfaces,
    Countable.NWFILTERS: _nwfilters,
}
