"""Storage pools and their volumes. To add a metric here: one row. Names are inovex's, where it has them."""

from collections.abc import Iterable, Mapping
from typing import Any

from hostd.metrics.row import Metric, Scope, gauge
from hostd.model.storage import PoolState, StoragePool, Volume
from hostd.model.world import World

Pools = Mapping[str, StoragePool]

POOL: tuple[Metric[StoragePool], ...] = (
    gauge(
        "hostd_storage_pool_responsive",
        "1 if the pool answered when libvirt was last asked for it; 0 if it did not, and then it has no numbers.",
        "is_responsive",
    ),
    gauge("libvirt_storage_pool_capacity_bytes", "Size of the pool.", "capacity_bytes"),
    gauge("libvirt_storage_pool_allocation_bytes", "Space of the pool that volumes take up.", "allocation_bytes"),
    gauge("libvirt_storage_pool_available_bytes", "Space of the pool that is left.", "available_bytes"),
    gauge("libvirt_storage_pool_volumes", "Volumes of the pool.", "volume_count"),
)

STATE: tuple[Metric[float], ...] = (
    gauge("libvirt_storage_pool_state", "1 for the state that the pool is in, 0 for the others."),
)

VOLUME: tuple[Metric[Volume], ...] = (
    gauge("libvirt_storage_volume_capacity_bytes", "Size of the volume as its user sees it.", "capacity_bytes"),
    gauge("libvirt_storage_volume_allocation_bytes", "Space that the volume takes up.", "allocation_bytes"),
)


def _pools(pools: Pools) -> Iterable[tuple[tuple[str, ...], StoragePool]]:
    for pool in pools.values():
        yield (pool.name,), pool


def _states(pools: Pools) -> Iterable[tuple[tuple[str, ...], float]]:
    for pool in pools.values():
        for state in PoolState if pool.state else ():
            yield (pool.name, state.value), pool.state is state


def _volumes(pools: Pools) -> Iterable[tuple[tuple[str, ...], Volume]]:
    for pool in pools.values():
        for volume in pool.volumes:
            yield (pool.name, volume.name), volume


SCOPES: tuple[Scope[World, Any, Any], ...] = (
    Scope(("storage_pool",), lambda w: w.pools, _pools, POOL),
    Scope(("storage_pool", "state"), lambda w: w.pools, _states, STATE),
    Scope(("storage_pool", "volume"), lambda w: w.pools, _volumes, VOLUME),
)
