"""The one place where the lab and the tests wait for something.

Conditions in the lab live in other processes (a guest's kernel, a libvirt, a Prometheus) that tell nobody
when they become true, so they are asked again and again. Deadlines are generous: they end what is broken,
they do not measure; a test that measures takes its own times.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class WaitedInVainError(AssertionError):
    """A condition did not come true in time. The message says which, and what was seen last."""


def wait_for(
    what: str,
    look: Callable[[], T | None],
    *,
    deadline: float,
    interval: float = 0.05,
    evidence: Callable[[], str] = str,
) -> T:
    """Look until there is something true to return; else fail, naming what was awaited, with the evidence."""
    end = time.monotonic() + deadline
    while not (seen := look()):
        if time.monotonic() > end:
            raise WaitedInVainError(f"after {deadline:g} s still not: {what}\n{evidence()}".rstrip())
        pause(interval)
    return seen


def pause(seconds: float) -> None:
    """Let time pass: between two looks at the same thing, or two drawings of the same table."""
    time.sleep(seconds)  # noqa: TID251 - the only one: see the module's docstring
