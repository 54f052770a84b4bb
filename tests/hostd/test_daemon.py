"""hostd as a process: what it serves, how it ends, and what it says and exits with when it cannot run."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import hostd
from tests.support.pages import samples_of

SAMPLE = Path(__file__).parents[2] / "packaging" / "hostd.toml"
SECONDS = 60.0  # the longest that anything is waited for
LISTENING = re.compile(r"http: listening on (http://\S+)$")


class Running:
    """One `hostd run`, and its log as far as it was read."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []

    def until(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """The next line of the log that holds that."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))
            found = re.search(pattern, self.log[-1])
            if found:
                return found
        raise AssertionError("\n".join(["hostd ended:", *self.log]))

    def get(self, path: str) -> str:
        body: bytes = urlopen(self.url + path, timeout=SECONDS).read()  # noqa: S310 - our own address
        return body.decode()

    @property
    def url(self) -> str:
        if not hasattr(self, "_url"):
            self._url = self.until(LISTENING)[1]
        return self._url

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        assert self.process.stderr is not None
        self.log += self.process.stderr.read().splitlines()
        return self.process.wait(SECONDS)


@contextmanager
def hostd_run(*arguments: str) -> Iterator[Running]:
    """`hostd run` with these arguments on a port of its own; killed at the end if it still runs."""
    command = [sys.executable, "-m", "hostd", "run", "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "TZ": "UTC"}) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def hostd_once(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hostd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_it_serves_what_libvirt_says_and_ends_well_on_sigterm() -> None:
    with hostd_run("--connect", "test:///default") as running:
        assert running.get("/healthz") == "ok\n"
        running.until("libvirt at test:///default: connected, driver TEST, 1 domains")
        assert running.get("/readyz") == "ok\n"
        page = samples_of(running.get("/metrics"))
        assert page[("libvirt_up", frozenset())] == 1
        assert page[("libvirt_domains", frozenset())] == 1
        assert running.stop() == 0
        assert "INFO hostd.daemon: stopping" in running.log[-1]


def test_it_ends_well_on_interruption() -> None:
    with hostd_run("--connect", "test:///default") as running:
        running.get("/healthz")
        assert running.stop(signal.SIGINT) == 0


def test_it_ends_well_while_somebody_holds_a_connection() -> None:
    with hostd_run("--connect", "test:///default") as running:
        host, _, port = running.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=SECONDS) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 200"
            assert running.stop() == 0


def test_without_libvirt_it_stays_up_and_says_so(tmp_path: Path) -> None:
    uri = f"qemu:///system?socket={tmp_path / 'libvirt-sock'}"
    with hostd_run("--connect", uri) as running:
        assert running.get("/healthz") == "ok\n"
        running.until(r"WARNING hostd.watcher: libvirt at qemu:///system.*; trying again")
        assert samples_of(running.get("/metrics"))[("libvirt_up", frozenset())] == 0
        with pytest.raises(HTTPError) as caught:
            running.get("/readyz")
        assert caught.value.code == 503
        assert b"libvirt-sock" in caught.value.read()
        assert running.process.poll() is None
        assert running.stop() == 0


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = hostd_once("run", "--connect", "test:///default", "--listen", address)
    assert ended.returncode == os.EX_UNAVAILABLE
    assert ended.stderr == f"hostd: cannot listen on {address}: Address already in use; see http.listen or --listen\n"


@pytest.mark.parametrize("command", ["run", "metrics"])
@pytest.mark.parametrize("uri", ["garbage", "test:///nonexistent.xml"])
def test_a_wrong_uri_is_said_in_one_line(command: str, uri: str) -> None:
    listen = ("--listen", "127.0.0.1:0") if command == "run" else ()
    ended = hostd_once(command, "--connect", uri, *listen)
    assert ended.returncode == os.EX_CONFIG
    said = [line for line in ended.stderr.splitlines() if line.startswith("hostd: ")]
    assert len(said) == 1
    assert said[0].endswith("; see connection.uri or --connect")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["run", "metrics"])
def test_a_wrong_setting_is_said_in_one_line(tmp_path: Path, command: str) -> None:
    file = tmp_path / "hostd.toml"
    file.write_text("[sampling]\ninterval = 5\n")
    ended = hostd_once(command, "--config", str(file))
    assert ended.returncode == os.EX_CONFIG
    assert ended.stderr == f"hostd: {file}: sampling.interval: there is no such setting\n"


def test_metrics_prints_one_collection() -> None:
    ended = hostd_once("metrics", "--connect", "test:///default")
    assert (ended.returncode, ended.stderr) == (0, "")
    page = samples_of(ended.stdout)
    (cpu_time,) = [value for (name, _), value in page.items() if name == "libvirt_domain_info_cpu_time_seconds_total"]
    assert cpu_time > 0
    assert page[("libvirt_host_cpus", frozenset())] == 16


def test_metrics_without_libvirt_is_said_in_one_line(tmp_path: Path) -> None:
    ended = hostd_once("metrics", "--connect", f"qemu:///system?socket={tmp_path / 'libvirt-sock'}")
    assert (ended.returncode, ended.stdout) == (os.EX_UNAVAILABLE, "")
    assert re.fullmatch(r"hostd: connect: .*libvirt-sock.*\n", ended.stderr)


def test_check_config_prints_what_the_file_comes_to(tmp_path: Path) -> None:
    file = tmp_path / "hostd.toml"
    file.write_text("[http]\nlisten = '[::1]:1'\n[guests]\nshare = ['host_cpus']\n")
    ended = hostd_once("check-config", str(file))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        'connection.uri = "qemu:///system"',
        "connection.deadline_seconds = 5.0",
        'http.listen = "[::1]:1"',
        "sampling.interval_seconds = 10.0",
        'guests.channel = "io.virtwire.agent.0"',
        "guests.report_interval_seconds = 10.0",
        'guests.share = ["host_cpus"]',
        "guests.share_host_name = false",
    ]


def test_check_config_takes_the_sample_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    assert hostd_once("check-config", str(SAMPLE)).returncode == 0
    ended = hostd_once("check-config", str(tmp_path / "none.toml"))
    assert ended.returncode == os.EX_CONFIG
    assert ended.stderr == f"hostd: {tmp_path}/none.toml: No such file or directory\n"


def test_it_tells_its_version() -> None:
    ended = hostd_once("--version")
    assert (ended.returncode, ended.stdout) == (0, f"hostd {hostd.__version__}\n")


@pytest.mark.parametrize("arguments", [(), ("sing",), ("run", "--nonsense"), ("check-config",)])
def test_wrong_usage_is_said_in_one_line(arguments: tuple[str, ...]) -> None:
    ended = hostd_once(*arguments)
    assert (ended.returncode, ended.stdout) == (os.EX_USAGE, "")
    assert re.fullmatch(r"hostd.*; see hostd.* --help\n", ended.stderr)
