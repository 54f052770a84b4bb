"""What a person sees while a step takes its time: what it does, about how long, and how long it took.

On standard error, one line before and one after, so that standard output stays the result's alone.
"""

import contextlib
import sys
import time
from collections.abc import Iterator


@contextlib.contextmanager
def step(what: str, *, about_seconds: int) -> Iterator[None]:
    """Announce a step, and say how long it took once it is done."""
    tell(f"{what}, about {about_seconds} s …")
    started = time.monotonic()
    yield
    tell(f"{what}: done in {time.monotonic() - started:.1f} s")


def tell(line: str) -> None:
    """Print one line for the person who waits."""
    sys.stderr.write(f"lab: {line}\n")
