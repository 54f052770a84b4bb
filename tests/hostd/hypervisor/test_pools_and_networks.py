"""Storage pools, networks and the rest over libvirt's test driver."""

import threading

import libvirt
import msgspec
import pytest

from hostd.hypervisor import (
    NoSuchPool,
    TimedOut,
)
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.model.objects import Countable, Network
from hostd.model.storage import PoolState
from hostd.settings import StorageSettings
from tests.support.testdriver import DEADLINE, Binding, adapter_of, ignore, refusing, unsupported


async def test_pools_are_listed_and_sampled(hypervisor: LibvirtAdapter) -> None:
    ((uuid, name),) = (await hypervisor.list_pools()).items()
    pool = await hypervisor.sample_pool(uuid)
    assert (pool.uuid, pool.name, name) == (uuid, "default-pool", "default-pool")
    assert (pool.state, pool.capacity_bytes, pool.volume_count) == (PoolState.RUNNING, 100 << 30, 0)
    assert pool.is_responsive


async def test_volumes_are_looked_at_only_where_that_is_wanted(operator: Binding) -> None:
    pool = operator.storagePoolLookupByName("default-pool")
    for name in ("b", "a", "c"):
        pool.createXML(f"<volume><name>{name}</name><capacity unit='MiB'>3</capacity></volume>")
    for storage, names in (
        (StorageSettings(), []),
        (StorageSettings(volumes=True), ["a", "b", "c"]),
        (StorageSettings(volumes=True, max_volumes_per_pool=2), ["a", "b"]),
    ):
        subject = adapter_of("test:///default", storage)
        await subject.connect(ignore)
        sampled = await subject.sample_pool(pool.UUIDString())
        assert [(volume.name, volume.capacity_bytes) for volume in sampled.volumes] == [(n, 3 << 20) for n in names]
        assert sampled.volume_count == 3
        await subject.close()


async def test_a_pool_that_is_not_there_is_no_such_pool(hypervisor: LibvirtAdapter) -> None:
    with pytest.raises(NoSuchPool, match=r"^sample_pool: "):
        await hypervisor.sample_pool("00000000-0000-4000-8000-000000000000")


async def test_a_driver_without_storage_has_no_pools(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virConnect, "listAllStoragePools", refusing(libvirt.VIR_ERR_NO_SUPPORT))
    assert await hypervisor.list_pools() == {}


async def test_networks_are_listed_and_sampled(hypervisor: LibvirtAdapter) -> None:
    ((uuid, name),) = (await hypervisor.list_networks()).items()
    assert name == "default"
    assert await hypervisor.sample_network(uuid) == Network(
        uuid=uuid, name="default", bridge="virbr0", is_active=True, is_persistent=True, is_autostart=False
    )


async def test_a_network_that_is_not_there_is_none(hypervisor: LibvirtAdapter) -> None:
    assert await hypervisor.sample_network("00000000-0000-4000-8000-000000000000") is None


async def test_what_the_driver_has_is_counted_and_what_it_has_not_is_not_known(hypervisor: LibvirtAdapter) -> None:
    counts = {what: await hypervisor.count(what) for what in Countable}
    devices = counts[Countable.NODE_DEVICES]
    assert devices is not None
    kinds = ("system", "scsi_host", "fc_host", "vports", "pci")
    assert [devices[kind] for kind in kinds] == [1, 3, 3, 2, 0]
    assert counts[Countable.INTERFACES] == {"active": 1, "inactive": 0}
    assert (counts[Countable.SECRETS], counts[Countable.NWFILTERS]) == (None, None)
    assert [unsupported(call) for call in ("secrets", "network_filters")] == [(0, 1)] * 2


async def test_a_network_that_hangs_holds_up_neither_another_nor_storage(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, lookup = threading.Event(), libvirt.virConnect.networkLookupByUUIDString

    def stuck(connection: Binding, uuid: str) -> Binding:
        go_on.wait(DEADLINE)
        return lookup(connection, uuid)

    ((uuid, _),) = (await hypervisor.list_networks()).items()
    monkeypatch.setattr(libvirt.virConnect, "networkLookupByUUIDString", stuck)
    settings = hypervisor._settings
    hypervisor._settings = msgspec.structs.replace(settings, deadline_seconds=0.1)
    try:
        for what in ("is stuck", "an earlier call has not returned"):
            with pytest.raises(TimedOut, match=what):
                await hypervisor.sample_network(uuid)
        hypervisor._settings = settings
        assert len(await hypervisor.list_pools()) == 1
        assert len(await hypervisor.list_networks()) == 1
    finally:
        go_on.set()
