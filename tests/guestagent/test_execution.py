"""A program is run within limits, and nothing of it is left behind."""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

import pytest

from guestagent import execution
from tests.guestagent.host import PATIENCE_SECONDS
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from guestagent.execution import Outcome

ENVIRONMENT = {"PATH": os.environ["PATH"].encode(), "GREETING": "grüß dich; $(touch /nowhere)".encode()}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "program"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def run(program: Path, *, seconds: float = PATIENCE_SECONDS) -> Outcome:
    return execution.run(program, ENVIRONMENT, seconds, threading.Event())


def has_ended(pid: int) -> bool:
    """Whether it has, or does so very soon: who is killed is not gone in the same instant."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([process], [], [], PATIENCE_SECONDS)
    os.close(process)
    return bool(ended)


def test_a_program_that_ends_well_has_no_problem(program: Path) -> None:
    assert run(script(program, "echo out; echo err >&2")) == execution.Outcome(None, b"out\nerr\n")


@pytest.mark.parametrize(("text", "problem"), [("exit 3", "exit status 3"), ("kill -TERM $$", "ended by signal 15")])
def test_how_it_ended_is_told(program: Path, text: str, problem: str) -> None:
    assert run(script(program, text)).problem == problem


def test_it_gets_the_environment_given_and_nothing_else(program: Path) -> None:
    script(program, 'printf "%s|%s|%s|%s" "$GREETING" "${HOME-none}" "$#" "$PWD"')
    assert run(program).output.decode() == "grüß dich; $(touch /nowhere)|none|0|/"


def test_it_has_nothing_to_read(program: Path) -> None:
    assert run(script(program, "cat; echo end")).output == b"end\n"


@pytest.mark.parametrize("content", ["", "no program at all"])
def test_what_cannot_be_run_says_so(program: Path, content: str) -> None:
    program.write_text(content, encoding="utf-8")
    program.chmod(0o755)
    assert run(program).problem == "cannot be run: Exec format error"


def test_one_that_takes_too_long_is_killed(program: Path) -> None:
    assert run(script(program, "sleep 1000"), seconds=0.1).problem == "took longer than 0.1 s"


def test_what_it_started_ends_with_it(program: Path) -> None:
    outcome = run(script(program, "sleep 1000 & echo $!"))
    assert outcome.problem is None
    assert has_ended(int(outcome.output))


def test_it_is_killed_when_the_agent_stops(program: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    script(program, f"touch {tmp_path}/begun; sleep 1000")
    outcomes: list[Outcome] = []
    runner = threading.Thread(
        target=lambda: outcomes.append(execution.run(program, ENVIRONMENT, PATIENCE_SECONDS, stop))
    )
    runner.start()
    wait_for("the program runs", (tmp_path / "begun").exists, deadline=PATIENCE_SECONDS)
    stop.set()
    runner.join()
    assert outcomes[0].problem == "the agent stopped"


def test_nothing_is_begun_after_the_agent_stopped(program: Path) -> None:
    stop = threading.Event()
    stop.set()
    outcome = execution.run(script(program, "echo ran"), ENVIRONMENT, PATIENCE_SECONDS, stop)
    assert outcome == execution.Outcome("the agent stopped")


def test_output_over_the_limit_is_counted_and_does_not_hold_it_up(program: Path) -> None:
    outcome = run(script(program, "head -c 1000000 /dev/zero"))
    assert outcome.problem is None
    assert len(outcome.output) == execution.MAX_OUTPUT_BYTES
    assert outcome.cut_bytes == 1_000_000 - execution.MAX_OUTPUT_BYTES
