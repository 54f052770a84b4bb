"""Who this guest is: read once, for the greeting. Each value may be missing, and is only ever a claim to the host."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ESCAPE = re.compile(r"\\(.)")


def boot_id(root: Path) -> str | None:
    """The kernel's random name for this boot: changes with a reboot, not with a restart of the agent."""
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def os_name(root: Path) -> str | None:
    """The distribution as it calls itself to people (os-release(5))."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        try:
            return parse_os_release((root / path).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return None


def parse_os_release(text: str) -> str | None:
    """`PRETTY_NAME`; the file is a shell's, so the value may be quoted and escaped, and the last one counts."""
    name = None
    for line in text.splitlines():
        key, _, value = line.strip().partition("=")
        if key == "PRETTY_NAME":
            name = value.strip("\"'")
    return _ESCAPE.sub(r"\1", name) if name else None


def kernel_release() -> str:
    """As `uname -r`."""
    return os.uname().release


def machine() -> str:
    """As `uname -m`."""
    return os.uname().machine


def hostname() -> str:
    """As `uname -n`."""
    return os.uname().nodename
