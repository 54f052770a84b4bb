"""Memory as this guest's kernel accounts for it (proc(5), /proc/meminfo)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.messages import Memory

if TYPE_CHECKING:
    from pathlib import Path

_UNIT_BYTES = 1024  # the file says kB and means KiB


def read(root: Path) -> dict[str, Any]:
    """`memory`."""
    return {"memory": parse((root / "proc/meminfo").read_text(encoding="ascii"))}


def parse(text: str) -> Memory:
    """The few lines that matter; `MemAvailable` is missing before Linux 3.14."""
    rows = (line.partition(":") for line in text.splitlines())
    sizes = {name: int(rest.split()[0]) * _UNIT_BYTES for name, _, rest in rows if rest.endswith(" kB")}
    return Memory(
        total_bytes=sizes["MemTotal"],
        free_bytes=sizes["MemFree"],
        available_bytes=sizes.get("MemAvailable"),
        buffers_bytes=sizes.get("Buffers"),
        cached_bytes=sizes.get("Cached"),
        swap_total_bytes=sizes.get("SwapTotal"),
        swap_free_bytes=sizes.get("SwapFree"),
    )
