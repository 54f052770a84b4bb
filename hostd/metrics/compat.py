"""Other exporters' families, for dashboards that know those: off unless `exposition.compat` names the exporter.

Only what they call otherwise than we do: a family that we have under their very name stays ours, with our labels, and
gets those of theirs on top that it lacks (`WIDER`). Names, labels, units and types are theirs, also where we would not
have chosen them. They know a domain by its name alone, so these are tables of the World that walk all domains, and are
rendered anew whenever any domain changes: the price of the switch. To add a family: one row, and what differs;
packaging/peers.toml has all that the peers export.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hostd.labels import PRESETS, names_of
from hostd.metrics.peer import Family, Items, family, of_disk, of_domain, of_domains, of_limits, of_pool
from hostd.metrics.row import Scope
from hostd.model.details import JOB_KINDS
from hostd.model.domain import Domain, DomainFacts
from hostd.model.host import ConnectionFacts
from hostd.model.stats import DomainState
from hostd.model.world import World

NUMBERS = {state: number for number, state in enumerate(DomainState)}
"""Libvirt's numbers of the states, which are declared in that order."""

INOVEX_STATES = {
    DomainState.NOSTATE: "no state",
    DomainState.RUNNING: "the domain is running",
    DomainState.BLOCKED: "the domain is blocked on resource",
    DomainState.PAUSED: "the domain is paused by user",
    DomainState.SHUTDOWN: "the domain is being shut down",
    DomainState.SHUTOFF: "the domain is shut off",
    DomainState.CRASHED: "the domain is crashed",
    DomainState.PMSUSPENDED: "the domain is suspended by guest power management",
}
"""How inovex's exporter puts the states."""


def _used_percent(domain: Domain) -> Items:
    balloon = domain.stats.balloon if domain.stats else None
    if balloon and balloon.available_bytes and balloon.usable_bytes is not None:
        yield (), (balloon.available_bytes - balloon.usable_bytes) / balloon.available_bytes * 100


def _vstate(domain: Domain) -> Items:
    yield (), NUMBERS[domain.facts.state]


def _state(domain: Domain) -> Items:
    yield (INOVEX_STATES[domain.facts.state],), NUMBERS[domain.facts.state]


def _timed_out(domain: Domain) -> Items:
    if domain.is_responsive is not None:
        yield (), int(not domain.is_responsive)


def _nova(domain: Domain) -> Items:
    names = names_of(PRESETS["nova"])
    nova = dict(zip(names, domain.facts.managers.get("nova", ("",) * len(names)), strict=True))
    wanted = ("instance_name", "flavor_name", "user_name", "user_id", "project_name", "project_id")
    yield (domain.uuid, *(nova[name] for name in (*wanted, "root_type", "root_id"))), 1


def _disks(domain: Domain) -> Items:
    for disk in domain.facts.hardware.disks:
        source = (disk.source_file or disk.source_name, disk.serial)
        yield (disk.device, *source, disk.bus, disk.source_type, disk.driver_type, disk.cache, disk.discard), 1


def _interfaces(domain: Domain) -> Items:
    for interface in domain.facts.hardware.interfaces:
        yield (interface.source_bridge, interface.device, interface.virtual_interface), 1


def _job_kind(domain: Domain) -> Items:
    job = domain.details.job if domain.details else None
    if job is not None and job.kind in JOB_KINDS:
        yield (), JOB_KINDS.index(job.kind)


def _versions(facts: ConnectionFacts) -> Items:
    yield (facts.hypervisor_version or "", facts.libvirt_version, facts.library_version), 1


_RENAMED = "the name"
_MEMORY = "libvirt_domain_memory_stats"
_BLOCK = "libvirt_domain_block_stats"
_IOTUNE = "libvirt_domain_block_iotune"
_POOL = "libvirt_storage_pool"

BOTH: tuple[Family, ...] = (
    of_domain(
        "libvirt_domain_info_maximum_memory_bytes",
        f"{_MEMORY}_maximum_bytes",
        "there also while the domain does not run or answer",
        "facts.memory_maximum_bytes",
    ),
    of_domain(
        "libvirt_domain_info_memory_usage_bytes",
        f"{_MEMORY}_current_balloon_bytes",
        "the name, which is wrong: it is what the domain has, not what it uses",
        "stats.balloon.current_bytes",
    ),
    of_domain("libvirt_domain_info_virtual_cpus", "libvirt_domain_vcpu_current", _RENAMED, "stats.vcpus_current"),
    of_domains(
        f"{_MEMORY}_used_percent",
        f"{_MEMORY}_usable_bytes",
        "the share that is not usable of what is available, of 100",
        (),
        _used_percent,
    ),
)
"""What several have under one name."""

LIMITS: tuple[Family, ...] = of_limits(
    (
        *(
            (f"{_BLOCK}_{name.format(operation)}", f"{_IOTUNE}_{operation}_{ours}", f"{operation}_{path}")
            for operation in ("total", "write", "read")
            for name, ours, path in (
                ("limit_{}_bytes", "bytes_per_second", "bytes_per_second"),
                ("limit_{}_requests", "requests_per_second", "requests_per_second"),
                ("limit_burst_{}_bytes", "burst_bytes_per_second", "burst_bytes_per_second"),
                ("limit_burst_{}_requests", "burst_requests_per_second", "burst_requests_per_second"),
                ("limit_burst_{}_bytes_length_seconds", "burst_bytes_length_seconds", "burst_bytes_seconds"),
                ("limit_burst_length_{}_requests_seconds", "burst_requests_length_seconds", "burst_requests_seconds"),
            )
        ),
        (f"{_BLOCK}_size_iops_bytes", f"{_IOTUNE}_request_bytes", "request_bytes"),
    )
)
"""Of Tinkoff's, all that libvirt can limit a disk in."""

