"""What a guest is told of its host: pure, from the World and what the operator lets it know."""

from dataclasses import replace

from hostd.model.stats import DomainStats
from hostd.model.world import World
from hostd.settings import SHAREABLE, GuestSettings
from protocol.messages import Metrics


def metrics_for(world: World, uuid: str, settings: GuestSettings, *, now: float) -> Metrics:
    """The host's metrics for the domain `uuid`; `now` is the host's clock, in seconds since 1970."""
    host, facts = world.host, world.connection.facts
    domain = world.domains.get(uuid)
    stats = None if domain is None else domain.stats
    known = Metrics(
        host_cpus=host.cpus,
        host_memory_total_bytes=host.memory_total_bytes,
        host_memory_free_bytes=host.memory_free_bytes,
        host_load1=host.load1,
        host_load5=host.load5,
        host_load15=host.load15,
        host_time_seconds=now,
        host_name=None if facts is None else facts.hostname,
        domain_cpu_time_seconds_total=None if stats is None else stats.cpu.time_seconds,
        domain_steal_seconds_total=None if stats is None else _steal(stats),
        domain_memory_limit_bytes=None if domain is None else domain.facts.memory_maximum_bytes,
    )
    shared = {*settings.share, *(["host_name"] if settings.share_host_name else [])}
    return replace(known, **dict.fromkeys(SHAREABLE - shared))


def _steal(stats: DomainStats) -> float | None:
    delays = [vcpu.delay_seconds for vcpu in stats.vcpus if vcpu.delay_seconds is not None]
    return sum(delays) if delays else None
