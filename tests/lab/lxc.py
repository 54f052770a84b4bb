"""A private LXC host: libvirt's other driver for containers, which has no bulk statistics, with one container on it.

It takes root: libvirt has no LXC for anybody else. What it does as root stays in namespaces of its own (mounts,
network, processes) that end with it, whoever ends it; the control groups of its container, which have none, are
named after the lab. Driver and container are of Debian's packages, unpacked into the cache, never installed.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import libvirt

from tests.lab.cache import cached
from tests.lab.debian import Suite, system_tool, unpack
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.processes import Service
from tests.lab.progress import step
from tests.lab.waiting import wait_for

_SCRIPT = Path(__file__).with_suffix(".sh")
_NAMESPACES = ("--mount", "--propagation=private", "--net", "--pid", "--mount-proc", "--fork", "--kill-child")
_GROUPS = Path("/sys/fs/cgroup")
_FILES = (
    "usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_lxc.so",
    "usr/lib/libvirt/libvirt_lxc",
    "bin/busybox",
)
_CONFIG = """
unix_sock_dir = "{folder}/run"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""
_DOMAIN = """<domain type='lxc'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
  <os><type>exe</type><init>/bin/busybox</init><initarg>sleep</initarg><initarg>infinity</initarg></os>
  <devices>
    <emulator>{programs}/libvirt_lxc</emulator>
    <filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>
    <interface type='bridge'><source bridge='lab0'/></interface>
    <console type='pty'/>
  </devices>
</domain>
"""


def why_not() -> str:
    """Say why this machine cannot be an LXC host for us; nothing if it can."""
    if os.geteuid() != 0:
        return "libvirt's LXC driver serves root alone, and this is another user"
    refused = subprocess.run(["unshare", *_NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return f"root may make no namespaces here: {refused.stderr.strip()}" if refused.returncode else ""


def programs() -> Path:
    """Give the folder with the driver, its helper and a container's one program, from the cache or newly fetched."""
    return cached("lxc", ["bookworm", *_FILES], _fetch)


class LxcHost:
    """One libvirtd with the LXC driver, and a container on it."""

    def __init__(self, libvirtd: PrivateLibvirt) -> None:
        """Start the host in a lab's folder, whose libvirtd does not run, and the container on it."""
        self.name = libvirtd.folder.name  # also in the control groups' names, of which the machine has one set
        self.uri = f"lxc:///system?socket={libvirtd.folder}/run/libvirt-sock"
        self.log = libvirtd.log
        folder = programs()
        (libvirtd.folder / "libvirtd.conf").write_text(_CONFIG.format(folder=libvirtd.folder))
        self._groups = [group for group in _GROUPS.glob("*/") if not (group / "machine").exists()]
        self._service = Service(
            [system_tool("unshare"), *_NAMESPACES, "sh", _SCRIPT, libvirtd.folder],
            log=self.log,
            env={"LIBVIRT_DRIVER_DIR": str(folder), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        )
        try:
            self.domain = self._start_container(folder, libvirtd.folder / "root")
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """End the container, so that libvirt removes its control groups, and with the host whatever else is there."""
        with contextlib.suppress(libvirt.libvirtError, AttributeError):
            self.domain.destroy()
        self._service.kill()
        for left_by_a_killed_lab in _GROUPS.glob("*/machine/lxc-*-virtwire-*"):
            _remove_empty(left_by_a_killed_lab)
        for group in self._groups:
            _remove_empty(group / "machine")

    def _start_container(self, folder: Path, root: Path) -> libvirt.virDomain:
        for name in ("bin", "proc", "sys", "dev", "run", "etc"):
            (root / name).mkdir(parents=True)
        shutil.copy(folder / "busybox", root / "bin/busybox")
        connection = wait_for("the LXC host answers", self._connect, deadline=60, evidence=self._service.log_tail)
        return connection.createXML(_DOMAIN.format(name=self.name, programs=folder, root=root))

    def _connect(self) -> libvirt.virConnect | None:
        if not self._service.running:
            raise RuntimeError(f"the LXC host ended at once\n{self._service.log_tail()}")
        libvirt.registerErrorHandler(lambda _context, _error: None, None)  # else libvirt prints each error
        with contextlib.suppress(libvirt.libvirtError):
            return libvirt.open(self.uri)
        return None


@contextlib.contextmanager
def lxc_host() -> Iterator[LxcHost]:
    """Run an LXC host for as long as the block lasts, in a lab's folder, so that an abandoned one is removed."""
    lab = PrivateLibvirt.new()
    try:
        host = LxcHost(lab)
        try:
            yield host
        finally:
            host.remove()
    finally:
        lab.remove()


def _remove_empty(group: Path) -> None:
    with contextlib.suppress(OSError):  # not there, or there is somebody in it
        group.rmdir()


def _fetch(place: Path) -> None:
    with (
        step("fetching libvirt's LXC driver from Debian", about_seconds=5),
        tempfile.TemporaryDirectory(prefix=".build-", dir=place.parent) as scratch,
    ):
        unpacked = Path(scratch) / "unpacked"
        suite = Suite("bookworm", Path(scratch))
        unpack([suite.alone("libvirt-daemon-driver-lxc"), suite.alone("busybox-static")], unpacked)
        for file in _FILES:
            shutil.move(unpacked / file, place / Path(file).name)
