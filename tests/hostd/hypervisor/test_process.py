"""What the host's kernel says of itself and of a domain's process."""

import os
from pathlib import Path

import pytest

from hostd.hypervisor import process
from hostd.hypervisor.process import host_pressures, pid_file, pid_folder, process_stats
from hostd.model.stats import Pressure, ProcessStats

STAT = (
    "4242 (qemu-system-x86) T 1 4242 4242 0 -1 138412352 11385 0 10 0 1234 566 0 0 20 0 5 0 8712 1184186368 10500 "
    "18446744073709551615 1 1 0 0 0 0 268444224 4096 33792 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)
SCOPE = "/machine.slice/machine-qemu\\x2d1\\x2dalpha.scope"
CPU = "some avg10=0.10 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n"
OLD_CPU = "some avg10=0.10 avg60=0.00 avg300=0.00 total=2500000\n"  # before Linux 5.13 it had no `full`


class Machine:
    """A /proc and a /sys/fs/cgroup in a folder."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.cgroups, self.pid_file = folder / "proc", folder / "cgroup", folder / "alpha.pid"

    def has(self, *, stat: str = STAT, group: str = f"0::{SCOPE}/libvirt/emulator\n") -> None:
        (self.proc / "4242").mkdir(parents=True)
        (self.proc / "4242" / "stat").write_text(stat)
        (self.proc / "4242" / "cgroup").write_text(group)
        self.pid_file.write_text("4242\n")

    def booted(self, stat: str) -> None:
        (self.proc / "stat").write_text(stat)

    def presses(self, resource: str, text: str, *, group: str = SCOPE) -> None:
        folder = self.cgroups / group.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{resource}.pressure").write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(process, "PROC", machine.proc)
    monkeypatch.setattr(process, "CGROUPS", machine.cgroups)
    monkeypatch.setattr(os, "sysconf", {"SC_CLK_TCK": 100, "SC_PAGE_SIZE": 4096}.__getitem__)
    return machine


def test_cpu_time_and_memory_of_a_process_that_is_stopped_are_known(machine: Machine) -> None:
    machine.has()
    assert process_stats(machine.pid_file) == ProcessStats(cpu_seconds=18.0, resident_bytes=10500 * 4096)


def test_when_it_began_is_told_since_1970(machine: Machine) -> None:
    machine.has()
    machine.booted("cpu  1 2 3\nctxt 5\nbtime 1700000000\nprocesses 7\n")
    stats = process_stats(machine.pid_file)
    assert stats is not None
    assert stats.started_at == 1_700_000_087.12


@pytest.mark.parametrize("stat", ["", "btime\n", "btime -1\n", "xbtime 5\n"])
def test_on_a_machine_that_does_not_tell_when_it_booted_it_is_not_known(machine: Machine, stat: str) -> None:
    machine.has()
    machine.booted(stat)
    stats = process_stats(machine.pid_file)
    assert stats is not None
    assert stats.started_at is None


@pytest.mark.parametrize("name", ["qemu-kvm", "kvm", "qemu a) (b) S 9 9", "libvirt_lxc"])
def test_a_name_may_hold_anything(machine: Machine, name: str) -> None:
    machine.has(stat=STAT.replace("qemu-system-x86", name))
    stats = process_stats(machine.pid_file)
    assert stats is not None
    assert stats.cpu_seconds == 18.0


def test_a_file_that_outlived_its_process_does_not_name_another(machine: Machine) -> None:
    machine.has(stat=STAT.replace("qemu-system-x86", "postgres"))
    assert process_stats(machine.pid_file) is None


@pytest.mark.parametrize("content", [None, "", "x", "-1", "4242 1", "7"])
def test_a_file_that_names_no_process_gives_nothing(machine: Machine, content: str | None) -> None:
    machine.has()
    machine.pid_file.unlink() if content is None else machine.pid_file.write_text(content)
    assert process_stats(machine.pid_file) is None


@pytest.mark.parametrize(
    "group",
    [
        SCOPE,
        "/machine.slice/machine-lxc\\x2d7\\x2dweb.scope",
        "/machine/qemu-1-alpha.libvirt-qemu",
        "/user.slice/machine-qemu-3-a.libvirt-qemu",
    ],
)
def test_the_pressure_of_the_domains_own_group_is_told_in_seconds(machine: Machine, group: str) -> None:
    machine.has(group=f"1:name=systemd:/x\n0::{group}/libvirt/emulator\n")
    machine.presses("cpu", CPU, group=group)
    machine.presses("io", OLD_CPU, group=group)
    stats = process_stats(machine.pid_file)
    assert stats is not None
    assert stats.pressures == (
        Pressure(resource="cpu", waiting_seconds=2.5, stalled_seconds=0.5),
        Pressure(resource="io", waiting_seconds=2.5),
    )


@pytest.mark.parametrize("group", ["0::/\n", "0::/system.slice/libvirtd.service\n", "4:cpu:/machine-qemu-1\n", ""])
def test_a_group_that_others_share_tells_nothing_of_the_domain(machine: Machine, group: str) -> None:
    machine.has(group=group)
    for shared in ("/", "/system.slice/libvirtd.service"):
        machine.presses("cpu", CPU, group=shared)
    stats = process_stats(machine.pid_file)
    assert stats is not None
    assert stats.pressures == ()


def test_the_pressure_of_the_whole_machine_is_told_in_seconds_as_far_as_its_kernel_keeps_it(machine: Machine) -> None:
    assert host_pressures() == ()
    (machine.proc / "pressure").mkdir(parents=True)
    (machine.proc / "pressure" / "memory").write_text(CPU)
    (machine.proc / "pressure" / "cpu").write_text(OLD_CPU)
    assert host_pressures() == (
        Pressure(resource="cpu", waiting_seconds=2.5),
        Pressure(resource="memory", waiting_seconds=2.5, stalled_seconds=0.5),
    )


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("qemu:///system", "/run/libvirt/qemu"),
        ("qemu+unix:///system", "/run/libvirt/qemu"),
        ("qemu:///system?socket=/run/other/libvirt-sock", "/run/libvirt/qemu"),
        ("lxc:///system", "/run/libvirt/lxc"),
        ("lxc:///", "/run/libvirt/lxc"),
        ("qemu:///session", "/run/user/7/libvirt/qemu/run"),
        ("qemu:///session?socket=/tmp/a%20b/libvirt/libvirt-sock", "/tmp/a b/libvirt/qemu/run"),
        ("qemu+ssh://other/system", None),
        ("qemu+tcp://127.0.0.1/system", None),
        ("xen:///system", None),
        ("test:///default", None),
    ],
)
def test_the_folder_is_where_that_driver_keeps_it_on_this_machine(uri: str, folder: str | None) -> None:
    found = pid_folder(uri, {"XDG_RUNTIME_DIR": "/run/user/7"})
    assert found == (None if folder is None else Path(folder))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("alpha", "alpha.pid"),
        ("quote\"and'quote", "quote&quot;and&apos;quote.pid"),
        ("a<b>&c", "a&lt;b&gt;&amp;c.pid"),
        (" ü😀\t", " ü😀\t.pid"),
    ],
)
def test_a_domains_file_is_named_as_libvirt_writes_its_name(name: str, file: str) -> None:
    assert pid_file(Path("/run"), name) == Path("/run") / file


def test_without_a_runtime_folder_a_session_daemon_uses_the_users_cache() -> None:
    assert pid_folder("qemu:///session", {"HOME": "/home/me"}) == Path("/home/me/.cache/libvirt/qemu/run")
