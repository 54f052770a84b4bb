"""`guestagent dump` as programs meet that know `vm-dump-metrics`: options, bytes, words and exit codes of a process."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import runpy
import socket
import subprocess
import sys
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from guestagent import __main__, dump
from protocol.vhostmd import CHANNEL, INVALID, REQUEST
from tests.guestagent.vhostmd.places import Machine, header

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

VBD = b"<metrics>\n  <!-- vbd \xc3\xa9 -->\n</metrics>\n"
VIRTIO = b"<metrics>\n  <!-- virtio -->\n</metrics>\n\n"
XENSTORE = b"<metrics>\n\t<!-- xenstore -->\n</metrics>"
AGENT: dict[str, Any] = {"connected": True, "age_seconds": 0, "metrics": {"host_cpus": 4, "host_name": "a & b"}}

NO_DISK = b"LIBMETRICS: read_mdisk(): Unable to read metrics disk\n"


class Done(NamedTuple):
    """How the program ended."""

    code: int
    output: bytes
    errors: bytes


class Tool:
    """The program on a guest that has some of the sources."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.folder = folder / "cwd"
        self.folder.mkdir()
        self.port = machine.dev / "virtio-ports" / CHANNEL
        self.socket = folder / "agent.sock"
        self.xenstore = folder / "xenstore-read"

    def run(self, *arguments: str) -> Done:
        places = dump.Places(*map(str, (self.machine.dev, self.machine.sys, self.xenstore, self.socket)))
        code = f"import sys; from guestagent import dump; sys.exit(dump.main(None, dump.Places(*{tuple(places)!r})))"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def has_xenstore(self, script: str = f'printf %s "{XENSTORE.decode()}"') -> None:
        self.xenstore.write_text(
            '#!/bin/sh\n[ "$1" = -R ] || exit 9\n'
            f'case "$2" in domid) echo 7;; /local/domain/7/metrics) {script};; *) exit 1;; esac\n'
        )
        self.xenstore.chmod(0o755)

    @contextlib.contextmanager
    def virtio(self, answer: bytes = VIRTIO) -> Iterator[None]:
        """A terminal stands for the port: a device that can be opened and asked."""
        host, guest = pty.openpty()
        tty.setraw(guest)
        self.port.parent.mkdir()
        self.port.symlink_to(os.ttyname(guest))
        thread = threading.Thread(target=_answer, args=(host, answer), daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(guest)
            thread.join()
            os.close(host)

    @contextlib.contextmanager
    def agent(self, told: dict[str, Any]) -> Iterator[None]:
        """An agent that tells this to whoever connects."""
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self.socket))
            listening.listen()
            thread = threading.Thread(target=_tell, args=(listening, json.dumps(told).encode()), daemon=True)
            thread.start()
            yield
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _answer(host: int, answer: bytes) -> None:
    heard = b""
    with contextlib.suppress(OSError):  # EIO: the guest has closed the port
        while True:
            heard += os.read(host, 4096)
            if heard.endswith(REQUEST):
                os.write(host, answer)


def _tell(listening: socket.socket, told: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(told)


@pytest.fixture
def tool(machine: Machine, tmp_path: Path) -> Tool:
    return Tool(machine, tmp_path)


@pytest.fixture
def everything(tool: Tool) -> Iterator[Tool]:
    """A guest that has all sources."""
    tool.machine.metrics_disk(VBD)
    tool.has_xenstore()
    with tool.virtio(), tool.agent(AGENT):
        yield tool


XENSTORE_OUTPUT = b'<?xml version="1.0"?>\n' + XENSTORE + b"\n"
AGENT_OUTPUT = (
    b"<metrics>\n  <metric type='uint32' context='host'>\n    <name>NumberOfPhysicalCPUs</name>\n"
    b"    <value>4</value>\n  </metric>\n  <metric type='string' context='host'>\n    <name>HostName</name>\n"
    b"    <value>a &amp; b</value>\n  </metric>\n</metrics>\n"
)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ("", VBD),
        ("-v", VBD),
        ("--verbose", VBD),
        ("-b", VBD),
        ("--vbd", VBD),
        ("-i", VIRTIO),
        ("--virtio", VIRTIO),
        ("-x", XENSTORE_OUTPUT),
        ("--xenstore", XENSTORE_OUTPUT),
        ("-a", AGENT_OUTPUT),
        ("--agent", AGENT_OUTPUT),
        ("-bi", VIRTIO),
        ("-ib", VIRTIO),
        ("-x -i -b", XENSTORE_OUTPUT),
        ("-bix", XENSTORE_OUTPUT),
        ("-ab", VBD),
        ("-vb extra arguments", VBD),
        ("extra -i", VIRTIO),
        ("-b -- -i", VBD),
        ("--vb", VBD),
        ("--vi", VIRTIO),
        ("--x", XENSTORE_OUTPUT),
        ("--dest FILE -b", VBD),
        ("--de FILE", VBD),
        ("--dest", VBD),
    ],
)
def test_which_source_is_printed(everything: Tool, arguments: str, output: bytes) -> None:
    assert everything.run(*arguments.split()) == (0, output, b"")
    assert not list(everything.folder.iterdir())


