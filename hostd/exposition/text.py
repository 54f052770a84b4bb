"""The letters of a page: what text 0.0.4 and OpenMetrics 1.0 have in common, and the one place where they part.

Whatever cannot be written so that Prometheus reads it raises here, while its owner is rendered: an owner that cannot be
written is left out, but one bad line on a page costs the whole page.
"""

import math
from collections.abc import Iterable, Sequence

from hostd.metrics.row import Kind, Metric

_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def pairs(names: Iterable[str], values: Iterable[str]) -> str:
    """Labels without their braces.

    Raises:
        ValueError: a value holds half a surrogate pair, or NUL, at which Prometheus takes the page to end.

    """
    text = ",".join(f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))
    text.encode()
    if "\0" in text:
        raise ValueError(f"no page can hold NUL: {text!a}")
    return text


def labels(*several: str) -> str:
    """What stands between a series' name and its number. `several` are `pairs`, some of them empty."""
    joined = ",".join(filter(None, several))
    return f"{{{joined}}} " if joined else " "


def number(value: float) -> str:
    """As Prometheus reads it. A bool is 0 or 1; a float keeps all its digits.

    Raises:
        TypeError: it is not a number.
        ArithmeticError: it is a whole number too large for a float, which Prometheus would refuse.

    """
    if isinstance(value, float):
        text = repr(float(value))
        return _NOT_FINITE.get(text, text)
    if not isinstance(value, int):
        raise TypeError(f"not a number: {value!a:.100}")
    float(value)
    return str(int(value))


def count(value: float) -> str:
    """The number of a counter.

    Raises:
        ValueError: it is negative or NaN, which no count is.

    """
    text = number(value)
    if math.isnan(value) or value < 0:
        raise ValueError(f"not a count: {text}")
    return text


def head(metric: Metric[object], *, openmetrics: bool) -> str:
    """What goes before a family's samples. OpenMetrics alone knows a counter by its name without the suffix."""
    family = metric.name.removesuffix("_bucket") if metric.kind is Kind.HISTOGRAM else metric.name
    if openmetrics and metric.kind is Kind.COUNTER:
        family = family.removesuffix("_total")
    return f"# HELP {family} {_escape_help(metric.help)}\n# TYPE {family} {metric.kind.value}\n"


def lines(name: str, labels: Sequence[bytes], numbers: Sequence[bytes]) -> bytes:
    """The samples of a family: of each what `labels` made, and its number. One join: no line is made by itself."""
    pieces = [name.encode(), b"", b"", b"\n"] * len(labels)
    pieces[1::4] = labels
    pieces[2::4] = numbers
    return b"".join(pieces)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
