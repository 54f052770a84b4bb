"""Where a virtio port of a given name is: udev's link if there is one, else what the kernel says in sysfs.

Numbers (`vport0p2`) change across boots and hot-plugs, so only the name counts. A fresh port's node appears some
20 ms before its name does (the name comes with a later control message), so "not found" is only ever "not yet".
"""

from __future__ import annotations

from pathlib import Path

DEV = Path("/dev")
SYS = Path("/sys")


def by_name(name: str, *, dev: Path = DEV, sys: Path = SYS) -> Path | None:
    """The node of the port called `name`, or `None` while there is none."""
    link = dev / "virtio-ports" / name  # made by systemd's 50-udev-default.rules; small images lack it
    if link.exists():
        return link
    for entry in sorted((sys / "class" / "virtio-ports").glob("*")):
        node = dev / entry.name
        if _name_of(entry) == name and node.exists():
            return node
    return None


def is_virtio(path: Path, *, sys: Path = SYS) -> bool:
    """Whether the node at `path` is a virtio port: not a tty, though both are character devices."""
    return (sys / "class" / "virtio-ports" / path.resolve().name).exists()


def _name_of(entry: Path) -> str | None:
    try:
        return (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # not named yet, or unplugged as we looked
        return None
