"""Programs for tests: real scripts in a folder that is their PATH."""

from pathlib import Path


def script(folder: Path, name: str, text: str) -> str:
    """A program of that name; the folder's name is where it may write."""
    path, written = folder / name, folder / f"{name}.written"
    written.write_text(f"#!/bin/sh\nhere='{folder}'\n{text}\n")
    written.chmod(0o755)
    return str(written.replace(path))  # at once, for who looks for it meanwhile


def names_in(folder: Path) -> list[str]:
    """What there is."""
    return sorted(path.name for path in folder.iterdir())
