"""What a metric is: one row, and what a scope is: the rows that share their labels and where their values come from.

`None` from a getter means not known, and then there is no sample: never 0, or `rate()` would lie.
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


@dataclass(frozen=True, slots=True)
class Metric(Generic[Item]):
    """One metric family. With `is_age` the getter gives a time since 1970 and its age at the scrape is exported."""

    name: str
    kind: Kind
    help: str
    value: Callable[[Item], float | None]
    is_age: bool = False


@dataclass(frozen=True, slots=True)
class Scope(Generic[Owner, Part, Item]):
    """Metrics that are told once for each item of an owner.

    `part` gives what these metrics are about of one owner (a Domain or the World), `None` if that is not known. While
    it is the same object they are not looked at again, so what is not within it may not be asked for. `items` gives,
    for a part, the values of `labels` and the item that the getters are asked of. A domain's `domain` and `uuid` come
    before `labels` by themselves.
    """

    labels: tuple[str, ...]
    part: Callable[[Owner], Part | None]
    items: Callable[[Part], Iterable[tuple[tuple[str, ...], Item]]]
    metrics: tuple[Metric[Item], ...]


def counter(name: str, help_: str, value: Callable[[Item], float | None]) -> Metric[Item]:
    """The row of something that only grows; its name ends in `_total`."""
    return Metric(name, Kind.COUNTER, help_, value)


def gauge(name: str, help_: str, value: Callable[[Item], float | None]) -> Metric[Item]:
    """The row of something that goes up and down."""
    return Metric(name, Kind.GAUGE, help_, value)


def age(name: str, help_: str, since: Callable[[Item], float | None]) -> Metric[Item]:
    """The row of how long ago something was, in seconds at the scrape; `since` is in seconds since 1970."""
    return Metric(name, Kind.GAUGE, help_, since, is_age=True)


def whole(owner: Owner) -> Owner:
    """The part that is all of the owner."""
    return owner


def itself(part: Item) -> Iterable[tuple[tuple[str, ...], Item]]:
    """The items of a scope that needs no labels: the part, once."""
    yield (), part


def one(value: float) -> float:
    """The getter of an item that is itself the value, as the 1 of an info metric is."""
    return value
