"""Run a service beside a test, and end it with the test."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
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