@pytest.mark.parametrize(
    "spelt", ["-d {}", "-d{}", "-vbd {}", "--dest={}", "--d={}", "--des={} --dest", "-d /nowhere -d {}", "-d {} extra"]
)
def test_the_output_goes_into_a_file(tool: Tool, tmp_path: Path, spelt: str) -> None:
    tool.machine.metrics_disk(VBD)
    target = tmp_path / "out"
    target.write_bytes(b"what was there before, and longer than what comes" * 9)
    assert tool.run(*spelt.format(target).split()) == (0, b"", b"")
    assert target.read_bytes() == VBD


def test_the_value_of_an_option_is_no_option(tool: Tool, tmp_path: Path) -> None:
    tool.machine.metrics_disk(VBD)
    assert tool.run("-d", "--dest=x", "--", f"--dest={tmp_path}/out")[:2] == (0, b"")
    assert (tool.folder / "--dest=x").read_bytes() == VBD
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", ["-h", "--help", "-b -h", "--h"])
def test_help_is_on_standard_error_with_exit_code_2(tool: Tool, arguments: str) -> None:
    code, output, errors = tool.run(*arguments.split())
    assert (code, output) == (2, b"")
    assert errors.startswith(b"usage: vm-dump-metrics ")


@pytest.mark.parametrize("arguments", ["-f FILE", "-z", "--file=x", "--v", "-d", "--verbose=1", "-b --nonsense -h"])
def test_a_wrong_option_is_told_before_the_usage(tool: Tool, arguments: str) -> None:
    code, output, errors = tool.run(*arguments.split())
    assert (code, output) == (2, b"")
    assert errors.startswith(b"vm-dump-metrics: option -")
    assert b"\nusage: vm-dump-metrics " in errors


def test_without_options_the_sources_are_tried_by_turns_and_what_fails_is_told(tool: Tool) -> None:
    no_port = f"LIBMETRICS: get_virtio_metrics(): Unable to export metrics: open({tool.port}) No such file or directory"
    no_xenstore = (
        f"LIBMETRICS: get_xenstore_metrics(): Unable to export metrics: {tool.xenstore}: No such file or directory"
    )
    code, output, errors = tool.run()
    assert (code, output) == (1, b"")
    lines = errors.decode().splitlines()
    assert lines[:4] == [
        NO_DISK.decode().strip(),
        "LIBMETRICS: no disk that is small enough for one",
        no_port,
        no_xenstore,
    ]
    assert lines[4].startswith(
        f"LIBMETRICS: get_agent_metrics(): Unable to export metrics: no agent answers at {tool.socket}"
    )
    with tool.agent(AGENT):
        assert tool.run() == (0, AGENT_OUTPUT, ("\n".join(lines[:4]) + "\n").encode())
    tool.has_xenstore()
    assert tool.run() == (0, XENSTORE_OUTPUT, ("\n".join(lines[:3]) + "\n").encode())
    with tool.virtio():
        assert tool.run() == (0, VIRTIO, ("\n".join(lines[:2]) + "\n").encode())


def test_a_source_that_is_asked_for_is_the_only_one(everything: Tool) -> None:
    everything.machine.dev.joinpath("vdb").write_bytes(bytes(65536))
    code, output, errors = everything.run("-b")
    assert (code, output) == (1, b"")
    assert errors == NO_DISK + f"LIBMETRICS: no metrics disk among {everything.machine.dev}/vdb\n".encode()


def test_an_invalid_request_is_an_answer_like_any_other(tool: Tool) -> None:
    with tool.virtio(INVALID):
        assert tool.run("-i") == (0, INVALID, b"")


def test_a_virtio_host_need_not_write_xml(tool: Tool) -> None:
    with tool.virtio(b"<metrics>AT&T\0 and more</metrics>\n\n"):
        assert tool.run("-i") == (0, b"<metrics>AT&T", b"")


@pytest.mark.parametrize(
    "content", [b"<metrics>AT&T</metrics>\n", b"<metrics>", b"\xff", b"<!DOCTYPE m [<!ENTITY e 'e'>]><m>&e;</m>"]
)
def test_what_is_no_xml_is_no_success_on_a_disk(tool: Tool, content: bytes) -> None:
    node = tool.machine.metrics_disk(content)
    code, output, errors = tool.run("-b")
    assert (code, output) == (1, b"")
    assert errors.startswith(NO_DISK + f"LIBMETRICS: {node}: not well-formed: ".encode())


