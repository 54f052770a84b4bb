"""How a figure is written: for a person and for a program."""

import json

import pytest

from bench.figures import FIGURES, Figure
from bench.outcome import Outcome, Reading, Unit, ratio
from bench.report import Result, cells, document


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.00834, Unit.SECONDS, "8.3 ms"),
        (1.5, Unit.SECONDS, "1.50 s"),
        (79_900_000, Unit.BYTES, "79.9 MB"),
        (0.0123, Unit.CORES, "1.23 % of a core"),
        (0.66, Unit.RATIO, "0.66"),
        (1 / 24, Unit.RATIO, "1/24.0"),
        (1.3, Unit.INTERVALS, "1.30 intervals"),
    ],
)
def test_a_reading_is_written_in_the_unit_that_a_person_thinks_in(value: float, unit: Unit, expected: str) -> None:
    assert str(Reading(value=value, unit=unit)) == expected


def seconds(value: float) -> Reading:
    return Reading(value=value, unit=Unit.SECONDS)


def outcome(ours: float, *, holds: bool = True) -> Outcome:
    measured, beside = seconds(ours), seconds(1.0)
    return Outcome(measured=measured, beside=beside, judged=ratio(measured, beside), holds=holds)


FIGURE = Figure("half", "half of it", "≤ 1/2", 0.5, lambda _stage: outcome(0.5))


def test_a_row_says_what_was_measured_and_whether_that_is_enough() -> None:
    assert cells(Result(figure=FIGURE, outcome=outcome(0.5))) == (
        "half of it",
        "500.0 ms",
        "1.00 s",
        "0.50",
        "≤ 1/2",
        "yes",
    )


@pytest.mark.parametrize("missed", [outcome(0.51), outcome(0.1, holds=False)])
def test_a_target_is_missed_by_its_number_or_by_what_else_it_asks_for(missed: Outcome) -> None:
    assert cells(Result(figure=FIGURE, outcome=missed))[-1] == "no"


def test_a_figure_that_broke_says_why_and_claims_nothing() -> None:
    row = cells(Result(figure=FIGURE, broke="OSError: no libvirt"))
    assert row == ("half of it", "broke: OSError: no libvirt", "-", "-", "≤ 1/2", "-")


def test_a_program_gets_base_units() -> None:
    results = [Result(figure=FIGURE, outcome=outcome(0.25))]
    read = json.loads(document(results, {"cores": "2"}))
    assert read["machine"] == {"cores": "2"}
    assert read["figures"]["half"]["measured"] == {"value": 0.25, "unit": "seconds", "of": ""}
    assert read["figures"]["half"]["met"] is True


def test_every_figure_can_be_named() -> None:
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)
