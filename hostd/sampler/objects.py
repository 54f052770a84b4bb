"""Networks and the counts of other objects, each asked by itself: libvirt has a driver of its own for each kind."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from hostd.hypervisor import Hypervisor, HypervisorError, TimedOut, Unavailable
from hostd.model import changes
from hostd.model.objects import Countable, Network, Objects
from hostd.store import Store

T = TypeVar("T")

LIST = "networks"  # the question which there are, beside their own by UUID
MOST_SILENT = 2  # each may hold a worker of libvirtd's; past that, who is not one of them is left alone

_log = logging.getLogger(__name__)


class OtherObjects:
    """All that is neither a domain nor storage."""

    def __init__(self, store: Store, hypervisor: Hypervisor) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._silent: set[str] = set()  # what did not answer in time when last asked

    async def collect(self) -> None:
        """Once. What fails is not known; the first failure is told, but for a network's, which is logged."""
        failures: list[HypervisorError] = []
        networks = await self._networks(failures)
        counts = {
            what: count
            for what in Countable
            if (count := await self._try(what.value, partial(self._hypervisor.count, what), failures)) is not None
        }
        self._store.tell(changes.ObjectsSampled(objects=Objects(networks=networks, counts=counts)))
        if failures:
            raise failures[0]

    async def _networks(self, failures: list[HypervisorError]) -> Mapping[str, Network]:
        """When not even the list can be had, none is responsive."""
        known = self._store.world.objects.networks
        names = await self._try(LIST, self._hypervisor.list_networks, failures)
        if names is None:
            return {uuid: _unresponsive(uuid, network.name) for uuid, network in known.items()}
        self._silent &= {LIST, *names, *(what.value for what in Countable)}
        asked = {uuid: await self._network(uuid, name, known.get(uuid)) for uuid, name in names.items()}
        return {uuid: network for uuid, network in asked.items() if network is not None}

    async def _network(self, uuid: str, name: str, known: Network | None) -> Network | None:
        if self._is_left_alone(uuid):
            return Network(uuid=uuid, name=name, is_responsive=None)
        failures: list[HypervisorError] = []
        network = await self._try(uuid, partial(self._hypervisor.sample_network, uuid), failures)
        if network is not None or not failures:
            return network
        if known is None or known.is_responsive is not False:  # once, not once a round
            _log.warning("network %r: %s", name, failures[0])
        return _unresponsive(uuid, name)

    def _is_left_alone(self, key: str) -> bool:
        return key != LIST and key not in self._silent and len(self._silent) >= MOST_SILENT

    async def _try(self, key: str, question: Callable[[], Awaitable[T]], failures: list[HypervisorError]) -> T | None:
        """The answer, or None and why there is none."""
        if self._is_left_alone(key):
            failures.append(TimedOut(f"{key}: left alone while others do not answer"))
            return None
        self._silent.discard(key)
        try:
            return await question()
        except Unavailable:
            raise
        except TimedOut as error:
            self._silent.add(key)
            failures.append(error)
        except HypervisorError as error:
            failures.append(error)
        return None


def _unresponsive(uuid: str, name: str) -> Network:
    return Network(uuid=uuid, name=name, is_responsive=False)
