"""What libvirt told of by itself: of domains, and of all kinds of objects together. To add a metric here: one row.

Events that an alert asks for are there with 0 before the first, or `increase()` would not see the first.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from hostd.metrics.row import Metric, Scope, counter, gauge
from hostd.model.domain import Domain
from hostd.model.world import GAP, World

ALERTED: tuple[tuple[str, str], ...] = (
    ("crashed", "panicked"),
    ("stopped", "crashed"),
    ("stopped", "failed"),
    ("suspended", "ioerror"),
    *product(("io_error",), ("pause_enospc", "pause_other")),
    *product(("watchdog",), ("pause", "reset", "poweroff")),
    ("control_error", ""),
    *product(("block_job",), ("pull_failed", "copy_failed", "commit_failed", "active_commit_failed", "backup_failed")),
    *product(("memory_failure",), ("hypervisor_fatal", "guest_fatal")),
)
"""The events that tell of trouble with a domain, and that somebody is woken for: each costs a series a domain."""

RARER: tuple[tuple[str, str], ...] = (
    ("suspended", "watchdog"),
    ("suspended", "postcopy_failed"),
    *product(("io_error",), ("report_enospc", "report_other")),
    *product(("watchdog",), ("none", "shutdown", "debug", "injectnmi")),
    ("block_threshold", ""),
    *product(("memory_failure",), ("hypervisor_ignore", "guest_ignore", "guest_inject", "guest_reset")),
    ("device_removal_failed", ""),
)
"""More of the kind, which are counted from 0 over all domains together."""

ALERTED_OBJECTS: tuple[tuple[str, str, str], ...] = (
    *(("domain", *kind) for kind in (*ALERTED, *RARER)),
    ("network", "stopped", ""),
    ("storage_pool", "stopped", ""),
    ("storage_pool", "deleted", ""),
    GAP,
)
"""The same for all objects: what others took down, and that libvirt was not listened to."""

DOMAIN: tuple[Metric[float], ...] = (
    counter(
        "libvirt_domain_events_total",
        "Events that libvirt told of since hostd has known the domain, as many times as it did, in libvirt's words.",
    ),
)

LAST: tuple[Metric[float], ...] = (
    gauge(
        "libvirt_domain_last_event_timestamp_seconds",
        "When libvirt last told of the event, by the host's clock.",
    ),
)

OBJECTS: tuple[Metric[float], ...] = (
    counter(
        "libvirt_events_total",
        "Events that libvirt told of, by the kind of object, also of domains that are gone; of the connection, gaps.",
    ),
)


def _of_domain(events: Mapping[tuple[str, str], int]) -> Iterable[tuple[tuple[str, ...], float]]:
    yield from {**dict.fromkeys(ALERTED, 0), **events}.items()


def _last(events: Mapping[str, float]) -> Iterable[tuple[tuple[str, ...], float]]:
    for event, at in events.items():
        yield (event,), at


def _of_objects(events: Mapping[tuple[str, str, str], int]) -> Iterable[tuple[tuple[str, ...], float]]:
    yield from {**dict.fromkeys(ALERTED_OBJECTS, 0), **events}.items()


WORLD_SCOPES: tuple[Scope[World, Any, Any], ...] = (
    Scope(("object", "event", "detail"), lambda w: w.events, _of_objects, OBJECTS),
)

DOMAIN_SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope(("event", "detail"), lambda d: d.events, _of_domain, DOMAIN),
    Scope(("event",), lambda d: d.last_events, _last, LAST),
)
