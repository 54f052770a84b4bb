"""The agent as people and init systems meet it: processes, signals, exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guestagent import __main__, __version__
from protocol.messages import Ack, Detail, Events, EventsTaken, Goodbye, Metrics, Notice, NoticeAnswer, Report
from tests.guestagent.host import listening, soon, until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]

MOVED = Notice(number=7, kind="moved", severity="warning", text="elsewhere", details=(Detail(name="from", value="a"),))


class Guest:
    """A place for sockets, and programs run there."""

    def __init__(self, folder: Path) -> None:
        self.port = folder / "port"
        self.socket = folder / "agent.sock"
        self.notices_socket = folder / "notices.sock"
        self.hooks = folder / "hooks.d"
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

    async def status(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("status", "--socket", self.socket, *arguments)

    async def notices(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("notices", "--socket", self.notices_socket, *arguments)

    async def emit(self, *arguments: str) -> tuple[int | None, str, str]:
        return await self.result("emit", "--socket", self.emit_socket, *arguments)

    @contextlib.asynccontextmanager
    async def agent(self, *more: str | Path) -> AsyncIterator[Process]:
        """A running agent, killed at the end if it has not ended by then."""
        told_at = ("--socket", self.socket, "--notices-socket", self.notices_socket, "--hooks", self.hooks)
        heard_at = ("--emit-socket", self.emit_socket, "--journal", self.journal)
        process = await self.start("run", "--port", self.port, *told_at, *heard_at, *more)
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


def files_of(process: Process) -> str:
    """What it has mapped into its memory."""
    return Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")


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


async def test_an_agent_does_not_load_what_it_has_no_use_for(guest: Guest) -> None:
    """OpenSSL comes along with asyncio and is a fifth of what the agent would take of a small guest."""
    async with guest.agent() as process:
        await told(process, "waiting for the port")
        assert "libcrypto" not in files_of(process)


async def test_a_second_agent_says_that_there_is_a_first(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "answers at")
        code, _, errors = await guest.result("run", "--port", guest.port, "--socket", guest.socket)
        assert code == 78
        assert errors == f"guestagent: {guest.socket}: another agent answers here\n"
        process.terminate()
        assert await soon(process.wait()) == 0


@pytest.mark.parametrize(
    "address", ["vsock:9:9:9", "vsock://host", "socket://nowhere", "vsock:4294967296:1", "socket://[::1]:65536"]
)
async def test_an_address_that_can_be_none_ends_with_how_it_would_be_one(guest: Guest, address: str) -> None:
    code, _, errors = await guest.result("run", "--port", address, "--socket", guest.socket)
    assert code == 78
    assert address in errors


async def test_a_serial_line_without_its_library_ends_with_what_to_install(guest: Guest) -> None:
    code = (
        "import sys; sys.modules['serial_asyncio'] = None; from guestagent.__main__ import main; "
        f"sys.exit(main(['run', '--port', '/dev/null', '--socket', {str(guest.socket)!r}, "
        f"'--notices-socket', {str(guest.notices_socket)!r}, "
        f"'--emit-socket', {str(guest.emit_socket)!r}, '--journal', '']))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    _, errors = await soon(process.communicate())
    assert process.returncode == 78
    assert "pip install 'virtwire[serial]'" in errors.decode()


async def test_status_tells_that_the_line_is_up_and_what_was_lost(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent():
        visit = await host.visit()
        await visit.welcome()
        visit.write(b"\0noise\0")
        visit.say(Metrics())
        await visit.hear(Ack)
        code, output, errors = await guest.status()
        assert (code, errors) == (0, "")
        assert {"state open", f"port {guest.port}", "input_framing 1", "greetings 1"} <= set(output.splitlines())
        code, output, _ = await guest.status("--format", "json")
        assert (code, json.loads(output)["state"]) == (0, "open")


async def test_status_tells_that_the_line_is_down_and_why(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "waiting for the port")
        code, output, _ = await guest.status()
    assert code == 1
    assert f"reason no port: {guest.port}: not there\n" in output


async def test_status_without_an_agent_says_so(guest: Guest) -> None:
    code, output, errors = await guest.status()
    assert (code, output) == (2, "")
    assert "no agent answers" in errors


async def test_notices_prints_what_the_host_told(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent():
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=7, status="seen")
        code, output, errors = await guest.notices()
        assert (code, errors) == (0, "")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+ warning moved: elsewhere from=a\n", output)
        assert json.loads((await guest.notices("--format", "json"))[1])["details"] == {"from": "a"}
        assert (await guest.get("host_cpus"))[0] == 2  # notices are no values


async def test_notices_can_be_followed_until_the_agent_ends(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent() as process:
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        await visit.hear(NoticeAnswer)
        follower = await guest.start("notices", "--socket", guest.notices_socket, "--follow", "--format", "json")
        assert follower.stdout is not None
        assert json.loads(await soon(follower.stdout.readline()))["number"] == 7
        visit.say(Notice(number=8, kind="resumed", severity="info", text=""))
        assert json.loads(await soon(follower.stdout.readline()))["number"] == 8
        process.terminate()
        _, errors = await soon(follower.communicate())
        assert follower.returncode == 2
        assert "the agent has ended" in errors.decode()


async def test_following_ends_quietly_when_nobody_reads_or_on_a_signal(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent():
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        await visit.hear(NoticeAnswer)
        follower = await guest.start("notices", "--socket", guest.notices_socket, "--follow")
        assert follower.stdout is not None
        await soon(follower.stdout.readline())
        follower.send_signal(signal.SIGINT)
        assert (await soon(follower.communicate())) == (b"", b"")
        assert follower.returncode == 0


async def test_notices_without_an_agent_says_so(guest: Guest) -> None:
    code, output, errors = await guest.notices()
    assert (code, output) == (2, "")
    assert errors.startswith(f"guestagent: no agent answers at {guest.notices_socket}: ")


async def test_hooks_are_run_for_a_notice_and_the_host_learns_how_they_ended(guest: Guest) -> None:
    guest.hooks.mkdir()
    hook = guest.hooks / "10-hook"
    hook.write_text('#!/bin/sh\necho "$VIRTWIRE_KIND $VIRTWIRE_TEXT"\ntest "$VIRTWIRE_NUMBER" = 7\n', encoding="utf-8")
    hook.chmod(0o755)
    async with listening(guest.port) as host, guest.agent() as process:
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=7, status="seen")
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=7, status="done")
        await told(process, "hook 10-hook: moved elsewhere")
        visit.say(Notice(number=8, kind="moved", severity="info", text=""))
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=8, status="seen")
        failed = NoticeAnswer(number=8, status="failed", text="10-hook: exit status 1")
        assert await visit.hear(NoticeAnswer) == failed


async def test_a_signal_ends_an_agent_whose_hook_never_ends(guest: Guest) -> None:
    guest.hooks.mkdir()
    hook = guest.hooks / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {guest.hooks}/begun\nsleep 1000\n", encoding="utf-8")
    hook.chmod(0o755)
    async with listening(guest.port) as host, guest.agent() as process:
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        await until((guest.hooks / "begun").exists)
        process.terminate()
        assert await visit.hear(Goodbye) == Goodbye(reason="the agent stops")
        assert await soon(process.wait()) == 0


async def test_an_event_that_a_script_hands_in_is_there_after_a_kill(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "answers at")
        about = ("--text", "all well", "--severity", "info")
        assert await guest.emit("backup.done", "size=12", *about, "took=3") == (0, "1\n", "")
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


async def test_an_event_that_a_script_hands_in_reaches_the_host_and_is_then_forgotten(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent():
        visit = await host.visit()
        hello = await visit.welcome(events_taken=0)
        assert await guest.emit("backup.done", "--text", "all well") == (0, "1\n", "")
        events = await visit.hear(Events)
        assert events.journal == hello.journal
        assert [(event.number, event.text) for event in events.events] == [(1, "all well")]
        visit.say(EventsTaken(journal=events.journal, number=1))
        visit.leave()
        visit = await host.visit()
        assert (await visit.welcome(events_taken=1)).events_acknowledged == 1


def test_details_of_an_event_may_stand_before_and_behind_options() -> None:
    parsed = __main__._parsed(["emit", "backup.done", "size=12", "--text", "all well", "took=3", "disk=a"])
    assert parsed.details == ["size=12", "took=3", "disk=a"]


@pytest.mark.parametrize("wrong", ["--colour=red", "loose"])
def test_what_emit_does_not_know_behind_an_option_is_wrong_usage(wrong: str) -> None:
    with pytest.raises(SystemExit) as ended:
        __main__._parsed(["emit", "backup.done", "--text", "all well", wrong])
    assert ended.value.code == 2
