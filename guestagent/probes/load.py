"""Load averages (proc(5), /proc/loadavg)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.messages import Load

if TYPE_CHECKING:
    from pathlib import Path


def read(root: Path) -> dict[str, Any]:
    """`load`."""
    return {"load": parse((root / "proc/loadavg").read_text(encoding="ascii"))}


def parse(text: str) -> Load:
    """The three averages."""
    load1, load5, load15 = (float(word) for word in text.split()[:3])
    return Load(load1=load1, load5=load5, load15=load15)
