"""What libvirt is asked, each as a function of a connection that blocks: it runs in a thread of `calls`.

Any may raise `libvirt.libvirtError`; the adapter makes it one of ours.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import libvirt

from hostd import telemetry
from hostd.hypervisor import Answer, NoSuchDomain, decode, percall
from hostd.hypervisor.describe import Description, describe
from hostd.hypervisor.groups import Groups
from hostd.hypervisor.link import is_alive
from hostd.hypervisor.names import CONTROL_STATES, POOL_STATES, state_of
from hostd.hypervisor.selection import ALL_DEVICES, EVERYTHING, Devices, Selection
from hostd.hypervisor.support import Support
from hostd.labels import Rules
from hostd.model.domain import DomainFacts
from hostd.model.stats import Control, ControlState, Survey
from hostd.model.storage import StoragePool, Volume

_Binding: TypeAlias = Any  # libvirt's objects have no types

_log = logging.getLogger(__name__)

OCCUPIED_SECONDS = 1.0  # a monitor command that takes longer does not end soon

# Active ones only: for an inactive domain the BLOCK group opens its images, which may hang on a dead NFS server.
_ACTIVE = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
_NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT

_GONE = {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which domains are looked at, which devices of theirs, and what for."""

    channel_name: str = ""
    vhostmd_channel_name: str = ""
    serial_aliases: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    domains: Selection = EVERYTHING
    devices: Devices = ALL_DEVICES


def domains(connection: _Binding, wanted: Wanted) -> tuple[DomainFacts, ...]:
    """All domains; one that cannot be described is left out."""
    return tuple(_each_domain(connection, wanted))


def domain(connection: _Binding, uuid: str, wanted: Wanted) -> DomainFacts:
    """One domain; one that is passed over is not there."""
    each = connection.lookupByUUIDString(uuid)
    if not wanted.domains.has(each.name()):
        raise NoSuchDomain(f"describe: domain {uuid} is left out by connection.include or connection.exclude")
    return _facts(each, wanted)


def survey(connection: _Binding, support: Support, groups: Groups, wanted: Wanted) -> Mapping[str, Survey]:
    """All active domains, without speaking with any."""
    records = support.ask("bulk_stats", lambda: _bulk(connection, groups, wanted))
    if records is not None:
        return {each.UUIDString(): decode.survey(params, devices=groups.devices) for each, params in records}
    known = {}
    for each in _active(connection, wanted):
        try:
            state, reason = state_of(*each.state())
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _GONE:
                raise
            continue
        known[each.UUIDString()] = Survey(state=state, reason=reason)
    return known


def answer(
    connection: _Binding, each: _Binding, support: Support, groups: Groups, *, may_enter: bool, is_rare: bool
) -> Answer:
    """One domain's numbers, with `is_rare` all; none if its monitor is occupied or `may_enter` is not so."""
    control = _control(each, support)
    if not may_enter or (control is not None and _is_stuck(control)):
        return Answer(stats=None, control=control)
    # When somebody else is at the monitor, what needs it is left out rather than waited for.
    flags = _ACTIVE if control is None or control.state is ControlState.OK else _ACTIVE | _NOWAIT
    wanted = groups.rare if is_rare else groups.numbers
    records = support.ask("bulk_stats", lambda: connection.domainListGetStats([each], wanted, flags))
    if records is not None and not records:
        raise NoSuchDomain(f"ask: domain {each.UUIDString()} is not active")
    params = {} if records is None else records[0][1]
    if all(key.startswith("state.") for key in params):
        params = _call_by_call(each, support, groups)
    elif is_rare and "vcpu" in groups.names:
        params = {**params, **_places(connection, each, support)}
    stats = decode.domain_stats(params, kvm_stats=groups.kvm_stats, devices=groups.devices)
    return Answer(stats=stats, control=control)


def pools(connection: _Binding, support: Support) -> Mapping[str, str]:
    """All storage pools, UUID to name."""
    listed = support.ask("storage_pools", connection.listAllStoragePools)
    return {pool.UUIDString(): pool.name() for pool in listed or ()}


def pool(connection: _Binding, uuid: str, *, max_volumes: int) -> StoragePool:
    """One pool, with at most so many of its volumes: libvirt looks at each image for them, and that may hang."""
    each = connection.storagePoolLookupByUUIDString(uuid)
    state, capacity, allocation, available = each.info()
    is_active = bool(each.isActive())
    return StoragePool(
        uuid=uuid,
        name=each.name(),
        state=POOL_STATES[state] if 0 <= state < len(POOL_STATES) else None,
        capacity_bytes=capacity if is_active else None,
        allocation_bytes=allocation if is_active else None,
        available_bytes=available if is_active else None,
        volume_count=each.numOfVolumes() if is_active else None,
        volumes=tuple(_volumes(each, max_volumes)) if is_active and max_volumes else (),
    )


