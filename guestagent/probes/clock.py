"""What time it is here, by the clock that people set: the host tells only its distance from its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read(_root: Path) -> dict[str, Any]:
    """`time_seconds`, since 1970; a clock set to before that is no time at all to the wire."""
    return {"time_seconds": time.time()}
