"""A guest's disks as files in folders made like /dev and /sys, and the host that writes one."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from protocol import mdisk

if TYPE_CHECKING:
    from pathlib import Path

UUID = "00000002-2222-2222-2222-222222222222"


class Machine:
    """A guest that is nothing but folders."""

    def __init__(self, root: Path) -> None:
        self.dev, self.sys = root / "dev", root / "sys"
        self.dev.mkdir()
        (self.sys / "block").mkdir(parents=True)

    def disk(self, name: str, data: bytes, *, sectors: int | None = None) -> Path:
        """A disk with this at its beginning."""
        entry = self.sys / "block" / name
        entry.mkdir()
        entry.joinpath("size").write_text(f"{len(data) // 512 if sectors is None else sectors}\n")
        node = self.dev / name.replace("!", "/")
        node.parent.mkdir(exist_ok=True)
        node.write_bytes(data)
        return node

    def metrics_disk(self, content: bytes, *, name: str = "vdb", size: int = mdisk.DEFAULT_BYTES) -> Path:
        """A disk with this document on it."""
        node = self.disk(name, bytes(size))
        write(node, content)
        return node

    def is_called(self, uuid: str) -> None:
        """Its firmware tells this UUID."""
        place = self.sys / "class/dmi/id"
        place.mkdir(parents=True)
        (place / "product_uuid").write_text(uuid + "\n")


def write(node: Path, content: bytes, *, writes: int | None = None) -> None:
    """As a host does it, or the first of its writes alone."""
    for each in mdisk.updating(content, node.stat().st_size)[:writes]:
        put(node, each.offset, each.data)


def put(node: Path, offset: int, data: bytes) -> None:
    """Write these bytes there."""
    descriptor = os.open(node, os.O_WRONLY)
    os.pwrite(descriptor, data, offset)
    os.close(descriptor)


def header(*, busy: int = 0, sum_: int = 1, length: int = 0) -> bytes:
    """A disk that begins so."""
    return struct.pack(">4sIII", b"mvbd", busy, sum_, length).ljust(mdisk.STEP_BYTES, b"\0")
