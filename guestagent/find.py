"""Where a virtio port of a given name is: udev's link if there is one, else what the kernel says in sysfs.

Numbers (`vport0p2`) change across boots and hot-plugs, so only the name counts: of a link, too, for a moment after a
port was unplugged and another got its number. A fresh port's node appears some 20 ms before its name does (the name
comes with a later control message), so "not found" is only ever "not yet". A virtio console's port never has a name,
and is none for us.
"""

from __future__ import annotations

from pathlib import Path

DEV = Path("/dev")
SYS = Path("/sys")


def by_name(name: str, *, dev: Path = DEV, sys: Path = SYS) -> Path | None:
    """The node of the port called `name`, or `None` while there is none."""
    if not name:
        return None
    link = dev / "virtio-ports" / name  # made by systemd's 50-udev-default.rules; small images lack it
    if "/" not in name and link.exists() and _is_called(name, _entry(link, sys)):
        return link
    for entry in sorted((sys / "class" / "virtio-ports").glob("*")):
        node = dev / entry.name
        if _name_of(entry) == name and node.exists():
            return node
    return None


def name_at(node: Path, *, sys: Path = SYS) -> str:
    """What the port at `node` is called: as the kernel has it, or else as the last part of its path says."""
    return _name_of(_entry(node, sys)) or node.name


def is_virtio(path: Path, *, sys: Path = SYS) -> bool:
    """Whether the node at `path` is a virtio port: not a tty, though both are character devices."""
    return _entry(path, sys).exists()


def _is_called(name: str, entry: Path) -> bool:
    """Without sysfs, as in some containers, udev's word is all there is."""
    return not entry.exists() or _name_of(entry) == name


def _entry(node: Path, sys: Path) -> Path:
    return sys / "class" / "virtio-ports" / node.resolve().name


def _name_of(entry: Path) -> str | None:
    try:
        return (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # not named yet, or unplugged as we looked
        return None
