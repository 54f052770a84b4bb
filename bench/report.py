"""A run's results for a person (one table) and for a program (JSON)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench.figures import Figure
from bench.outcome import Outcome, Reading

HEADS = ("figure", "measured", "beside", "ratio or value", "target", "met?")
_NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A figure and what it came to, or why it came to nothing."""

    figure: Figure
    outcome: Outcome | None = None
    broke: str = ""


def table(results: Sequence[Result], facts: Mapping[str, str]) -> Group:
    """The table, and under it what the run was made on."""
    drawn = Table(*HEADS)
    for result in results:
        drawn.add_row(*cells(result))
    return Group(drawn, *(Text(f"{name}: {value}") for name, value in facts.items()))


def cells(result: Result) -> tuple[str, ...]:
    """One row."""
    figure, outcome = result.figure, result.outcome
    if outcome is None:
        return (figure.what, f"broke: {result.broke}", _NOTHING, _NOTHING, figure.target, _NOTHING)
    beside = _NOTHING if outcome.beside is None else str(outcome.beside)
    verdict = "yes" if figure.is_met(outcome) else "no"
    return (figure.what, str(outcome.measured), beside, str(outcome.judged), figure.target, verdict)


def document(results: Sequence[Result], facts: Mapping[str, str]) -> str:
    """The same as JSON, in base units."""
    figures = {result.figure.name: _plain(result) for result in results}
    return json.dumps({"machine": dict(facts), "figures": figures}, indent=2, ensure_ascii=False) + "\n"


def _plain(result: Result) -> Mapping[str, Any]:
    figure, outcome = result.figure, result.outcome
    target = {"what": figure.what, "target": figure.target, "at_most": figure.at_most}
    if outcome is None:
        return {**target, "broke": result.broke}
    return {
        **target,
        "measured": _reading(outcome.measured),
        "beside": outcome.beside and _reading(outcome.beside),
        "judged": _reading(outcome.judged),
        "met": figure.is_met(outcome),
    }


def _reading(reading: Reading) -> Mapping[str, Any]:
    return {**asdict(reading), "unit": reading.unit.name.lower()}
