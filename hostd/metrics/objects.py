"""Networks, and how many there are of other things. To add a metric here: one row."""

from collections.abc import Iterable, Mapping
from typing import Any

from hostd.metrics.row import Metric, Scope, gauge
from hostd.model.objects import Countable, Network
from hostd.model.world import World

Networks = Mapping[str, Network]

NETWORK: tuple[Metric[Network], ...] = (
    gauge(
        "hostd_network_responsive",
        "1 if the network answered when libvirt was last asked for it; 0 if it did not, and then it has no numbers.",
        "is_responsive",
    ),
    gauge("libvirt_network_active", "1 if the network runs, 0 if it is only defined.", "is_active"),
    gauge("libvirt_network_autostart", "1 if the network is started along with libvirt.", "is_autostart"),
    gauge("libvirt_network_persistent", "1 if the network stays defined when it is stopped.", "is_persistent"),
    gauge(
        "libvirt_network_dhcp_leases",
        "Leases that the network has given out and that still hold; no more than 10000 are counted.",
        "dhcp_leases",
    ),
)

INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_network_info", "What the network is known by besides its name, and the host's device for it."),
)

NODE_DEVICES: tuple[Metric[float], ...] = (
    gauge("libvirt_node_devices", "Devices of the host that have the capability; one may have several."),
)

SECRETS: tuple[Metric[float], ...] = (gauge("libvirt_secrets", "Secrets that libvirt keeps, by what they are for."),)

INTERFACES: tuple[Metric[float], ...] = (
    gauge("libvirt_interfaces", "Network interfaces of the host that libvirt could set up, by their state."),
)

NWFILTERS: tuple[Metric[float], ...] = (gauge("libvirt_nwfilters", "Network filters that are defined."),)


def _networks(networks: Networks) -> Iterable[tuple[tuple[str, ...], Network]]:
    for network in networks.values():
        yield (network.name,), network


def _info(networks: Networks) -> Iterable[tuple[tuple[str, ...], float]]:
    for network in networks.values():
        yield (network.name, network.uuid, network.bridge or ""), 1


def _counts(counts: Mapping[str, int]) -> Iterable[tuple[tuple[str, ...], float]]:
    for kind, count in counts.items():
        yield (kind,), count


def _totals(counts: Mapping[str, int]) -> Iterable[tuple[tuple[str, ...], float]]:
    yield (), sum(counts.values())


SCOPES: tuple[Scope[World, Any, Any], ...] = (
    Scope(("network",), lambda w: w.objects.networks, _networks, NETWORK),
    Scope(("network", "network_uuid", "bridge"), lambda w: w.objects.networks, _info, INFO),
    Scope(("capability",), lambda w: w.objects.counts.get(Countable.NODE_DEVICES), _counts, NODE_DEVICES),
    Scope(("usage",), lambda w: w.objects.counts.get(Countable.SECRETS), _counts, SECRETS),
    Scope(("state",), lambda w: w.objects.counts.get(Countable.INTERFACES), _counts, INTERFACES),
    Scope((), lambda w: w.objects.counts.get(Countable.NWFILTERS), _totals, NWFILTERS),
)
