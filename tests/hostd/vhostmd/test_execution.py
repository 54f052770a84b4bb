"""One program, run for real: within its limits, by whom it should be, and nothing of it is left."""

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hostd.vhostmd.execution import Identity, Outcome, Program, Stop, run
from tests.hostd.vhostmd.scripts import script

ROOT = Path(__file__).parents[3]
SYSTEM = "/usr/bin:/bin"
PLENTY = 60.0


@pytest.fixture
def ran(tmp_path: Path) -> Callable[..., Outcome]:
    """What comes of a shell script, a file of which is the program."""

    def ran(text: str, *arguments: str, seconds: float = PLENTY, who: Identity | None = None, **more: str) -> Outcome:
        script(tmp_path, "program", text)
        environment = {"PATH": f"{tmp_path}:{SYSTEM}", **more}
        program = Program(
            arguments=("program", *arguments), environment=environment, timeout_seconds=seconds, identity=who
        )
        return run(program, Stop())

    return ran


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"  # whoever adopts it may take its time


def until_ended(pid: int) -> None:
    """It was sent a signal that nobody survives."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([descriptor], [], [], PLENTY)[0]
    os.close(descriptor)


def test_what_it_prints_is_had(ran: Callable[..., Outcome]) -> None:
    assert ran("printf 'a\\0b'; echo why >&2") == Outcome("succeeded", output=b"a\0b", errors=b"why\n")


def test_it_has_its_arguments_as_they_are_and_no_more_environment_than_it_is_given(
    ran: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s")
    hostile = ["$(id)", "a;touch X", "'\"", "a\nb", "*", "é"]
    outcome = ran("env >$here/env; printf '%s|' \"$@\"; pwd; readlink /proc/self/fd/0", *hostile, NAME="$(id)\n'é")
    assert outcome.output.decode() == "|".join([*hostile, "/\n/dev/null\n"])
    found = (tmp_path / "env").read_text()
    assert "NAME=$(id)\n'é\n" in found
    names = {line.partition("=")[0] for line in found.splitlines() if "=" in line}
    assert names <= {"NAME", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("echo 1; echo no >&2; exit 3", Outcome("failed", "exit status 3", errors=b"no\n")),
        ("echo 1; kill -TERM $$", Outcome("failed", "it was ended by signal 15")),
    ],
)
def test_what_fails_has_no_output(ran: Callable[..., Outcome], text: str, outcome: Outcome) -> None:
    assert ran(text) == outcome


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("#!/not/there\n")
    (tmp_path / "data").chmod(0o755)
    environment = {"PATH": str(tmp_path)}
    for name, why in (("nothing", f"no program 'nothing' is to be found in {tmp_path}"), ("data", "No such file")):
        outcome = run(Program(arguments=(name,), environment=environment, timeout_seconds=1), Stop())
        assert outcome.result == "not_started"
        assert why in outcome.why


def test_4096_bytes_are_had_and_a_byte_more_ends_it(ran: Callable[..., Outcome]) -> None:
    assert ran("head -c 4096 /dev/zero").output == bytes(4096)
    assert ran("head -c 4097 /dev/zero").result == "too_long"
    assert ran("cat /dev/zero").result == "too_long"


def test_errors_without_end_are_read_and_the_beginning_is_kept(ran: Callable[..., Outcome]) -> None:
    outcome = ran("head -c 1000000 /dev/zero >&2; echo 1")
    assert (outcome.result, outcome.output, len(outcome.errors)) == ("succeeded", b"1\n", 1024)


def test_one_that_takes_too_long_is_killed_with_all_its_children(ran: Callable[..., Outcome], tmp_path: Path) -> None:
    told, seconds = tmp_path / "pid", 0.5
    while not (told.exists() and told.read_text()):  # a busy machine may take a while to come so far
        seconds *= 2
        outcome = ran("trap '' TERM; sh -c \"sleep 1000 & echo \\$! >$here/pid; wait\" & wait", seconds=seconds)
        assert (outcome.result, outcome.why) == ("timed_out", f"it took longer than {seconds:g} s")
    until_ended(int(told.read_text()))


def test_what_it_leaves_behind_is_killed_and_not_waited_for(ran: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = ran("sleep 1000 & echo $! >$here/pid; echo done")
    assert outcome == Outcome("succeeded", output=b"done\n")
    until_ended(int((tmp_path / "pid").read_text()))


def test_one_that_closes_its_output_is_waited_for(ran: Callable[..., Outcome]) -> None:
    assert ran("echo 1; exec >&- 2>&-; read -r line </proc/uptime; exit 4").why == "exit status 4"


def test_a_stop_ends_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = script(tmp_path, "program", "echo $$ >$here/pipe; sleep 1000")
    stop, outcomes = Stop(), []
    program = Program(arguments=(path,), environment={"PATH": SYSTEM}, timeout_seconds=PLENTY)
    thread = threading.Thread(target=lambda: outcomes.append(run(program, stop)))
    thread.start()
    pid = int((tmp_path / "pipe").read_text())
    stop.set()
    thread.join(PLENTY)
    assert [outcome.result for outcome in outcomes] == ["stopped"]
    assert not is_running(pid)


SOMEBODY = Identity("somebody", 1234, 2345, (2345, 3456))
AS_SOMEBODY = Program(
    arguments=("sh", "-c", "id -u; id -g; id -G"),
    environment={"PATH": SYSTEM},
    timeout_seconds=PLENTY,
    identity=SOMEBODY,
)
AS_NOBODY = """
import os
from hostd.vhostmd.execution import Stop, run
from tests.hostd.vhostmd.test_execution import AS_SOMEBODY
if os.geteuid() == 0:
    os.setuid(65534)
print(run(AS_SOMEBODY, Stop()).why)
"""


def test_it_runs_as_whom_it_should_with_all_and_no_other_groups() -> None:
    outcome = run(AS_SOMEBODY, Stop())
    if os.geteuid() == 0:
        assert outcome.output.split() == [b"1234", b"2345", b"2345", b"3456"]
    else:
        assert outcome.result == "not_started"


def test_where_the_system_does_not_allow_that_it_is_told() -> None:
    outcome = subprocess.run([sys.executable, "-c", AS_NOBODY], cwd=ROOT, capture_output=True, text=True, check=True)
    assert outcome.stdout.endswith("/sh cannot be run as somebody: Operation not permitted\n")
