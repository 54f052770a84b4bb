"""Where services meet: the one World of the moment, and a way to wait for the next.

Lives on the event loop alone. A reader that is slow sees fewer Worlds, never a queue of old ones, so nobody can make
another wait or memory grow.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from hostd.model.changes import Change
from hostd.model.world import World

Kinds = tuple[type[Change], ...]


class Store:
    """The World as it is now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changed: dict[Kinds, asyncio.Event] = {}  # by what has to happen; whoever waits makes it

    @property
    def world(self) -> World:
        """All that is known now."""
        return self._world

    def tell(self, change: Change) -> None:
        """`change` happened; everybody who waits gets the World after it."""
        world = self._world.apply(change)
        if world is not self._world:
            self._world = world
            concerned = [kinds for kinds in self._changed if not kinds or type(change) in kinds]
            for kinds in concerned:
                self._changed.pop(kinds).set()

    async def worlds(self, *after: type[Change]) -> AsyncIterator[World]:
        """The World now, and then the newest each time it has changed: by one of these kinds of change, or by any."""
        while True:
            changed = self._next(after)
            yield self._world
            await changed.wait()

    async def until(self, is_so: Callable[[World], bool]) -> World:
        """The first World, this one included, of which `is_so` holds."""
        while not is_so(self._world):
            await self._next(()).wait()
        return self._world

    def _next(self, after: Kinds) -> asyncio.Event:
        """What is set at the next change of these kinds, or, with none, of any."""
        return self._changed.setdefault(after, asyncio.Event())
