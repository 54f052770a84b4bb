"""A whole run with few domains: every part that it is made of, none of the numbers."""

import json
import sys
from pathlib import Path

import pytest

from bench.figures import FIGURES
from tests.lab.processes import output_of

# What takes its time by watching something for a minute is left out; it is made of the same parts.
LONG = {"memory", "cpu", "cuts", "stuck-age", "stuck-scrape", "agent-memory", "agent-cpu", "agent-absent"}
LONG |= {"lines-cpu", "lines-visible", "lines-flood", "lines-flood-memory", "round-trip"}
LONG |= {"vhostmd-cpu", "vhostmd-answers", "vhostmd-flood"}  # a short one is in test_vhostmd.py
QUICK = [figure.name for figure in FIGURES if figure.name not in LONG]


@pytest.mark.lab
def test_every_quick_figure_is_measured_and_told(tmp_path: Path) -> None:
    kept = tmp_path / "results.json"
    table = output_of([sys.executable, "-m", "bench", "--domains", "3", "--json", kept, *QUICK])
    figures = json.loads(kept.read_text())["figures"]
    assert list(figures) == QUICK
    assert all(figure["measured"]["value"] > 0 for figure in figures.values())
    assert all(figure["target"] in table for figure in figures.values())
