"""One owner's samples (a domain's, or the World's own), made from the tables and from what was made of it before.

Two things make it fast, and both rest on the model being immutable. A part of an owner that is the same object as last
time has the same samples: a domain whose guest has reported costs its guest's rows alone. And all of a line but its
number is made once, for as long as the owner keeps its name and the item its labels.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from hostd.exposition import text
from hostd.exposition.text import LIMIT
from hostd.metrics.row import Kind, Metric, Scope, itself

Owner = TypeVar("Owner")
Item: TypeAlias = Any  # of whichever kind its scope gives
Labels = tuple[str, ...]
Cells = Sequence[str]
"""For each metric of a table its lines, one an item; empty where nothing is known. An age has its moment as number."""

Told = tuple[object, Sequence[Labels], Sequence[str], Cells]
"""One table of one owner: the part it was made of, each item's labels, the same as text, and the cells. (A bare tuple:
one is made for nearly every table of a domain, each time.)"""

UNTELLABLE = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError)
"""What a value of the wrong kind raises, in a table's functions or here; half a surrogate pair is a ValueError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[Owner]):
    """A scope made ready for rendering."""

    labels: Labels
    part: Callable[[Owner], Item | None]
    items: Callable[[Item], Iterable[tuple[Labels, Item]]]
    columns: tuple[tuple[str, Callable[[Item], Any], int, Metric[Any]], ...]
    """For each metric its name, its getter, the least number that is written without a second look, and itself."""

    nothing: Told
    """What is told of a part that is not known."""


def table_of(scope: Scope[Owner, Any, Any]) -> Table[Owner]:
    """The scope, made ready."""
    columns = tuple(
        (metric.name, metric.value, 0 if metric.kind is Kind.COUNTER else -LIMIT, metric) for metric in scope.metrics
    )
    nothing: Told = (None, (), (), [""] * len(columns))
    return Table(labels=scope.labels, part=scope.part, items=scope.items, columns=columns, nothing=nothing)


def render(table: Table[Any], part: Item | None, identity: str, before: Told) -> Told:
    """The table's samples of one part of an owner. `identity` is the labels of all its series, also of those `before`.

    Raises:
        UNTELLABLE: something that no page can hold.

    """
    if part is None:
        return table.nothing
    _, labels, texts, _ = before
    if table.items is itself and texts:  # most tables, and nothing to ask
        return part, labels, texts, _row(table, texts[0], part)
    items = list(table.items(part))
    if not items:
        return part, (), (), table.nothing[3]
    if [values for values, _ in items] != labels:
        known = dict(zip(labels, texts, strict=True))
        items = _unique(items)
        labels = [values for values, _ in items]
        texts = [known.get(v) or text.labels(identity, text.pairs(table.labels, v)) for v in labels]
    return part, labels, texts, _cells([_row(table, of, item) for (_, item), of in zip(items, texts, strict=True)])


def first(tables: Sequence[Table[Any]], told: Sequence[Told], room: int) -> tuple[list[Cells], int]:
    """The first `room` samples, item by item in the tables' order, and how many there are beyond."""
    kept: list[Cells] = []
    left_out = 0
    for table, (part, _, texts, _) in zip(tables, told, strict=True):
        items = [] if part is None else _unique(table.items(part))
        rows: list[list[str]] = []
        for (_, item), of in zip(items, texts, strict=True):
            row = _row(table, of, item)
            known = [at for at, cell in enumerate(row) if cell]
            for at in known[room:]:
                row[at] = ""
            left_out += max(0, len(known) - room)
            room -= min(len(known), room)
            rows.append(row)
        kept.append(_cells(rows) or table.nothing[3])
    return kept, left_out


def _unique(items: Iterable[tuple[Labels, Item]]) -> list[tuple[Labels, Item]]:
    """Two items with the same labels would be the same series twice: the first wins."""
    unique: dict[Labels, Item] = {}
    for labels, item in items:
        unique.setdefault(labels, item)
    return list(unique.items())


def _row(table: Table[Any], labels: str, item: Item) -> list[str]:
    """One item's cells. The hot path: nearly every number is an int or a float within limits, and is written here."""
    cells: list[str] = []
    for name, value_of, least, metric in table.columns:
        value = value_of(item)
        kind = type(value)
        if (kind is int or kind is float) and least <= value < LIMIT:
            cells.append(f"{name}{labels}{value!r}\n")
        elif kind is bool:
            cells.append(f"{name}{labels}{+value}\n")
        else:
            cells.append("" if value is None else f"{name}{labels}{_number(metric, value)}\n")
    return cells


def _number(metric: Metric[Any], value: float) -> str:
    if metric.is_age and not math.isfinite(value):
        raise ValueError(f"not a moment: {value!r}")
    return text.count(value) if metric.kind is Kind.COUNTER else text.number(value)


def _cells(rows: Sequence[Sequence[str]]) -> Cells:
    return rows[0] if len(rows) == 1 else list(map("".join, zip(*rows, strict=True)))
