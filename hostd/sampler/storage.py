"""Storage pools, each with a deadline of its own: a pool may lie on a server that is gone."""

import logging

from hostd.hypervisor import Hypervisor, HypervisorError, NoSuchPool, Unavailable
from hostd.model import changes
from hostd.model.storage import StoragePool
from hostd.store import Store

_log = logging.getLogger(__name__)


class Storage:
    """All pools, one after the other: libvirt itself lets one that hangs hold up the rest."""

    def __init__(self, store: Store, hypervisor: Hypervisor) -> None:
        self._store = store
        self._hypervisor = hypervisor

    async def collect(self) -> None:
        """Once. When not even the list can be had, no pool is responsive."""
        try:
            names = await self._hypervisor.list_pools()
        except HypervisorError:
            self._tell([_unresponsive(pool.uuid, pool.name) for pool in self._store.world.pools.values()])
            raise
        pools = [await self._pool(uuid, name) for uuid, name in names.items()]
        self._tell([pool for pool in pools if pool is not None])

    async def _pool(self, uuid: str, name: str) -> StoragePool | None:
        known = self._store.world.pools.get(uuid)
        try:
            return await self._hypervisor.sample_pool(uuid)
        except NoSuchPool:
            return None
        except Unavailable:
            raise
        except HypervisorError as error:
            if known is None or known.is_responsive:  # once, not once a round
                _log.warning("storage pool %r: %s", name, error)
            return _unresponsive(uuid, name)

    def _tell(self, pools: list[StoragePool]) -> None:
        self._store.tell(changes.StorageSampled(pools={pool.uuid: pool for pool in pools}))


def _unresponsive(uuid: str, name: str) -> StoragePool:
    return StoragePool(uuid=uuid, name=name, is_responsive=False)
