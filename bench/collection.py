"""One full collection of all domains, hostd's way, beside one plain bulk call for the same numbers.

The bulk call asks QEMU after QEMU, and one that hangs holds up all; hostd asks each domain by itself, several
at once. Both in this process, by turns, each over connections that are open already. Ours goes all the way into
the World; theirs ends with libvirt's parameters.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import libvirt

from bench.outcome import Outcome, Reading, Unit, ratio
from bench.stage import Stage
from bench.timing import alternately
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.model import changes
from hostd.model.host import Connection
from hostd.model.world import World
from hostd.sampler.domains import Domains
from hostd.settings import ConnectionSettings, SamplingSettings, StorageSettings
from hostd.store import Store
from tests.lab.guest import AGENT_CHANNEL
from tests.lab.progress import step

ROUNDS = 21
GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
_ACTIVE = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE


def measure(stage: Stage) -> Outcome:
    """Wall time of a collection, as a share of the bulk call's."""
    uri = stage.libvirtd.uri
    bulk = libvirt.openReadOnly(uri)
    with step("collecting all domains by turns", about_seconds=20), our_collection(uri) as (collect, answered):
        ours, theirs = alternately(ROUNDS, collect, lambda: bulk.getAllDomainStats(GROUPS, _ACTIVE))
        count = answered()
    bulk.close()
    measured = Reading(value=median(ours), unit=Unit.SECONDS, of=f"for {count} domains")
    beside = Reading(value=median(theirs), unit=Unit.SECONDS, of="bulk getAllDomainStats")
    return Outcome(measured=measured, beside=beside, judged=ratio(measured, beside), holds=count == stage.domains)


@contextmanager
def our_collection(uri: str) -> Iterator[tuple[Callable[[], None], Callable[[], int]]]:
    """A collection as a plain call, and how many domains answered: all that is known here of hostd's insides.

    The event loop is the same at every call, and stands still in between.
    """
    connection = ConnectionSettings(uri=uri)
    store = Store(World(connection=Connection(uri=uri)))
    sampling = SamplingSettings()
    hypervisor = LibvirtAdapter(connection, channel_name=AGENT_CHANNEL, sampling=sampling, storage=StorageSettings())
    domains = Domains(store, hypervisor, sampling, at_once=connection.domains_at_once)
    with asyncio.Runner() as runner:
        runner.run(_connect(store, hypervisor))
        try:
            yield lambda: runner.run(domains.collect()), lambda: _answered(store.world)
        finally:
            runner.run(hypervisor.close())


async def _connect(store: Store, hypervisor: LibvirtAdapter) -> None:
    store.tell(changes.HypervisorConnected(facts=await hypervisor.connect(lambda _notice: None)))
    store.tell(changes.DomainsListed(domains=await hypervisor.list_domains()))


def _answered(world: World) -> int:
    return sum(domain.stats is not None and bool(domain.stats.blocks) for domain in world.domains.values())
