"""One owner's samples (a domain's, or the World's own), made from the tables and from what was made of it before.

Three things make it fast. A part of an owner that is the same object as last time has the same samples (the model is
immutable): a domain whose guest has reported costs its guest's rows alone. An item's labels are made once, for as long
as they and the owner's name are the same. And what is done for each sample is done by C, a row of samples at a time.
"""

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from hostd.exposition import text
from hostd.metrics.row import Kind, Metric, Scope, itself

Owner = TypeVar("Owner")
Item: TypeAlias = Any  # of whichever kind its scope gives
Labels = tuple[Any, ...]  # values; or pairs, where a table leaves the names to its items
Told = tuple[object, Sequence[Labels], Sequence[bytes], bytes]
"""One table of one owner: the part it was made of; each item's labels, the same as text, and all numbers, item by item.

A bare tuple, because one is made for nearly every table of a domain, each time. The numbers are one text with commas
between them, because as single objects they would be fetched from memory again one by one; `numbers_of` parts them.
"""

NOTHING: Told = (None, (), (), b"")
"""What is told of a part that is not known."""

UNTELLABLE = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError)
"""What a value of the wrong kind raises, in a table's functions or here; half a surrogate pair is a ValueError."""

_written = msgspec.json.Encoder().encode  # as few digits of a float as `repr`, in an eighth of its time
_PLAIN = b"0123456789.,nul"
"""What is written of numbers with no sign or exponent and of what is not known, `null`. NaN and infinity are `null`
too, and a whole number can be too large for a float: both show in the length of the vector of all values."""

_NOT_KNOWN = frozenset({b"", b"null"})


@dataclass(frozen=True, slots=True)
class Identity:
    """The labels that all series of an owner begin with, as text."""

    whose: str = ""
    promoted: Mapping[str, str] = field(default_factory=dict)  # by name, since a table's own of that name wins

    def before(self, own: Container[str]) -> str:
        """What comes before labels of these names."""
        if not self.promoted:  # nearly always
            return self.whose
        return ",".join([self.whose, *[pair for name, pair in self.promoted.items() if name not in own]])


UNNAMED = Identity()
"""That of the World's own where its connection has no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[Owner]):
    """A scope made ready for rendering."""

    labels: tuple[str, ...] | None
    part: Callable[[Owner], Item | None]
    items: Callable[[Item], Iterable[tuple[Labels, Item]]]
    metrics: tuple[Metric[Any], ...]
    values: Callable[[Item], tuple[Any, ...]]
    """An item's value of each metric."""


def table_of(scope: Scope[Owner, Any, Any]) -> Table[Owner]:
    """The scope, made ready."""
    values = _getter([metric.path for metric in scope.metrics])
    return Table(labels=scope.labels, part=scope.part, items=scope.items, metrics=scope.metrics, values=values)


def _getter(paths: Sequence[str]) -> Callable[[Item], tuple[Any, ...]]:
    if len(paths) > 1:
        return attrgetter(*paths)
    if paths[0]:
        only = attrgetter(paths[0])
        return lambda item: (only(item),)
    return lambda item: (item,)


def render(table: Table[Any], part: Item | None, identity: Identity, before: Told) -> Told:
    """The table's samples of one part of an owner. `identity` is that of all its series, also of those `before`.

    Raises:
        UNTELLABLE: something that no page can hold.

    """
    if part is None:
        return NOTHING
    _, labels, texts, _ = before
    if table.items is itself and texts:  # most tables, and nothing to ask
        return part, labels, texts, _numbers(table, table.values(part))
    items = list(table.items(part))
    if not items:
        return part, (), (), b""
    if [values for values, _ in items] != labels:
        known = dict(zip(labels, texts, strict=True))
        items = _unique(items)
        labels = [values for values, _ in items]
        texts = [known.get(v) or _labels(table, identity, v) for v in labels]
    return part, labels, texts, _numbers(table, [value for _, item in items for value in table.values(item)])


def first(tables: Sequence[Table[Any]], told: Iterable[Told], room: int) -> tuple[list[Told], int]:
    """The first `room` samples, item by item in the tables' order, and how many there are beyond.

    Of histograms all or none: one without its last bucket is none, and a parser may refuse the page for it.
    """
    kept: list[Told] = []
    left_out = 0
    for table, (part, labels, texts, written) in zip(tables, told, strict=True):
        numbers = written.split(b",")
        known = [at for at, number in enumerate(numbers) if number not in _NOT_KNOWN]
        is_whole = len(known) <= room or table.metrics[0].kind is not Kind.HISTOGRAM
        beyond = known[room:] if is_whole else known
        for at in beyond:
            numbers[at] = b"null"
        kept.append((part, labels, texts, b",".join(numbers)))
        left_out += len(beyond)
        room -= len(known) - len(beyond)
    return kept, left_out


def numbers_of(told: Iterable[Told]) -> list[bytes]:
    """A table's numbers of all owners, one by one; empty where nothing is known. For an age it is its moment."""
    written = b",".join([numbers for _, _, _, numbers in told if numbers])
    return written.replace(b"null", b"").split(b",") if written else []


def _unique(items: Iterable[tuple[Labels, Item]]) -> list[tuple[Labels, Item]]:
    """Two items with the same labels would be the same series twice: the first wins."""
    unique: dict[Labels, Item] = {}
    for labels, item in items:
        unique.setdefault(labels, item)
    return list(unique.items())


def _labels(table: Table[Any], identity: Identity, of: Labels) -> bytes:
    names, values = (table.labels, of) if table.labels is not None else ([n for n, _ in of], [v for _, v in of])
    return text.labels(identity.before(names), text.pairs(names, values)).encode()


def _numbers(table: Table[Any], values: Sequence[Any]) -> bytes:
    """The numbers of all items. The hot path: nearly always there is nothing among them that needs a second look."""
    written = _written(values)[1:-1]
    if not written.translate(None, _PLAIN) and math.hypot(*filter(None, values)) < math.inf:
        return written
    return ",".join(map(_number, cycle(table.metrics), values)).encode()


def _number(metric: Metric[Any], value: float | None) -> str:
    if value is None:
        return "null"
    if metric.is_age and not math.isfinite(value):
        raise ValueError(f"not a moment: {value!r}")
    return text.number(value) if metric.kind is Kind.GAUGE else text.count(value)
