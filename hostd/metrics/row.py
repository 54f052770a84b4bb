"""What a metric is: one row, and what a scope is: the rows that share their labels and where their values come from.

A row says where its value is, and computes nothing: the values of all rows of a scope are then had at once. `None`
means not known, and then there is no sample: never 0, or `rate()` would lie.
"""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Owner = TypeVar("Owner")
Part = TypeVar("Part")
Item = TypeVar("Item")


class Kind(enum.Enum):
    """Prometheus's types, as far as they are used."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric(Generic[Item]):
    """One metric family. With `is_age` its value is a time since 1970 and its age at the scrape is exported."""

    name: str
    kind: Kind
    help: str
    path: str  # to the value within an item, as in `cpu.time_seconds`; empty if the item is the value
    is_age: bool = False


@dataclass(frozen=True, slots=True)
class Scope(Generic[Owner, Part, Item]):
    """Metrics that are told once for each item of an owner.

    `part` gives what these metrics are about of one owner (a Domain or the World), `None` if that is not known. While
    it is the same object they are not looked at again, so what is not within it may not be asked for. `items` gives,
    for a part, the values of `labels` and the item that has the metrics' values; where `labels` is None each item names
    its own, in pairs instead of values. A domain's `domain` and `uuid` come before them by themselves, and so does what
    is promoted of its metadata.
    """

    labels: tuple[str, ...] | None
    part: Callable[[Owner], Part | None]
    items: Callable[[Part], Iterable[tuple[tuple[str, ...] | tuple[tuple[str, str], ...], Item]]]
    metrics: tuple[Metric[Item], ...]


def counter(name: str, help_: str, path: str = "") -> Metric[Item]:
    """The row of something that only grows; its name ends in `_total`."""
    return Metric(name, Kind.COUNTER, help_, path)


def gauge(name: str, help_: str, path: str = "") -> Metric[Item]:
    """The row of something that goes up and down."""
    return Metric(name, Kind.GAUGE, help_, path)


def buckets(name: str, help_: str, path: str) -> Metric[Item]:
    """The row of a histogram's buckets, whose items are labelled with `le` and count all below it.

    The last is +Inf. There is no row of a sum, for libvirt has none (docs/decisions.md).
    """
    return Metric(f"{name}_bucket", Kind.HISTOGRAM, help_, path)


def age(name: str, help_: str, path: str = "") -> Metric[Item]:
    """The row of how long ago something was, in seconds at the scrape; at `path` is when, in seconds since 1970."""
    return Metric(name, Kind.GAUGE, help_, path, is_age=True)


def whole(owner: Owner) -> Owner:
    """The part that is all of the owner."""
    return owner


def itself(part: Item) -> Iterable[tuple[tuple[str, ...], Item]]:
    """The items of a scope that needs no labels: the part, once."""
    yield (), part
