# ruff: noqa: INP001 - a program, not a package
"""Builds ``guestagent.pyz``: the guest agent as one file that needs nothing but Python 3.9 or later.

It holds guestagent/, protocol/ and msgpack in pure Python, the last release of it that runs on 3.9. The
same sources give the same bytes: names are sorted and times are fixed, so that a guest image or a package
built of it changes only when the agent does. ``zipapp`` would write the files' own times, hence zipfile.
"""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = REPOSITORY / "guestagent.pyz"
MSGPACK = "msgpack==1.1.2"
MAIN = b"""\
import sys

if sys.argv[0].rpartition("/")[2] == "vm-dump-metrics":  # a link of that name to this file
    from guestagent.dump import main
else:
    from guestagent.__main__ import main

sys.exit(main())
"""


def main() -> None:
    """Build the file, unless it is already what it would become."""
    msgpack = fetch_msgpack(REPOSITORY / "build" / MSGPACK.replace("==", "-"))
    members = dict(sorted([("__main__.py", MAIN), *sources(REPOSITORY), *sources(msgpack)]))
    comment = digest(members)
    if TARGET.exists() and TARGET.read_bytes().endswith(comment):
        return
    draft = TARGET.with_suffix(".draft")
    write(draft, members, comment)
    draft.replace(TARGET)
    sys.stdout.write(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB, {len(members)} files\n")


def fetch_msgpack(folder: Path) -> Path:
    """Fetch msgpack once; its C extension stays out, for the file must run on any Python and processor."""
    if not (folder / "msgpack").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--no-compile", "--target", folder, MSGPACK], check=True)  # noqa: S603 - our words
    return folder


def sources(root: Path) -> Iterator[tuple[str, bytes]]:
    """Walk the Python sources of the packages that go in."""
    for package in ("guestagent", "protocol", "msgpack"):
        for path in root.glob(f"{package}/**/*.py"):
            yield str(path.relative_to(root)), path.read_bytes()


def digest(members: dict[str, bytes]) -> bytes:
    """Digest the contents; it ends the file, as the archive's comment."""
    total = hashlib.sha256(Path(__file__).read_bytes())
    for name, data in members.items():
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest().encode()


def write(path: Path, members: dict[str, bytes], comment: bytes) -> None:
    """Write an executable archive."""
    with path.open("wb") as out:
        out.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, data in members.items():
                info = zipfile.ZipInfo(name)  # dated 1980-01-01
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, data)
            archive.comment = comment
    path.chmod(0o755)


if __name__ == "__main__":
    main()
