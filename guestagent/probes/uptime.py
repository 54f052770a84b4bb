"""How long this guest has been up (proc(5), /proc/uptime)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read(root: Path) -> dict[str, Any]:
    """`uptime_seconds`."""
    return {"uptime_seconds": parse((root / "proc/uptime").read_text(encoding="ascii"))}


def parse(text: str) -> float:
    """Seconds since boot, those in suspend included."""
    return float(text.split(maxsplit=1)[0])
