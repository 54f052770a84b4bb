"""A private libvirt: a session daemon in a folder of its own, which sees only its own domains.

It needs no root and touches nothing of the machine's own libvirt; as root we drop to ``nobody`` for it,
because QEMU should not run as root and because a root daemon would probe ``/dev/kvm``. Everything of a
lab is in one folder: sockets, configuration, logs, kernels, disks. To libvirt each lab is a host of its own
(``host_uuid``), so that a guest can migrate from one to another. The folder's path is short because
libvirt puts a guest's channels deep below it and a unix socket's path holds 107 bytes at most. Who ended
what is decided by pid files in that folder alone, so that a lab can be taken down by another process,
also when the one that made it was killed.
"""

import contextlib
import os
import pwd
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import libvirt

from tests.lab.debian import system_tool
from tests.lab.image import Image, assemble
from tests.lab.processes import Argument, Service, alive, belongs_to, kill_and_wait
from tests.lab.waiting import wait_for

_PARENT = Path("/tmp")  # short, and there on every machine
_PREFIX = "virtwire-"
# QEMU writes its own logs. By default libvirtd would start a virtlogd for it, a daemon that nobody ends.
_QEMU_CONF = 'stdio_handler = "file"\n'


class PrivateLibvirt:
    """One private libvirtd, its folder and the QEMUs below it."""

    def __init__(self, folder: Path) -> None:
        """Use a lab's folder, which ``new`` has made; the daemon may run or not."""
        self.folder = folder
        self._service: Service | None = None
        self._connection: libvirt.virConnect | None = None
        self._images: dict[str, Image] = {}

    @classmethod
    def new(cls, *, kept: bool = False) -> "PrivateLibvirt":
        """Make a lab's folder. Unless it is kept, it may be removed once this process has ended."""
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PARENT))
        for name in ("run", "config/libvirt", "cache", "data"):
            (folder / name).mkdir(parents=True, mode=0o700)
        (folder / "config/libvirt/qemu.conf").write_text(_QEMU_CONF)
        (folder / "config/libvirt/libvirtd.conf").write_text(f'host_uuid = "{uuid.uuid4()}"\n')
        if not kept:
            (folder / "owner").write_text(str(os.getpid()))
        lab = cls(folder)
        lab._give_to_user(folder)
        return lab

    @property
    def socket(self) -> Path:
        """Where the daemon listens."""
        return self.folder / "run/libvirt/libvirt-sock"

    @property
    def uri(self) -> str:
        """The address for libvirt's clients. A named socket also keeps them from starting a daemon themselves."""
        return f"qemu:///session?socket={self.socket}"

    @property
    def log(self) -> Path:
        """The daemon's log."""
        return self.folder / "libvirtd.log"

    def start(self, *, env: Mapping[str, str] | None = None) -> None:
        """Start the daemon and wait until it answers; domains of an earlier one are found again.

        ``env`` adds to its environment: a library to load into it, for instance.
        """
        command: list[Argument] = [system_tool("libvirtd"), "--pid-file", self.folder / "run/libvirtd.pid"]
        if os.geteuid() == 0:
            drop = ["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all"]
            command = [system_tool("setpriv"), *drop, *command]
        xdg = {f"XDG_{name.upper()}_HOME": str(self.folder / name) for name in ("config", "cache", "data")}
        own = {**xdg, "XDG_RUNTIME_DIR": str(self.folder / "run"), "HOME": str(self.folder)}
        service = self._service = Service(command, log=self.log, env={**own, **(env or {})})

        def answers() -> bool:
            if not service.running:
                raise RuntimeError(f"libvirtd ended at once\n{service.log_tail()}")
            with contextlib.suppress(libvirt.libvirtError):
                return bool(self.connection.isAlive())
            return False

        wait_for("libvirtd answers", answers, deadline=60, evidence=service.log_tail)

    def stop(self) -> None:
        """End the daemon in order (SIGTERM). Its guests go on running."""
        self._drop_connection()
        if self._service:
            self._service.stop()

    def kill(self) -> None:
        """End the daemon as a crash would (SIGKILL). Its guests go on running."""
        if self._service:
            self._service.kill()
        self._drop_connection()  # or it would seem alive until the next call fails; a frozen one must be dead first

    @property
    def connection(self) -> libvirt.virConnect:
        """A read-write connection to the daemon that runs now."""
        if self._connection is None or not self._connection.isAlive():
            libvirt.registerErrorHandler(lambda _context, _error: None, None)  # else libvirt prints each error
            self._connection = libvirt.open(self.uri)
        return self._connection

    def image(self, suite: str) -> Image:
        """Give a suite's bootable image, laid into the lab's folder at its first use."""
        if suite not in self._images:
            self._images[suite] = assemble(suite, self.folder)
        return self._images[suite]

    def file(self, name: str, *, size_bytes: int) -> Path:
        """Make an empty (sparse) file in the lab's folder that QEMU may write: a raw disk."""
        path = self.folder / name
        with path.open("wb") as disk:
            disk.truncate(size_bytes)
        self._give_to_user(path)
        return path

    def subfolder(self, name: str) -> Path:
        """Make a folder in the lab's folder in which the daemon and QEMU may write."""
        path = self.folder / name
        path.mkdir()
        self._give_to_user(path)
        return path

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return int((self.folder / "run/libvirtd.pid").read_text())

    def qemu_pid(self, domain: str) -> int:
        """Name the process of a running domain."""
        return int((self.folder / "run/libvirt/qemu/run" / f"{domain}.pid").read_text())

    def remove(self) -> None:
        """Take everything down: the daemon, every QEMU, whatever else of the lab still runs, the folder."""
        self._drop_connection()
        if self._service:
            self._service.stop()
        for pid_file in self.folder.rglob("*.pid"):
            with contextlib.suppress(FileNotFoundError, ValueError):
                pid = int(pid_file.read_text())
                if belongs_to(pid, self.folder):
                    kill_and_wait(pid)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(libvirt.libvirtError):
                self._connection.close()
            self._connection = None

    @staticmethod
    def _give_to_user(path: Path) -> None:
        if os.geteuid() != 0:
            return
        nobody = pwd.getpwnam("nobody")
        for each in (path, *path.rglob("*")):
            os.chown(each, nobody.pw_uid, nobody.pw_gid)


def remove_abandoned() -> None:
    """Take down the labs whose owner was killed before it could do so."""
    for folder in _PARENT.glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError, PermissionError, ValueError):
            if not alive(int((folder / "owner").read_text())):
                PrivateLibvirt(folder).remove()


@contextlib.contextmanager
def private_libvirt() -> Iterator[PrivateLibvirt]:
    """Run a private libvirt for as long as the block lasts."""
    remove_abandoned()
    lab = PrivateLibvirt.new()
    try:
        lab.start()
        yield lab
    finally:
        lab.remove()
