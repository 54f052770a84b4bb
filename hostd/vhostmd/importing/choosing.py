"""Which set of hostd's a vhostmd.conf comes nearest to, and what that set does not tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hostd.vhostmd.importing.definitions import Definition
from hostd.vhostmd.importing.known import SETS, difference, named
from hostd.vhostmd.importing.remark import Remark, shown

NO_SET = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """A set, and the metrics that are to be told besides, each with the family on /metrics that it is, if one is."""

    set: str
    others: tuple[tuple[Definition, str], ...]
    remarks: tuple[Remark, ...]


def choose(metrics: Sequence[Definition]) -> Choice:
    """The set that tells most of `metrics`; the first of two that tell as many."""
    told = [metric for metric in metrics if metric.is_told]
    counts = {name: sum(_is_in(metric, name) for metric in told) for name in SETS}
    best = max(counts, key=lambda name: counts[name])
    if not counts[best]:
        text = "none of its metrics is one that hostd knows: no set is told"
        return Choice(NO_SET, tuple((metric, "") for metric in told), (Remark(0, text, "set", is_loud=bool(told)),))
    native = [metric for metric in told if _is_in(metric, best)]
    others = [metric for metric in told if not _is_in(metric, best)]
    remarks = (
        *_of_set(best, native, others),
        *(remark for metric in native for remark in _of_native(best, metric)),
        *(remark for metric in others for remark in _of_other(best, metric)),
    )
    return Choice(best, tuple((metric, _family(metric)) for metric in others), remarks)


def _is_in(metric: Definition, name: str) -> bool:
    known = named(metric, name)
    return known is not None and difference(known, metric) is None


def _family(metric: Definition) -> str:
    rows = ((named(metric, name), name) for name in SETS)
    return next((known.metric for known, name in rows if known and known.metric and _is_in(metric, name)), "")


def _of_set(best: str, native: Iterable[Definition], others: Iterable[Definition]) -> Iterable[Remark]:
    there = [(metric.names, metric.context) for metric in native]
    replaced = [(metric.names, metric.context) for metric in others]
    rows = SETS[best]
    text = f"told without a program: {', '.join(str(row) for row in rows if (row.names, row.context) in there)}"
    yield Remark(0, text, "set", is_loud=False)
    more = [str(row) for row in rows if (row.names, row.context) not in (*there, *replaced)]
    if more:
        yield Remark(0, f"the set {best} tells in addition, what was not told before: {', '.join(more)}", "set")
    for at, (names, context) in enumerate(there):
        if (names, context) in there[:at]:
            yield Remark(0, f"{'/'.join(names)} ({context}) was there twice; the set tells it once", "set")


def _of_native(best: str, metric: Definition) -> Iterable[Remark]:
    known = named(metric, best)
    assert known is not None  # it is native because of that
    units = tuple(variable.unit for variable in metric.variables) or (metric.unit,)
    for name, before, now in zip(metric.names, units, known.units, strict=True):
        if before != now:
            text = f"{name}'s unit was {shown(before)}; the set {best} tells {shown(now)}"
            yield Remark(metric.line, text, "set", is_loud=bool(before))


def _of_other(best: str, metric: Definition) -> Iterable[Remark]:
    known = named(metric, best)
    why = known and difference(known, metric)
    if why:
        text = f"{shown('/'.join(metric.names))} is a name of the set {best}, but {why}; this one is for its place"
        yield Remark(metric.line, text, metric.key)
