"""Collections of storage pools."""

import logging

import pytest

from hostd.hypervisor import CallFailed, HypervisorError, NoSuchPool, TimedOut, Unavailable
from hostd.model.storage import StoragePool
from hostd.sampler.storage import Storage
from hostd.store import Store
from tests.support.builders import world
from tests.support.hosts import POOL
from tests.support.hypervisor import FakeHypervisor

DEAD = StoragePool(uuid="44444444-4444-4444-8444-444444444444", name="nfs", capacity_bytes=1)


def collecting(*pools: StoragePool) -> tuple[Store, FakeHypervisor, Storage]:
    fake, store = FakeHypervisor(), Store(world(pools={}))
    fake.pools = {pool.uuid: pool for pool in pools}
    return store, fake, Storage(store, fake)


def unresponsive(pool: StoragePool) -> StoragePool:
    return StoragePool(uuid=pool.uuid, name=pool.name, is_responsive=False)


async def test_every_pool_is_sampled() -> None:
    store, _, subject = collecting(POOL, DEAD)
    await subject.collect()
    assert store.world.pools == {POOL.uuid: POOL, DEAD.uuid: DEAD}


@pytest.mark.parametrize("fault", [TimedOut("sample_pool: is stuck"), CallFailed("no such mount")])
async def test_a_pool_that_does_not_answer_loses_its_numbers_and_the_others_do_not(
    caplog: pytest.LogCaptureFixture, fault: HypervisorError
) -> None:
    store, fake, subject = collecting(DEAD, POOL)
    fake.faults[DEAD.uuid] = fault
    for _ in range(3):
        await subject.collect()
        assert store.world.pools == {DEAD.uuid: unresponsive(DEAD), POOL.uuid: POOL}
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"storage pool 'nfs': {fault}"]
    fake.faults.clear()
    await subject.collect()
    assert store.world.pools[DEAD.uuid] == DEAD


async def test_a_pool_that_was_deleted_meanwhile_is_not_there() -> None:
    store, fake, subject = collecting(DEAD, POOL)
    fake.faults[DEAD.uuid] = NoSuchPool("gone")
    await subject.collect()
    assert store.world.pools == {POOL.uuid: POOL}


async def test_when_not_even_the_list_can_be_had_no_pool_is_responsive() -> None:
    store, fake, subject = collecting(POOL)
    await subject.collect()
    fake.faults["list_pools"] = TimedOut("list_pools: is stuck")
    with pytest.raises(TimedOut):
        await subject.collect()
    assert store.world.pools == {POOL.uuid: unresponsive(POOL)}


async def test_a_connection_that_breaks_ends_the_collection() -> None:
    _, fake, subject = collecting(POOL, DEAD)
    fake.faults[POOL.uuid] = Unavailable("end of file")
    with pytest.raises(Unavailable):
        await subject.collect()
    assert fake.asked[DEAD.uuid] == 0
