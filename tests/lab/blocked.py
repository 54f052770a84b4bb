"""A folder on which a libvirtd's file operations block until they are released, as on a file server that is away.

The libvirtd is a real one with a library loaded before its own (``blocked.c``): its threads wait inside open,
opendir and stat below one folder, with whatever locks it holds meanwhile. A mount that nobody serves (FUSE) would
do the same from within the kernel, but needs root or a setuid helper, which a container may refuse, and
everybody's ``df`` on the machine would hang with it. This one touches a single process, and what it blocks can
always be ended: by releasing it, by SIGKILL, or by removing the lab's folder.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.lab.cache import cached
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.processes import output_of

_SOURCE = Path(__file__).with_suffix(".c")
_LIBRARY = "blocked.so"


class BlockableFolder:
    """A folder in a lab, for its libvirtd alone: ``libvirtd.start(env=folder.env)`` makes it so."""

    def __init__(self, libvirtd: PrivateLibvirt, name: str) -> None:
        """Make the folder; it is not blocked yet."""
        self.libvirtd = libvirtd
        self.path = libvirtd.subfolder(name)
        self._marker = libvirtd.folder / f"{name}.blocked"
        self._library = libvirtd.folder / _LIBRARY  # the cache is a folder that the daemon's user may not enter
        shutil.copyfile(_built() / _LIBRARY, self._library)

    @property
    def env(self) -> Mapping[str, str]:
        """What has to be in the daemon's environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "VIRTWIRE_BLOCKED_FOLDER": str(self.path),
            "VIRTWIRE_BLOCKED_MARKER": str(self._marker),
        }

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """Let no file operation of the daemon below the folder return for as long as the block lasts."""
        self._marker.touch()
        try:
            yield
        finally:
            self._marker.unlink()


def _built() -> Path:
    return cached("blocked", [_SOURCE.read_bytes()], _build)


def _build(place: Path) -> None:
    output_of(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", place / _LIBRARY, _SOURCE])
