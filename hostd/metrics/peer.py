"""What another exporter's family is, and the ways to make one from the World. `compat` has the families themselves.

Such an exporter knows a domain by its name alone, so the tables here are the World's own and walk all domains. What a
page cannot hold may then not fail the table, which is everybody's: each domain's values are looked at first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, TypeAlias

from hostd.metrics.row import Metric, Scope, gauge
from hostd.model.block import IoTune
from hostd.model.domain import Domain
from hostd.model.storage import StoragePool
from hostd.model.world import World

Items: TypeAlias = Iterable[tuple[tuple[str, ...], float | IoTune | None]]

UNLIMITED = IoTune()

UNTELLABLE = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError)
"""What a domain with a value of the wrong kind raises; its own tables count and log it."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family of a peer's: which of ours says the same, and in what it differs. Several may share a scope."""

    scope: Scope[World, Any, Any]
    metric: Metric[Any]
    ours: str
    differs: str

    @property
    def name(self) -> str:
        """What the peer calls it."""
        return self.metric.name


def family(
    name: str,
    ours: str,
    differs: str,
    *,
    labels: tuple[str, ...],
    part: Callable[[World], Any],
    items: Callable[[Any], Items],
) -> Family:
    """A family whose items are those of a part of the World."""
    metric: Metric[Any] = gauge(name, _help(ours, differs))
    return Family(Scope(labels, part, items, (metric,)), metric, ours, differs)


def _help(ours: str, differs: str) -> str:
    return f"As {ours}, for another exporter's dashboards; what differs: {differs}."


def of_domains(name: str, ours: str, differs: str, labels: tuple[str, ...], items: Callable[[Domain], Items]) -> Family:
    """A family of all domains; `labels` are beyond `domain`."""
    return family(
        name,
        ours,
        differs,
        labels=("domain", *labels),
        part=lambda w: w.domains,
        items=lambda domains: _all(domains, items),
    )


def of_domain(name: str, ours: str, differs: str, path: str) -> Family:
    """A family with one number of each domain."""
    return of_domains(name, ours, differs, (), lambda domain: [((), _at(domain, path))])


def of_disk(name: str, ours: str, differs: str, path: str) -> Family:
    """A family with one number of each disk."""
    return of_domains(
        name,
        ours,
        differs,
        ("target_device",),
        lambda d: [((block.device,), _at(block, path)) for block in (d.stats.blocks if d.stats else ())],
    )


def of_pool(name: str, ours: str, differs: str, label: str, value: Callable[[StoragePool], float | None]) -> Family:
    """A family with one number of each storage pool."""
    return family(
        name,
        ours,
        differs,
        labels=(label,),
        part=lambda w: w.pools,
        items=lambda pools: [((pool.name,), value(pool)) for pool in pools.values()],
    )


def of_limits(rows: Iterable[tuple[str, str, str]]) -> tuple[Family, ...]:
    """The families of disks' limits: their name, ours, and the way to the limit. One walk over the disks is for all."""
    differs = "0 where there is no limit, for every disk"
    known: list[tuple[Metric[Any], str]] = [
        (gauge(name, _help(ours, differs), path), ours) for name, ours, path in rows
    ]
    scope: Scope[World, Any, Any] = Scope(
        ("domain", "target_device"),
        lambda w: w.domains,
        lambda domains: _all(domains, _limits),
        tuple(metric for metric, _ in known),
    )
    return tuple(Family(scope, metric, ours, differs) for metric, ours in known)


def _limits(domain: Domain) -> Items:
    for disk in domain.facts.hardware.disks:
        yield (disk.device,), _with_zeros(disk.iotune or UNLIMITED)


@lru_cache(maxsize=4096)  # an operator has a few kinds of disks; each is made once
def _with_zeros(iotune: IoTune) -> IoTune:
    """With 0 for what is not limited, as libvirt's own call tells it."""
    limits: dict[str, Any] = {
        field.name: getattr(iotune, field.name) or 0 for field in fields(iotune) if field.name != "group"
    }
    for limit in limits.values():
        _check(limit)
    return IoTune(**limits)


def _all(domains: Mapping[str, Domain], items: Callable[[Domain], Items]) -> Items:
    """What is told of all domains. Of two with one name the first wins in every family, and a bad one costs itself."""
    named: dict[str, Domain] = {}
    for domain in domains.values():
        named.setdefault(domain.name, domain)
    for domain in named.values():
        yield from _told(domain, items)


def _told(domain: Domain, items: Callable[[Domain], Items]) -> Items:
    """All of a domain's or, if a page cannot hold it, nothing."""
    try:
        told = [((domain.name, *labels), value) for labels, value in items(domain)]
        for labels, value in told:
            _check(value)
            if b"\0" in "".join(labels).encode():
                return ()
    except UNTELLABLE:
        return ()
    return told


def _check(value: float | IoTune | None) -> None:
    if value is not None and not isinstance(value, IoTune):  # whose limits are looked at where they are made
        float(+value)  # a text that looks like a number has no plus


def _at(value: object, path: str) -> float | None:
    for step in path.split("."):
        value = getattr(value, step) if value is not None else None
    return value  # type: ignore[return-value] # every path leads to a number: the tests of the page say so
