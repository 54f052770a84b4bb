"""The agent as people and init systems meet it: processes, signals, exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guestagent import __main__, __version__
from protocol.messages import Ack, Goodbye, Metrics, Report
from tests.guestagent.host import listening, soon

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]


class Guest:
    """A place for sockets, and programs run there."""

    def __init__(self, folder: Path) -> None:
        self.port = folder / "port"
        self.socket = folder / "agent.sock"
        self.emit_socket = folder / "emit.sock"
        self.journal = folder / "journal.sqlite"

    async def start(self, *arguments: str | Path) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "guestagent", *arguments),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def result(self, *arguments: str | Path) -> tuple[int | None, str, str]:
        process = await self.start(*arguments)
        output, errors = await soon(process.communicate())
        return process.returncode, output.decode(), errors.decode()

    async def get(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("get", "--socket", self.socket, *arguments)

    async def emit(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("emit", "--socket", self.emit_socket, *arguments)

    @contextlib.asynccontextmanager
    async def agent(self, *more: str | Path) -> AsyncIterator[Process]:
        """A running agent, killed at the end if it has not ended by then."""
        places = ("--socket", self.socket, "--emit-socket", self.emit_socket, "--journal", self.journal)
        process = await self.start("run", "--port", self.port, *places, *more)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


async def told(process: Process, words: str) -> str:
    """The agent's log up to the line with these words."""
    assert process.stderr is not None
    log = ""
    while words not in log:
        line = await soon(process.stderr.readline())
        assert line, log
        log += line.decode()
    return log


async def test_the_version_is_that_of_the_package(guest: Guest) -> None:
    assert await guest.result("--version") == (0, f"guestagent {__version__}\n", "")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


async def test_help_tells_the_exit_codes(guest: Guest) -> None:
    code, output, _ = await guest.result("get", "--help")
    assert code == 0
    assert "no agent answers" in output


@pytest.mark.parametrize("arguments", [[], ["get", "--format", "xml"], ["fly"]])
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        __main__.main(arguments)
    assert caught.value.code == 2


async def test_get_prints_what_the_host_told_a_running_agent(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent():
        visit = await host.visit()
        await visit.welcome()
        assert (await visit.hear(Report)).memory is not None
        visit.say(Metrics(host_cpus=4, host_load1=0.25))
        await visit.hear(Ack)
        assert await guest.get("host_cpus") == (0, "4\n", "")
        assert (await guest.get())[1] == "host_cpus 4\nhost_load1 0.25\n"
        assert json.loads((await guest.get("--format", "json"))[1])["connected"] is True
        assert "# TYPE host_load1 gauge\nhost_load1 0.25\n" in (await guest.get("--format", "prometheus"))[1]
        assert (await guest.get("host_cpus", "nonsense"))[:2] == (1, "")
        assert (await guest.get("host_cpus", "host_name"))[:2] == (1, "4\n\n")


async def test_get_without_an_agent_says_so(guest: Guest) -> None:
    code, output, errors = await guest.get("host_cpus")
    assert (code, output) == (2, "")
    assert errors.startswith(f"guestagent: no agent answers at {guest.socket}: ")


async def test_get_of_an_agent_that_has_heard_nothing_says_so(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "waiting for the port")
        code, output, errors = await guest.get("host_cpus")
    assert (code, output) == (2, "")
    assert errors == "guestagent: the agent has no values from the host yet (no host has answered it)\n"


async def test_get_of_something_that_is_no_agent_says_so(guest: Guest) -> None:
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), guest.socket)
    code, _, errors = await guest.get("host_cpus")
    server.close()
    assert code == 2
    assert "no agent answers" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_agent_in_good_order(guest: Guest, number: signal.Signals) -> None:
    async with listening(guest.port) as host, guest.agent() as process:
        visit = await host.visit()
        await visit.welcome()
        await visit.hear(Report)
        process.send_signal(number)
        assert await visit.hear(Goodbye) == Goodbye(reason="the agent stops")
        assert await soon(process.wait()) == 0
        assert not guest.socket.exists()


async def test_a_signal_ends_an_agent_that_has_no_port(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "waiting for the port")
        process.terminate()
        assert await soon(process.wait()) == 0


async def test_an_agent_after_one_that_was_killed_takes_over(guest: Guest) -> None:
    async with listening(guest.port) as host:
        async with guest.agent() as process:
            await (await host.visit()).welcome()
            process.kill()
        assert guest.socket.exists()
        async with guest.agent():
            visit = await host.visit()
            await visit.welcome()
            visit.say(Metrics(host_cpus=4))
            await visit.hear(Ack)
            assert await guest.get("host_cpus") == (0, "4\n", "")


async def test_a_second_agent_says_that_there_is_a_first(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "answers at")
        code, _, errors = await guest.result("run", "--port", guest.port, "--socket", guest.socket)
        assert code == 78
        assert errors == f"guestagent: {guest.socket}: another agent answers here\n"
        process.terminate()
        assert await soon(process.wait()) == 0


async def test_a_serial_line_without_its_library_ends_with_what_to_install(guest: Guest) -> None:
    code = (
        "import sys; sys.modules['serial_asyncio'] = None; from guestagent.__main__ import main; "
        f"sys.exit(main(['run', '--port', 'socket://127.0.0.1:9', '--socket', {str(guest.socket)!r}]))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    _, errors = await soon(process.communicate())
    assert process.returncode == 78
    assert "pip install 'virtwire[serial]'" in errors.decode()


async def test_an_event_that_a_script_hands_in_is_there_after_a_kill(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "answers at")
        assert await guest.emit("backup.done", "size=12", "--text", "all well", "--severity", "info") == (0, "1\n", "")
        process.kill()
    async with guest.agent() as process:
        await told(process, "answers at")
        assert await guest.emit("backup.done") == (0, "2\n", "")


async def test_emit_without_an_agent_says_so(guest: Guest) -> None:
    code, output, errors = await guest.emit("backup.done")
    assert (code, output) == (2, "")
    assert errors.startswith(f"guestagent: no agent answers at {guest.emit_socket}: ")


async def test_emit_says_what_is_wrong_with_an_event(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "answers at")
        for arguments, words in (
            (["Backup"], "event refused: kind 'Backup': write a small letter"),
            (["backup", "size"], "detail 'size': write NAME=VALUE"),
            (["backup", "--severity", "bad"], "event refused: severity 'bad': write one of info"),
        ):
            code, output, errors = await guest.emit(*arguments)
            assert (code, output) == (1, "")
            assert errors.startswith(f"guestagent: {words}")


async def test_emit_tells_an_event_that_is_in_memory_alone(guest: Guest) -> None:
    async with guest.agent("--journal", "") as process:
        await told(process, "answers at")
        code, output, errors = await guest.emit("backup.done")
    assert (code, output) == (3, "1\n")
    assert "in the agent's memory alone" in errors


async def test_an_unknown_group_is_a_wrong_configuration(guest: Guest) -> None:
    code, _, errors = await guest.result("run", "--emit-group", "no such group", "--socket", guest.socket)
    assert (code, errors) == (
        78,
        "guestagent: --emit-group: there is no group 'no such group'; make it, or name another\n",
    )


def test_a_ring_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.main(["run", "--journal-events", "0"])
    assert "write 1 or more" in capsys.readouterr().err
