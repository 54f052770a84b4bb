"""vhostmd's metrics disk, as a guest finds and reads it (`protocol.mdisk` has the layout, and what may be believed).

Only disks of the size that a metrics disk may have are opened: reading a data disk whose storage hangs would never
return, and no thread or signal could end that. The page cache is passed by (O_DIRECT), or emptied of the disk where
that cannot be: the host changes the disk behind this kernel's back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from typing import TYPE_CHECKING

from guestagent.vhostmd.source import Clock, Found, SourceFailed
from protocol import mdisk

if TYPE_CHECKING:
    from collections.abc import Iterator

SAID = "read_mdisk(): Unable to read metrics disk"

PATIENCE_SECONDS = 15.0
"""For so long disks that are being written are waited for, over all: several times what any writer takes."""

LOOK_AGAIN_SECONDS = 1.0
PIECE_BYTES = 1024 * 1024
SECTOR_BYTES = 512


class _Unsettled(Exception):  # noqa: N818
    """It is being written: look again."""


class _Wrong(Exception):  # noqa: N818
    """It is a metrics disk, and what it says of itself cannot be."""


def read(dev: str = "/dev", sys: str = "/sys", clock: Clock | None = None) -> Found:
    """The document on the first metrics disk that has a whole one.

    Raises:
        SourceFailed: there is no such disk, or none that may be read.

    """
    clock = clock or Clock()
    deadline = clock.now() + PATIENCE_SECONDS
    looked_at, troubles = [], []
    for name in _small_disks(sys):
        node = _node(dev, name)
        looked_at.append(node)
        try:
            with _Disk(node) as disk:
                return Found(_settled(disk, clock, deadline), node)
        except mdisk.NotMetricsDisk:
            continue
        except OSError as error:
            troubles.append(f"{node}: {error.strerror}{_ADVICE.get(error.errno or 0, '')}")
        except (_Unsettled, _Wrong) as error:
            troubles.append(f"{node}: {error}")
    nothing = f"no metrics disk among {', '.join(looked_at)}" if looked_at else "no disk that is small enough for one"
    why = "; ".join(troubles) or nothing
    raise SourceFailed(why, f"{SAID}\n{why}")


_ADVICE = {errno.EACCES: " (root may look, and the group disk)"}


def _small_disks(sys: str) -> Iterator[str]:
    """In the kernel's order, those that may be metrics disks; without a medium they are empty."""
    with contextlib.suppress(OSError):
        for name in os.listdir(f"{sys}/block"):  # noqa: PTH208 - pathlib costs more than all the rest
            size = _bytes_of(f"{sys}/block/{name}/size")
            if size is None or 0 < size <= mdisk.MAX_BYTES:
                yield name


def _bytes_of(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as told:  # noqa: PTH123
            return int(told.read()) * SECTOR_BYTES
    except (OSError, ValueError):
        return None


def _node(dev: str, name: str) -> str:
    """Where the kernel's name has a `!` the node's has a `/`."""
    plain = f"{dev}/{name}"
    return plain if os.path.exists(plain) else f"{dev}/{name.replace('!', '/')}"  # noqa: PTH110


def _settled(disk: _Disk, clock: Clock, deadline: float) -> bytes:
    while True:
        try:
            return _content(disk)
        except _Unsettled:
            if clock.now() >= deadline:
                raise
        clock.wait(LOOK_AGAIN_SECONDS)


def _content(disk: _Disk) -> bytes:
    """The document, if two looks at it are the same: equal sums alone do not say so."""
    header = mdisk.header_of(disk.read(mdisk.HEADER_BYTES))
    if header.is_busy:
        raise _Unsettled(
            f"the disk stays busy ({PATIENCE_SECONDS:g} s): has its writer on the host ended in the midst?"
        )
    end = mdisk.HEADER_BYTES + header.length
    if end > min(disk.size_bytes, mdisk.MAX_BYTES):
        raise _Wrong(f"claims {header.length} bytes of metrics, on a disk of {disk.size_bytes}")
    if not header.length:
        raise _Wrong("holds no metrics yet")
    data = disk.read(end)
    if len(data) < end:
        raise _Wrong(f"ends after {len(data)} of {end} bytes")
    if not mdisk.is_whole(header, mdisk.header_of(data)) or not disk.is_still(data):
        raise _Unsettled("the disk changes faster than it can be read")
    return data[mdisk.HEADER_BYTES :]


class _Disk:
    """An open disk. What is read from it is what the host has there now."""

    def __init__(self, node: str) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a drive is not to be waited for
        try:
            self._descriptor = os.open(node, flags | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._descriptor = os.open(node, flags)
        self.size_bytes = os.lseek(self._descriptor, 0, os.SEEK_END)

    def __enter__(self) -> _Disk:  # noqa: PYI034 - typing.Self is Python 3.11's
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self, end: int) -> bytes:
        """The first bytes, up to `end` or as many as there are."""
        return b"".join(self._pieces(end))

    def is_still(self, data: bytes) -> bool:
        """Whether the disk begins with these bytes; without having them all twice."""
        at = 0
        for piece in self._pieces(len(data)):
            if data[at : at + len(piece)] != piece:
                return False
            at += len(piece)
        return at == len(data)

    def _pieces(self, end: int) -> Iterator[bytes]:
        steps = -(-min(end, PIECE_BYTES) // mdisk.STEP_BYTES)
        with mmap.mmap(-1, steps * mdisk.STEP_BYTES) as memory:  # aligned, as O_DIRECT wants it
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            at = 0
            while at < end:
                count = self._fill(memory, at)
                if not count:
                    return
                yield memory[: min(count, end - at)]
                at += count

    def _fill(self, memory: mmap.mmap, offset: int) -> int:
        try:
            return os.preadv(self._descriptor, [memory], offset)
        except OSError as error:
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            if error.errno != errno.EINVAL or not flags & os.O_DIRECT:
                raise
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)  # it is aligned otherwise
            return os.preadv(self._descriptor, [memory], offset)
