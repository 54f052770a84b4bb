"""The store: one World, and a way to wait for the next."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hostd.model import changes
from hostd.model.world import World
from hostd.store import Store
from tests.support.builders import UUID, facts, unconnected, world

DESCRIBED = changes.DomainDescribed(facts=facts())


async def test_a_reader_gets_the_world_of_the_moment_first() -> None:
    store = Store(world())
    assert await anext(store.worlds()) is store.world


async def following(worlds: AsyncIterator[World]) -> World:
    return await anext(worlds)


async def test_a_reader_who_was_busy_gets_the_newest_world_and_none_between() -> None:
    store = Store(world())
    worlds = store.worlds()
    await anext(worlds)
    for name in ("a", "b", "c"):
        store.tell(changes.DomainDescribed(facts=facts(name=name)))
    newest = await anext(worlds)
    assert newest.domains[UUID].name == "c"
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(following(worlds))
        await asyncio.sleep(0)
        assert not waiting.done()
        store.tell(changes.DomainGone(uuid=UUID))
    assert waiting.result().domains == {}


async def test_every_reader_gets_the_next_world() -> None:
    store = Store(world())
    readers = [store.worlds() for _ in range(3)]
    for reader in readers:
        await anext(reader)
    store.tell(DESCRIBED)
    assert [await anext(reader) for reader in readers] == [store.world] * 3


async def test_a_change_that_changes_nothing_wakes_nobody() -> None:
    store = Store(world())
    worlds = store.worlds()
    await anext(worlds)
    store.tell(changes.DomainGone(uuid=UUID))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(worlds)


async def test_a_reader_of_some_kinds_of_change_sleeps_through_the_others() -> None:
    store = Store(world())
    worlds = store.worlds(changes.DomainDescribed, changes.DomainGone)
    await anext(worlds)
    store.tell(changes.HypervisorLost(why="away"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(worlds)
    worlds = store.worlds(changes.DomainDescribed, changes.DomainGone)
    assert await anext(worlds) is store.world
    store.tell(DESCRIBED)
    async with asyncio.timeout(0):
        assert await anext(worlds) is store.world


async def test_until_looks_at_the_present_world_first() -> None:
    store = Store(world())
    async with asyncio.timeout(0):
        assert await store.until(lambda w: w.connection.is_up) is store.world


async def test_until_waits_for_the_first_world_of_which_it_is_so() -> None:
    store = Store(unconnected())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(store.until(lambda w: UUID in w.domains))
        await asyncio.sleep(0)
        store.tell(changes.HypervisorLost(why="not yet"))
        await asyncio.sleep(0)
        assert not waiting.done()
        store.tell(DESCRIBED)
    assert waiting.result() is store.world
