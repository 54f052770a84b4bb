"""The renderer: what a store knows is rendered before anybody asks."""

import asyncio
import threading

from prometheus_client import CollectorRegistry

from hostd import renderer
from hostd.exposition import Exposition
from hostd.model import changes
from hostd.model.world import World
from hostd.store import Store
from tests.support.builders import UUID, facts, world
from tests.support.running import running


class Recording(Exposition):
    """Remembers each World; one takes as long as the test wants."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())
        self.seen: asyncio.Queue[World] = asyncio.Queue()
        self.is_free = threading.Event()
        self.is_free.set()
        self._loop = asyncio.get_running_loop()

    def update(self, world: World) -> None:
        self._loop.call_soon_threadsafe(self.seen.put_nowait, world)
        self.is_free.wait()
        super().update(world)


async def test_each_world_is_rendered_as_it_comes() -> None:
    store, exposition = Store(world()), Recording()
    async with running(renderer.keep(store, exposition)):
        assert await exposition.seen.get() is store.world
        store.tell(changes.DomainDescribed(facts=facts()))
        assert await exposition.seen.get() is store.world


async def test_worlds_that_came_while_one_was_rendered_are_passed_over_for_the_newest() -> None:
    store, exposition = Store(world()), Recording()
    exposition.is_free.clear()
    async with running(renderer.keep(store, exposition)):
        await exposition.seen.get()
        for name in ("a", "b", "c"):
            store.tell(changes.DomainDescribed(facts=facts(name=name)))
        exposition.is_free.set()
        assert (await exposition.seen.get()).domains[UUID].name == "c"
        assert exposition.seen.empty()


async def test_worlds_that_come_soon_after_one_was_rendered_are_passed_over_for_the_newest() -> None:
    store, exposition, is_rested = Store(world()), Recording(), asyncio.Event()
    async with running(renderer.keep(store, exposition, is_rested.wait)):
        await exposition.seen.get()
        for name in ("a", "b", "c"):
            store.tell(changes.DomainDescribed(facts=facts(name=name)))
            await asyncio.sleep(0)
        is_rested.set()
        assert (await exposition.seen.get()).domains[UUID].name == "c"
        assert exposition.seen.empty()