@pytest.mark.parametrize("content", [b"<?xml version='1.0'?>\n<metrics><![CDATA[a & b]]></metrics>", VBD])
def test_what_is_xml_comes_as_it_stands(tool: Tool, content: bytes) -> None:
    tool.machine.metrics_disk(content)
    assert tool.run("-b") == (0, content, b"")


def test_a_disk_that_was_never_written_is_no_success(tool: Tool) -> None:
    node = tool.machine.disk("vdb", header())
    assert tool.run("-b") == (1, b"", NO_DISK + f"LIBMETRICS: {node}: holds no metrics yet\n".encode())


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "exit status 1"),
        ("echo '<metrics>'", "not well-formed"),
        ("true", "not well-formed"),
    ],
)
def test_a_xenstore_that_has_nothing(tool: Tool, script: str, words: str) -> None:
    tool.has_xenstore(script)
    code, output, errors = tool.run("-x")
    assert (code, output) == (1, b"")
    assert errors.startswith(b"LIBMETRICS: get_xenstore_metrics(): Unable to export metrics")
    assert words.encode() in errors


def test_a_domain_that_is_no_number_is_no_key(tool: Tool, tmp_path: Path) -> None:
    tool.xenstore.write_text(f"#!/bin/sh\necho '../0; touch {tmp_path}/harm'; echo \"$2\" >> {tmp_path}/asked\n")
    tool.xenstore.chmod(0o755)
    assert b"domid is no number" in tool.run("-x").errors
    assert (tmp_path / "asked").read_text() == "domid\n"
    assert not (tmp_path / "harm").exists()


def test_an_agent_whose_host_is_away_says_how_old_its_values_are(tool: Tool) -> None:
    with tool.agent({**AGENT, "connected": False, "age_seconds": 75.2}):
        assert tool.run("-a") == (
            0,
            AGENT_OUTPUT,
            b"LIBMETRICS: get_agent_metrics(): the host is away; its values are 75 s old\n",
        )


def test_an_agent_that_has_heard_nothing_is_no_success(tool: Tool) -> None:
    with tool.agent({"connected": True, "metrics": None}):
        assert tool.run("-a")[:2] == (1, b"")


def test_a_file_that_cannot_be_written(tool: Tool) -> None:
    tool.machine.metrics_disk(VBD)
    assert tool.run("-d", "/nowhere/out") == (
        1,
        b"",
        b"LIBMETRICS: dump_metrics(): Unable to write metrics: /nowhere/out: No such file or directory\n",
    )


def test_nobody_reads_the_output(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    tool.machine.metrics_disk(b"<metrics>" + b" " * 200_000 + b"</metrics>")
    places = tuple(map(str, (tool.machine.dev, tool.machine.sys)))
    code = f"import sys; from guestagent import dump; sys.exit(dump.main(['-b'], dump.Places(*{places!r})))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == b"LIBMETRICS: dump_metrics(): Unable to write metrics: standard output: Broken pipe\n"


def test_the_command_is_guestagents_as_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "guestagent", "dump", "--help"], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"usage: vm-dump-metrics ")


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent as one file, as `make guestagent.pyz` builds it, but for msgpack."""
    packaging = runpy.run_path(str(ROOT / "packaging" / "build_pyz.py"))
    built: Path = tmp_path_factory.mktemp("pyz") / "guestagent.pyz"
    packaging["write"](built, {"__main__.py": packaging["MAIN"], **dict(packaging["sources"](ROOT))}, b"")
    return built


def test_the_one_file_is_both_programs_by_its_name(tmp_path: Path, pyz: Path) -> None:
    link = tmp_path / "vm-dump-metrics"
    link.symlink_to(pyz)
    for program, code, words in ((link, 2, b"usage: vm-dump-metrics"), (pyz, 0, b"usage: guestagent ")):
        done = subprocess.run([sys.executable, program, "--help"], capture_output=True, timeout=120, check=False)
        assert done.returncode == code
        assert words in done.stdout + done.stderr


def test_a_dump_loads_nothing_that_it_has_no_use_for(tool: Tool) -> None:
    """It is started every few seconds by whatever monitors the guest."""
    tool.machine.metrics_disk(VBD)
    places = tuple(map(str, (tool.machine.dev, tool.machine.sys)))
    code = (
        f"import sys; before = set(sys.modules); from guestagent import dump; "
        f"assert dump.main(['-b', '-d', '/dev/null'], dump.Places(*{places!r})) == 0; "
        "print(*(set(sys.modules) - before) & {'asyncio', 'msgpack', 'dataclasses', 'argparse', 'subprocess', 'json'})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_the_agent_is_asked_where_it_answers_by_default() -> None:
    assert dump.USUAL.socket == __main__.SOCKET
