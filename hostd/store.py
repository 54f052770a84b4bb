"""Where services meet: the one World of the moment, and a way to wait for the next.

Lives on the event loop alone. A reader that is slow sees fewer Worlds, never a queue of old ones, so nobody can make
another wait or memory grow.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from hostd.model.changes import Change
from hostd.model.world import World


class Store:
    """The World as it is now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changed = asyncio.Event()

    @property
    def world(self) -> World:
        """All that is known now."""
        return self._world

    def tell(self, change: Change) -> None:
        """`change` happened; everybody who waits gets the World after it."""
        world = self._world.apply(change)
        if world is not self._world:
            self._world = world
            self._changed.set()
            self._changed = asyncio.Event()

    async def worlds(self) -> AsyncIterator[World]:
        """The World now, and then the newest each time it has changed."""
        while True:
            changed = self._changed
            yield self._world
            await changed.wait()

    async def until(self, is_so: Callable[[World], bool]) -> World:
        """The first World, this one included, of which `is_so` holds."""
        while not is_so(self._world):
            await self._changed.wait()
        return self._world
