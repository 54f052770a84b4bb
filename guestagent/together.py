"""Coroutines that live and die together: what `asyncio.TaskGroup` is for, which Python 3.9 does not have."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

INSIST_SECONDS = 1.0

_logger = logging.getLogger(__name__)


async def together(*parts: Coroutine[Any, Any, object]) -> None:
    """Run all of them until the first ends or fails; then end the others, and raise what went wrong, if anything."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(tasks)
    failures = [error for error in (_failure(task) for task in tasks) if error is not None]
    for error in (other for other in failures[1:] if type(other) is not type(failures[0])):
        _logger.error("failed at the same time as %r: %r", failures[0], error)
    if failures:
        raise failures[0]


async def _end(tasks: list[asyncio.Task[object]]) -> None:
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        # Before Python 3.12 `wait_for` may swallow a cancellation that meets its result: then it is said again.
        await asyncio.wait(pending, timeout=INSIST_SECONDS)


def _failure(task: asyncio.Task[object]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
