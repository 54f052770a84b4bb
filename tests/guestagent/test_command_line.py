"""The agent as people and init systems meet it: processes, signals, exit codes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tomllib

import pytest

from guestagent import __main__, __version__
from protocol.messages import Ack, Goodbye, Metrics, Report
from protocol.vhostmd import CHANNEL
from tests.guestagent.host import listening, soon
from tests.guestagent.programs import ROOT, Guest, files_of, told


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
    code, output, errors = await guest.get("host_cpus", "--source", "agent")
    assert (code, output) == (2, "")
    assert errors.startswith(f"guestagent: no agent answers at {guest.socket}: ")


async def test_get_of_an_agent_that_has_heard_nothing_says_so(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "waiting for the port")
        code, output, errors = await guest.get("host_cpus", "--source", "agent")
    assert (code, output) == (2, "")
    assert errors == "guestagent: the agent has no values from the host yet (no host has answered it)\n"


async def test_get_of_something_that_is_no_agent_says_so(guest: Guest) -> None:
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), guest.socket)
    code, _, errors = await guest.get("host_cpus", "--source", "agent")
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


@pytest.mark.parametrize("arguments", [("--port-name", CHANNEL), ("--port", f"/dev/virtio-ports/{CHANNEL}")])
async def test_vhostmds_port_is_refused_with_what_to_do(guest: Guest, arguments: tuple[str, str]) -> None:
    code, output, errors = await guest.result("run", *arguments, "--socket", guest.socket, "--journal", "")
    assert (code, output) == (78, "")
    assert errors.startswith(f"guestagent: {CHANNEL}: this is vhostmd's port")


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
