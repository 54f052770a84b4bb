"""Run a service beside a test, and end it with the test; wait for what a thread does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

GENEROUS_SECONDS = 60.0  # how long a test waits for what must happen; it goes on at once when it has


@asynccontextmanager
async def running(*services: Coroutine[Any, Any, object]) -> AsyncIterator[tuple[asyncio.Task[object], ...]]:
    """The services as tasks while the body runs; one that fails fails the test, and so does a test that hangs."""
    async with asyncio.timeout(GENEROUS_SECONDS), asyncio.TaskGroup() as group:
        tasks = tuple(group.create_task(service) for service in services)
        yield tasks
        for task in tasks:
            task.cancel()


async def until(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    """Look until it is so, for what no event tells of; a test that waits in vain fails."""
    async with asyncio.timeout(GENEROUS_SECONDS):
        while not (seen if isinstance(seen := is_so(), bool) else await seen):  # noqa: ASYNC110 - threads set no Event
            await asyncio.sleep(0.001)