def _bulk(connection: _Binding, groups: Groups, wanted: Wanted) -> Sequence[tuple[_Binding, percall.Params]]:
    if wanted.domains.is_all:
        return connection.getAllDomainStats(groups.survey, _ACTIVE)  # type: ignore[no-any-return]
    some = _active(connection, wanted)
    return connection.domainListGetStats(some, groups.survey, _ACTIVE) if some else ()


def _active(connection: _Binding, wanted: Wanted) -> Sequence[_Binding]:
    listed = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    return [each for each in listed if wanted.domains.has(each.name())]


def _each_domain(connection: _Binding, wanted: Wanted) -> Iterator[DomainFacts]:
    for each in connection.listAllDomains():
        if not wanted.domains.has(each.name()):
            continue
        try:
            yield _facts(each, wanted)
        except libvirt.libvirtError as error:
            if error.get_error_code() in _GONE:  # gone between the list and the question
                continue
            if not is_alive(connection):
                raise
            _log.warning("domain %r is left out: %s", each.name(), error)  # it must not cost the others


def _facts(each: _Binding, wanted: Wanted) -> DomainFacts:
    state, reason = state_of(*each.state())
    description = _description(each, wanted)
    labels = description.labels
    telemetry.LABELS_CUT.inc(labels.cut)
    is_active = each.isActive()
    return DomainFacts(
        uuid=each.UUIDString(),
        name=each.name(),
        id=each.ID() if is_active else None,
        state=state,
        reason=reason,
        is_persistent=bool(each.isPersistent()),
        os_type=description.os_type,
        machine=description.machine,
        architecture=description.architecture,
        emulator=description.emulator,
        title=description.title,
        memory_maximum_bytes=description.memory_maximum_bytes,
        vcpus=description.vcpus,
        channel=description.channel if is_active else None,
        vhostmd_channel=description.vhostmd_channel if is_active else None,
        vsock_cid=description.vsock_cid if is_active else None,
        hardware=description.hardware,
        metadata=labels.metadata,
        promoted=labels.promoted,
        managers=labels.managers,
    )


def _description(each: _Binding, wanted: Wanted) -> Description:
    try:
        return describe(
            each.XMLDesc(),
            channel_name=wanted.channel_name,
            vhostmd_channel_name=wanted.vhostmd_channel_name,
            serial_aliases=wanted.serial_aliases,
            rules=wanted.rules,
            devices=wanted.devices,
        )
    except ValueError as error:
        _log.warning("domain %r: %s", each.name(), error)
        return Description()


def _control(each: _Binding, support: Support) -> Control | None:
    info = support.ask("control_info", each.controlInfo)
    if info is None:
        return None
    state, _details, milliseconds = info
    known = CONTROL_STATES[state] if 0 <= state < len(CONTROL_STATES) else ControlState.ERROR
    return Control(state=known, seconds=milliseconds / 1000)


def _is_stuck(control: Control) -> bool:
    is_occupied = control.state is ControlState.OCCUPIED and control.seconds >= OCCUPIED_SECONDS
    return is_occupied or control.state is ControlState.ERROR


def _places(connection: _Binding, each: _Binding, support: Support) -> percall.Params:
    """Libvirt reads them from /proc and speaks with nobody. That a domain cannot tell them costs it nothing else."""
    try:
        return support.ask("vcpus", lambda: percall.vcpu_places(each)) or {}
    except libvirt.libvirtError:
        if not is_alive(connection):
            raise
        return {}


def _call_by_call(each: _Binding, support: Support, groups: Groups) -> percall.Params:
    if not groups.names.intersection(percall.GROUPS):
        return {}
    description = _description(each, Wanted(devices=groups.devices))
    return percall.params_of(each, support, groups.names, disks=description.disks, interfaces=description.interfaces)


def _volumes(each: _Binding, most: int) -> Iterator[Volume]:
    for volume in sorted(each.listAllVolumes(), key=lambda volume: str(volume.name()))[:most]:
        try:
            _type, capacity, allocation = volume.info()
        except libvirt.libvirtError:
            continue  # deleted since, or an image that libvirt cannot read; the pool and its others are well
        yield Volume(name=volume.name(), capacity_bytes=capacity, allocation_bytes=allocation)
