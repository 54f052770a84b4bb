"""How full the filesystems are that this guest itself keeps (proc(5), /proc/self/mounts; statvfs(3)).

Asking a network filesystem whose server is dead would hang the agent for ever, so it is decided *before* asking which
to ask: types that live on a block device (those without `nodev` in /proc/filesystems) and a few named ones that keep
their data here without one. What is not known to be local is left alone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protocol.messages import MAX_FILESYSTEMS, Filesystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCAL_WITHOUT_DEVICE = frozenset({"tmpfs", "rootfs", "zfs"})
LEFT_ALONE = frozenset(
    {
        "erofs",  # images, always full
        "iso9660",
        "squashfs",
        "udf",
        "fuseblk",  # answered by a process, which may hang
        "gfs2",  # shared by a cluster, which may hang
        "ocfs2",
    }
)

KERNELS_OWN = ("/proc/", "/sys/")  # mountpoints under which a tmpfs is only a place to mount more

_LARGEST = 0x7FFF_FFFF_FFFF_FFFF  # some filesystems say "without limit" in ways no disk can be
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mounts."""

    device: str
    mountpoint: str
    fstype: str


def read(root: Path, statvfs: Callable[[str], os.statvfs_result] = os.statvfs) -> dict[str, Any]:
    """`filesystems` and `filesystems_left_out`."""
    mounts = parse_mounts((root / "proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape"))
    local = parse_types((root / "proc/filesystems").read_text(encoding="ascii"))
    measured = [fs for fs in (measure(mount, statvfs) for mount in choose(mounts, local)) if fs is not None]
    return {
        "filesystems": tuple(measured[:MAX_FILESYSTEMS]),
        "filesystems_left_out": len(measured[MAX_FILESYSTEMS:]),
    }


def parse_mounts(text: str) -> list[Mount]:
    r"""Each mount, in the order they were made; the kernel writes a space as `\040`."""
    rows = (line.split(" ") for line in text.splitlines())
    return [Mount(*(_ESCAPE.sub(_unescaped, word) for word in row[:3])) for row in rows if len(row) > 3]  # noqa: PLR2004


def parse_types(text: str) -> frozenset[str]:
    """The types in /proc/filesystems whose data is in this guest and costs nobody else to ask for."""
    rows = (line.split("\t") for line in text.splitlines())
    on_device = frozenset(name for nodev, name in rows if not nodev)
    return (on_device | LOCAL_WITHOUT_DEVICE) - LEFT_ALONE


def choose(mounts: list[Mount], local: frozenset[str]) -> Iterator[Mount]:
    """Each filesystem once, those on devices first: a thousand containers' tmpfs must not crowd out the disks."""
    # A later mount hides an earlier one at its place.
    topmost = {m.mountpoint: m for m in mounts if not m.mountpoint.startswith(KERNELS_OWN)}
    seen: set[str] = set()
    for mount in sorted(topmost.values(), key=lambda mount: not mount.device.startswith("/")):
        # A device is one filesystem wherever it is mounted; "tmpfs" is only a word, and each mount its own.
        identity = mount.device if mount.device.startswith("/") else mount.mountpoint
        is_root = mount.mountpoint == "/" and mount.fstype == "overlay"  # a live system's or container's disk
        if (mount.fstype in local or is_root) and identity not in seen:
            seen.add(identity)
            yield mount


def measure(mount: Mount, statvfs: Callable[[str], os.statvfs_result]) -> Filesystem | None:
    """What statvfs says, or `None` if it says nothing of use: no access, no size, or numbers that cannot be."""
    try:
        found = statvfs(mount.mountpoint)
    except OSError:
        return None
    size, free, available = (n * found.f_frsize for n in (found.f_blocks, found.f_bfree, found.f_bavail))
    if not 0 < size <= _LARGEST or not 0 <= free <= size or not 0 <= available <= size:
        return None
    has_files = 0 <= found.f_ffree <= found.f_files <= _LARGEST and found.f_files > 0  # vfat and btrfs have none
    return Filesystem(
        mountpoint=mount.mountpoint,
        device=mount.device,
        fstype=mount.fstype,
        size_bytes=size,
        free_bytes=free,
        available_bytes=available,
        files=found.f_files if has_files else None,
        files_free=found.f_ffree if has_files else None,
        is_read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match.group(1), 8))
