"""Coroutines that live and die together."""

from __future__ import annotations

import asyncio

import pytest

from guestagent import together as module
from guestagent.together import together
from tests.guestagent.host import soon


class Resting:
    """A coroutine that never ends by itself."""

    def __init__(self) -> None:
        self.was_ended = False

    async def rest(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.was_ended = True


async def nothing() -> None:
    await asyncio.sleep(0)


async def failing(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


async def test_when_one_ends_the_others_are_ended() -> None:
    other = Resting()
    await soon(together(nothing(), other.rest()))
    assert other.was_ended


async def test_when_one_fails_the_others_are_ended_and_it_is_raised() -> None:
    other = Resting()
    with pytest.raises(ValueError, match="mine"):
        await soon(together(other.rest(), failing(ValueError("mine"))))
    assert other.was_ended


async def test_one_that_fails_at_the_same_time_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="first"):
        await soon(together(failing(ValueError("first")), failing(KeyError("second"))))
    assert "KeyError('second')" in caplog.text


async def test_when_it_is_cancelled_all_are_ended() -> None:
    first, second = Resting(), Resting()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(together(first.rest(), second.rest()), name="together")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    assert first.was_ended
    assert second.was_ended
    assert task.cancelled()


async def test_one_that_swallows_its_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INSIST_SECONDS", 0.01)
    asked = 0

    async def deaf() -> None:
        nonlocal asked
        while asked < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asked += 1

    await soon(together(nothing(), deaf()))
    assert asked == 3
