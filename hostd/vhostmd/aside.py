"""Work that blocks, beside the event loop, each piece in a thread of its own.

Why not the standard executor: its two threads make pages, and at its end a process waits for it. A file server that is
dead may hold a thread for ever, so threads here are daemons, which a process does not wait for, and whoever begins one
begins no other before it has ended: that is their bound.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def begun(work: Callable[[], T], *, name: str) -> asyncio.Future[T]:
    """What `work` returns, once it does, whoever waits. What may go wrong in the world it has to return, not to raise.

    What it raises is a bug: it is printed where threads' errors are, and whoever waits gets a RuntimeError.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_perform, args=(work, loop, future), name=name, daemon=True).start()
    return future


def _perform(work: Callable[[], T], loop: asyncio.AbstractEventLoop, future: asyncio.Future[T]) -> None:
    outcome: list[T] = []
    try:
        outcome.append(work())
    finally:
        with suppress(RuntimeError):  # the loop has closed: nobody is left to hear
            loop.call_soon_threadsafe(_settle, future, outcome)


def _settle(future: asyncio.Future[T], outcome: list[T]) -> None:
    if future.done():
        return
    if outcome:
        future.set_result(outcome[0])
    else:
        future.set_exception(RuntimeError("work beside the event loop failed; its thread's traceback is above"))
