"""Renders each World ahead of the scrape, so that a scrape finds it done.

One for each connection. A World that came while another was rendered waits; if a newer one comes, it is passed over.
"""

import asyncio
from typing import NoReturn

from hostd.exposition import Exposition
from hostd.store import Store


async def keep(store: Store, exposition: Exposition) -> NoReturn:
    """Run for ever: bring `exposition` up to date with `store`, in a thread."""
    worlds = store.worlds()
    while True:
        await asyncio.to_thread(exposition.update, await anext(worlds))
