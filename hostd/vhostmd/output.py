"""What a program's output means: one value, several with commas between them, or metrics in vhostmd's own form.

As vhostmd reads it (the output ends at a NUL; the rules of groups), but for what crashes somebody there: a value that
is empty is not told.
"""

from collections.abc import Callable, Iterator, Mapping

from hostd.settings import VhostmdMetric
from protocol.vhostmd import TYPES, Metric, metrics_in


def metrics_of(row: VhostmdMetric, output: bytes, *, newline_in_values: bool) -> tuple[Metric, ...]:
    """The metrics that were printed, with nothing yet of whose they are; none if nothing has a value."""
    text = output.partition(b"\0")[0].decode(errors="replace")
    read = _READERS.get(row.type, _single)
    return tuple(metric for metric in read(row, text if newline_in_values else _bare(text)) if metric.value.strip())


def _bare(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _single(row: VhostmdMetric, text: str) -> Iterator[Metric]:
    yield Metric(name=row.name, value=text, type=row.type, unit=row.unit)


def _group(row: VhostmdMetric, text: str) -> Iterator[Metric]:
    """Of too few fields, the variables that are left over each have the whole output; fields that are too many go."""
    fields = text.split(",") if len(row.variables) > 1 else [text]
    for at, variable in enumerate(row.variables):
        value = fields[at] if at < len(fields) else text
        yield Metric(name=variable.name, value=value, type=variable.type, unit=variable.unit or row.unit)


def _xml(row: VhostmdMetric, text: str) -> Iterator[Metric]:
    """Whatever it says of whose they are, it is known from the row."""
    for metric in metrics_in(text):
        if metric.name:
            type_ = metric.type if metric.type in TYPES else "string"
            yield Metric(name=metric.name, value=metric.value, type=type_, unit=metric.unit or row.unit)


_READERS: Mapping[str, Callable[[VhostmdMetric, str], Iterator[Metric]]] = {"group": _group, "xml": _xml}
