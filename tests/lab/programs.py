"""Programs out of Debian packages that must not be installed: their files are unpacked into the cache.

Installing such a package starts a server on machines with systemd, which no test may do to somebody's machine.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.lab.cache import cached
from tests.lab.debian import Suite, unpack
from tests.lab.progress import step

_SUITE = "bookworm"


def unpacked(package: str, programs: Sequence[str]) -> Path:
    """Give the folder with a package's programs, from the cache or newly fetched."""

    def fetch(place: Path) -> None:
        with (
            step(f"fetching {package} from Debian", about_seconds=8),
            tempfile.TemporaryDirectory(prefix=".build-", dir=place.parent) as scratch,
        ):
            root = Path(scratch) / "unpacked"
            unpack([Suite(_SUITE, Path(scratch)).alone(package)], root)
            for program in programs:
                shutil.move(root / "usr/bin" / program, place / program)

    return cached(package, [_SUITE, *programs], fetch)
