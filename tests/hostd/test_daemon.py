"""hostd as a process: what it serves, how it ends, and what it says and exits with when it cannot run."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import hostd
from tests.support.pages import Series, samples_of

FORGETFUL = Path(__file__).parents[1] / "support" / "forgetful.toml"
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

    def page_once(self, name: str, value: float, **labels: str) -> dict[Series, float]:
        """The first page on which that series has that value: what is learned is rendered a moment later."""
        series = (name, frozenset(labels.items()))
        deadline = time.monotonic() + SECONDS
        while (page := samples_of(self.get("/metrics"))).get(series) != value:
            assert time.monotonic() < deadline, f"{series} is {page.get(series)}"
        return page

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
    file = () if "--config" in arguments else ("--config", str(FORGETFUL))
    command = [sys.executable, "-m", "hostd", "run", "--listen", "127.0.0.1:0", *file, *arguments]
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
        page = running.page_once("libvirt_up", 1)
        assert page[("libvirt_domains", frozenset())] == 1
        assert running.stop() == 0
        assert [line for line in running.log if line.endswith("INFO hostd.daemon: stopping")]


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


TOO_MUCH_IS_STUCK = """
import sys
from hostd.__main__ import main
from hostd.hypervisor import TooManyStuck
from hostd.hypervisor.adapter import LibvirtAdapter

async def survey(self):
    raise TooManyStuck("17 calls to libvirt have not returned (a, b, c …)")

LibvirtAdapter.survey = survey
sys.exit(main(["run", "--connect", "test:///default", "--listen", "127.0.0.1:0", "--config", sys.argv[1]]))
"""


def test_when_only_a_new_process_helps_it_ends_for_its_supervisor_and_says_why() -> None:
    command = [sys.executable, "-c", TOO_MUCH_IS_STUCK, str(FORGETFUL)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == os.EX_TEMPFAIL
    assert ended.stderr.splitlines()[-1] == (
        "hostd: 17 calls to libvirt have not returned (a, b, c …); ending, so that a supervisor starts a clean process"
    )
    assert "Traceback" not in ended.stderr


def test_several_connections_are_told_apart_and_one_that_is_not_there_costs_the_other_nothing(tmp_path: Path) -> None:
    file = tmp_path / "hostd.toml"
    absent = f"qemu:///system?socket={tmp_path / 'libvirt-sock'}"
    file.write_text(
        f"[[connection]]\nname = 'here'\nuri = 'test:///default'\n[[connection]]\nname = 'gone'\nuri = '{absent}'\n"
    )
    with hostd_run("--config", str(file)) as running:
        page = running.page_once("libvirt_up", 1, connection="here")
        assert page[("libvirt_up", frozenset({("connection", "gone")}))] == 0
        with pytest.raises(HTTPError) as caught:
            running.get("/readyz")
        assert b"gone (qemu:" in caught.value.read()
        assert "here (test:///default): connected to libvirt; 1 domain" in running.get("/")
        assert running.stop() == 0
    once = hostd_once("metrics", "--config", str(file))
    assert once.returncode == 0
    assert 'libvirt_up{connection="here"} 1\n' in once.stdout
    assert 'libvirt_up{connection="gone"} 0\n' in once.stdout


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
    lists = "[[connection]]\ninclude = ['web-*']\n[[metadata]]\npreset = 'nova'\n"
    sampling = "[sampling]\ngroups = ['vm']\nkvm_stats = ['exits']\n"
    file.write_text(f"{lists}{sampling}[http]\nlisten = '[::1]:1'\n[guests]\nshare = ['host_cpus']\n")
    ended = hostd_once("check-config", str(file))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        'connection[0].name = ""',
        'connection[0].uri = "qemu:///system"',
        "connection[0].deadline_seconds = 5.0",
        "connection[0].domains_at_once = 4",
        'connection[0].include = ["web-*"]',
        "connection[0].exclude = []",
        'http.listen = "[::1]:1"',
        "sampling.interval_seconds = 10.0",
        "sampling.domain_seconds = 2.0",
        "sampling.rare_interval_seconds = 60.0",
        "sampling.max_unresponsive_domains = 12",
        "sampling.details_interval_seconds = 300.0",
        "sampling.jobs_interval_seconds = 30.0",
        'sampling.groups = ["vm"]',
        'sampling.kvm_stats = ["exits"]',
        "disks.include = []",
        "disks.exclude = []",
        "interfaces.include = []",
        "interfaces.exclude = []",
        "storage.interval_seconds = 60.0",
        "storage.volumes = false",
        "storage.max_volumes_per_pool = 500",
        "objects.interval_seconds = 60.0",
        'metadata[0].preset = "nova"',
        "exposition.max_series_per_domain = 5000",
        "exposition.promote = []",
        "exposition.compat = []",
        'guests.channel = "io.virtwire.agent.0"',
        "guests.serial_aliases = []",
        "guests.vsock_port = 0",
        "guests.report_interval_seconds = 10.0",
        "guests.max_series_per_guest = 400",
        "guests.max_series = 200000",
        "guests.check_peer = true",
        'guests.share = ["host_cpus"]',
        "guests.share_host_name = false",
        'history.path = "/var/lib/virtwire/history.sqlite"',
        "history.max_age_seconds = 2592000.0",
        "history.max_bytes = 268435456",
        "vhostmd.virtio = true",
        'vhostmd.channel = "org.github.vhostmd.1"',
        'vhostmd.disk_path = ""',
        'vhostmd.disk_folder = ""',
        "vhostmd.disk_size_bytes = 262144",
        "vhostmd.xenstore = false",
        'vhostmd.set = "sap"',
        "vhostmd.newline_in_values = false",
        "vhostmd.period_seconds = 5.0",
        'vhostmd.host_name = ""',
        'vhostmd.vendor = ""',
        'vhostmd.program_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"',
        "vhostmd.metric = []",
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
