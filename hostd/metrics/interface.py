"""A domain's network interfaces as libvirt counts them, from the guest's side. To add a metric here: one row."""

from collections.abc import Iterable
from typing import Any

from hostd.metrics.row import Metric, Scope, counter
from hostd.model.domain import Domain
from hostd.model.stats import DomainStats, InterfaceStats


def _interface(what: str, help_: str) -> tuple[str, str]:
    return f"libvirt_domain_interface_stats_{what}_total", f"{help_}, from the guest's side."


INTERFACE: tuple[Metric[InterfaceStats], ...] = (
    counter(*_interface("receive_bytes", "Bytes received"), "receive_bytes"),
    counter(*_interface("receive_packets", "Packets received"), "receive_packets"),
    counter(*_interface("receive_errors", "Errors on receiving"), "receive_errors"),
    counter(*_interface("receive_drops", "Packets dropped on receiving"), "receive_drops"),
    counter(*_interface("transmit_bytes", "Bytes sent"), "transmit_bytes"),
    counter(*_interface("transmit_packets", "Packets sent"), "transmit_packets"),
    counter(*_interface("transmit_errors", "Errors on sending"), "transmit_errors"),
    counter(*_interface("transmit_drops", "Packets dropped on sending"), "transmit_drops"),
)


def _interfaces(stats: DomainStats) -> Iterable[tuple[tuple[str, ...], InterfaceStats]]:
    return [((interface.device,), interface) for interface in stats.interfaces]


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (Scope(("target_device",), lambda d: d.stats, _interfaces, INTERFACE),)
