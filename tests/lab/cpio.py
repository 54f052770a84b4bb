"""The kernel's initial file system: a cpio archive ("newc"), written with every file owned by 0:0.

Format: Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's tree. Archives may follow
one another in one initrd, compressed or not; later ones add to and replace what earlier ones held.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, folder or symlink (whose data is its target)."""

    path: str
    mode: int
    data: bytes = b""


def tree(root: Path) -> Iterator[Entry]:
    """Walk a folder into entries, parents first, always in the same order."""
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        data = b""
        if stat.S_ISLNK(mode):
            data = os.fsencode(path.readlink())
        elif stat.S_ISREG(mode):
            data = path.read_bytes()
        yield Entry(path=str(path.relative_to(root)), mode=mode, data=data)


def archive(entries: Iterator[Entry]) -> bytes:
    """Write an archive, padded to a multiple of 512 bytes."""
    parts = [_record(number, entry) for number, entry in enumerate(entries, start=1)]
    parts.append(_record(0, Entry(path="TRAILER!!!", mode=0)))
    return _padded(b"".join(parts), 512)


def _record(inode: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # inode, mode, uid, gid, links, mtime, size, device (2), device of a node (2), name length, checksum
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name, 4) + _padded(entry.data, 4)


def _padded(data: bytes, multiple: int) -> bytes:
    return data + bytes(-len(data) % multiple)
