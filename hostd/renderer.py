"""Renders each World ahead of the scrape, so that a scrape finds it done.

One for each connection. A World that came while another was rendered, or shortly after, waits; if a newer one comes,
it is passed over: with a thousand guests there are hundreds a second, and handing each to a thread costs more than
rendering what is new in it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from hostd.exposition import Exposition
from hostd.store import Store

REST_SECONDS = 0.025  # what happened is on the page so much later at the most, and seldom: the first goes at once


async def rest() -> None:
    """Let more Worlds come."""
    await asyncio.sleep(REST_SECONDS)


async def keep(store: Store, exposition: Exposition, rest: Callable[[], Awaitable[object]] = rest) -> NoReturn:
    """Run for ever: bring `exposition` up to date with `store`, in a thread, with a `rest` after each time."""
    worlds = store.worlds()
    while True:
        await asyncio.to_thread(exposition.update, await anext(worlds))
        await rest()