TINKOFF: tuple[Family, ...] = (
    *BOTH,
    of_domains(
        "libvirt_domain_info_vstate",
        "libvirt_domain_state",
        "one series with the number of the state (1 is running, 5 shut off)",
        (),
        _vstate,
    ),
    of_domains(
        "libvirt_domain_info_meta",
        "libvirt_domain_openstack_info",
        "there for every domain, with empty labels where Nova wrote nothing",
        (
            *("uuid", "instance_name", "flavor", "user_name", "user_uuid"),
            *("project_name", "project_uuid", "root_type", "root_uuid"),
        ),
        _nova,
    ),
    of_domain(
        f"{_MEMORY}_actual_balloon_bytes", f"{_MEMORY}_current_balloon_bytes", _RENAMED, "stats.balloon.current_bytes"
    ),
    of_domain(
        f"{_MEMORY}_disk_cache_bytes", f"{_MEMORY}_disk_caches_bytes", _RENAMED, "stats.balloon.disk_caches_bytes"
    ),
    of_disk(f"{_BLOCK}_allocation", f"{_BLOCK}_allocation_bytes", _RENAMED, "allocation_bytes"),
    of_disk(f"{_BLOCK}_physicalsize_bytes", f"{_BLOCK}_physical_bytes", _RENAMED, "physical_bytes"),
    of_domains(
        "libvirt_domain_block_meta",
        f"{_BLOCK}_info",
        "names of labels; source_file also has the name of an image on the network",
        ("target_device", "source_file", "serial", "bus", "disk_type", "driver_type", "cache", "discard"),
        _disks,
    ),
    of_domains(
        "libvirt_domain_interface_meta",
        "libvirt_domain_interface_stats_info",
        "fewer labels",
        ("source_bridge", "target_device", "virtual_interface"),
        _interfaces,
    ),
    *(
        of_pool(f"libvirt_pool_info_{what}_bytes", f"{_POOL}_{what}_bytes", "the name of the label", "pool", value)
        for what, value in (
            ("capacity", lambda pool: pool.capacity_bytes),
            ("allocation", lambda pool: pool.allocation_bytes),
            ("available", lambda pool: pool.available_bytes),
        )
    ),
    *LIMITS,
    family(
        "libvirt_versions_info",
        "libvirt_connection_info",
        "libvirt_library, the version of the library that hostd speaks by, is only there",
        labels=("hypervisor_running", "libvirtd_running", "libvirt_library"),
        part=lambda w: w.connection.facts,
        items=_versions,
    ),
)

INOVEX: tuple[Family, ...] = (
    *BOTH,
    of_domains("libvirt_domain_timed_out", "hostd_domain_responsive", "1 if the domain did not answer", (), _timed_out),
    of_domains(
        "libvirt_domain_info_state",
        "libvirt_domain_state",
        "one series with the number of the state, and its words in a label that changes with it",
        ("state_desc",),
        _state,
    ),
    of_domains(
        "libvirt_domain_job_info_type",
        "libvirt_domain_job_info",
        "the number of the job's kind: 1 if it knows its end, 2 if not, and 0 while none runs",
        (),
        _job_kind,
    ),
    of_pool(
        f"{_POOL}_timed_out",
        "hostd_storage_pool_responsive",
        "1 if the pool did not answer",
        "storage_pool",
        lambda pool: int(not pool.is_responsive),
    ),
)

PEERS: Mapping[str, tuple[Family, ...]] = {"tinkoff": TINKOFF, "inovex": INOVEX}
"""What each adds, by its name in `exposition.compat`."""


@dataclass(frozen=True, slots=True)
class Wider:
    """A family of ours that a peer has with further labels, which say again what its series say already."""

    name: str
    labels: tuple[str, ...]
    values: Callable[[DomainFacts], tuple[str, ...]]


WIDER: Mapping[str, tuple[Wider, ...]] = {
    "tinkoff": (),
    "inovex": (
        Wider(
            "libvirt_domain_info",
            ("os_type_arch", "os_type_machine"),
            lambda facts: (facts.architecture or "", facts.machine or ""),
        ),
        Wider("libvirt_domain_openstack_info", ("instance_id",), lambda facts: (facts.uuid,)),
    ),
}
"""By the peer: families that are made of a domain's facts alone."""


def widened(scopes: Iterable[Scope[Domain, Any, Any]], peers: Iterable[str]) -> tuple[Scope[Domain, Any, Any], ...]:
    """These scopes, with the further labels that the peers want on them."""
    wider = {each.name: each for peer in peers for each in WIDER[peer]}
    return tuple(
        _wide(scope, wider[scope.metrics[0].name]) if scope.metrics[0].name in wider else scope for scope in scopes
    )


def _wide(scope: Scope[Domain, Any, Any], wider: Wider) -> Scope[Domain, Any, Any]:
    def items(facts: DomainFacts) -> Iterable[tuple[tuple[str, ...], Any]]:
        more = wider.values(facts)
        for values, item in scope.items(scope.part(Domain(facts=facts))):
            yield (*values, *more), item

    def part(domain: Domain) -> DomainFacts | None:
        return None if scope.part(domain) is None else domain.facts

    return Scope((*(scope.labels or ()), *wider.labels), part, items, scope.metrics)


def scopes_of(peers: Iterable[str]) -> tuple[Scope[World, Any, Any], ...]:
    """The scopes that these peers add, those of several once."""
    return tuple(dict.fromkeys(each.scope for peer in peers for each in PEERS[peer]))
