"""Measures whether the event loop is in time: what blocks it holds up every page, session and event at once."""

import asyncio
from typing import NoReturn

from hostd import telemetry

BEAT_SECONDS = 0.02  # a stall is seen up to so much shorter than it was


async def beat() -> NoReturn:
    """Run for ever."""
    loop = asyncio.get_running_loop()
    longest = 0.0
    while True:
        due = loop.time() + BEAT_SECONDS
        await asyncio.sleep(BEAT_SECONDS)
        late = loop.time() - due
        if late > longest:
            longest = late
            telemetry.LONGEST_STALL.set(late)
