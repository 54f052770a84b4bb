"""The connection to libvirt. To add a metric here: one row."""

from collections.abc import Iterable
from typing import Any

from hostd.metrics.row import Metric, Scope, counter, gauge, itself
from hostd.model.host import Connection, ConnectionFacts
from hostd.model.world import World

DOMAINS: tuple[Metric[float], ...] = (gauge("libvirt_domains", "Domains that libvirt knows, active or not."),)

CONNECTION: tuple[Metric[Connection], ...] = (
    gauge("libvirt_up", "1 while libvirt answers, 0 while it does not and hostd waits for it.", "is_up"),
    counter(
        "hostd_libvirt_connects_total",
        "Connections to libvirt that were opened and listened to, the first included.",
        "connects",
    ),
    counter("hostd_libvirt_losses_total", "Connections to libvirt that were lost.", "losses"),
    gauge(
        "hostd_event_gap_seconds",
        "How long nobody listened to libvirt between its last loss and the connection after: events may be missing.",
        "gap_seconds",
    ),
)

CONNECTION_INFO: tuple[Metric[float], ...] = (
    gauge("libvirt_connection_info", "What is at the other end: driver, versions and the host's name."),
)


def _facts(facts: ConnectionFacts) -> Iterable[tuple[tuple[str, ...], float]]:
    yield (facts.driver, facts.libvirt_version, facts.hypervisor_version or "", facts.hostname or ""), 1


SCOPES: tuple[Scope[World, Any, Any], ...] = (
    Scope((), lambda w: w.connection, itself, CONNECTION),
    Scope(
        ("driver", "libvirt_version", "hypervisor_version", "hostname"),
        lambda w: w.connection.facts,
        _facts,
        CONNECTION_INFO,
    ),
    Scope((), lambda w: len(w.domains), itself, DOMAINS),
)
