"""The machine's numbers, and what its kernel says of each domain's process."""

from hostd.hypervisor import Hypervisor
from hostd.model import changes
from hostd.store import Store


class Machine:
    """The host as libvirt counts it."""

    def __init__(self, store: Store, hypervisor: Hypervisor) -> None:
        self._store = store
        self._hypervisor = hypervisor

    async def collect(self) -> None:
        """Once."""
        self._store.tell(changes.HostSampled(host=await self._hypervisor.sample_host()))


class Processes:
    """The domains' processes as the kernel counts them: what is still known of a domain that does not answer."""

    def __init__(self, store: Store, hypervisor: Hypervisor) -> None:
        self._store = store
        self._hypervisor = hypervisor

    async def collect(self) -> None:
        """Once."""
        names = {uuid: domain.name for uuid, domain in self._store.world.domains.items() if domain.is_active}
        processes = await self._hypervisor.sample_processes(names)
        self._store.tell(changes.ProcessesSampled(processes=processes))
