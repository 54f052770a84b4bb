"""What a guest reads off a metrics disk."""

from pathlib import Path

from protocol import mdisk


def read(path: Path) -> bytes | None:
    """By the rules of readers; None if nothing may be believed."""
    with path.open("rb") as disk:
        before = mdisk.header_of(disk.read(mdisk.HEADER_BYTES))
        content = disk.read(before.length)
        disk.seek(0)
        after = mdisk.header_of(disk.read(mdisk.HEADER_BYTES))
    return content if mdisk.is_whole(before, after) else None


def header(path: Path) -> mdisk.Header:
    with path.open("rb") as disk:
        return mdisk.header_of(disk.read(mdisk.HEADER_BYTES))
