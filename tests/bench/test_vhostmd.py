"""The run with vhostmd's askers, short and with few of them: its parts, none of the numbers."""

import asyncio

import pytest

from bench import vhostmd


@pytest.mark.lab
def test_a_short_run_asks_as_often_as_it_should_and_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vhostmd, "DOMAINS", 3)
    monkeypatch.setattr(vhostmd, "ROUNDS", 2)
    monkeypatch.setattr(vhostmd, "WATCHED_SECONDS", 0.1)
    run = asyncio.run(vhostmd._measured())
    assert (len(run.answers), len(run.flooded_answers)) == (6, 4)
    assert min(*run.answers, *run.flooded_answers) > 0
    assert run.asked_cores > 0
