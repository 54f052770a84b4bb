"""The pulse: how long nobody was served is told."""

import asyncio

import pytest

from hostd import pulse, telemetry
from tests.support.running import running, until


async def test_a_loop_that_was_held_up_says_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    clock = loop.time
    skipped = 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + skipped)
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.001)
    async with running(pulse.beat()):
        await asyncio.sleep(0)
        skipped = 7.5  # as if the loop had not turned for so long
        await until(lambda: bool(telemetry.LONGEST_STALL._value.get() >= 7.0))
    assert telemetry.LONGEST_STALL._value.get() == pytest.approx(7.5, abs=0.5)
