"""Libvirt's flat statistics to model values: pure, in base units, and `None` for whatever is not there.

The keys are those of virConnectGetAllDomainStats. Any may be absent at any time (a busy domain, another driver, an
older libvirt) and arrays may have holes, so nothing here assumes one key from another.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from hostd.hypervisor.names import VCPU_STATES, named, state_of
from hostd.model.stats import BalloonStats, BlockStats, CpuStats, DomainStats, InterfaceStats, Survey, VcpuStats

Params = Mapping[str, object]
T = TypeVar("T")

_KIB = 1024
_NANOSECONDS = 1_000_000_000
_MAX_ITEMS = 4096  # of vCPUs, disks or interfaces; libvirt's own largest is 4096 vCPUs


def survey(params: Params) -> Survey:
    """One domain's record of what libvirt knows without its help."""
    number, reason_number = _count(params, "state.state"), _count(params, "state.reason")
    state, reason = state_of(-1 if number is None else number, reason_number or 0)
    return Survey(state=state, reason=reason, interfaces=_interfaces(params))


def domain_stats(params: Params) -> DomainStats:
    """One domain's numbers."""
    return DomainStats(
        cpu=CpuStats(
            time_seconds=_seconds(params, "cpu.time"),
            user_seconds=_seconds(params, "cpu.user"),
            system_seconds=_seconds(params, "cpu.system"),
        ),
        balloon=_balloon(params),
        vcpus_current=_count(params, "vcpu.current"),
        vcpus_maximum=_count(params, "vcpu.maximum"),
        vcpus=_each(params, "vcpu.maximum", "vcpu", _vcpu),
        interfaces=_interfaces(params),
        blocks=_each(params, "block.count", "block", _block),
    )


def _interfaces(params: Params) -> tuple[InterfaceStats, ...]:
    return _each(params, "net.count", "net", _interface)


def _balloon(params: Params) -> BalloonStats:
    return BalloonStats(
        current_bytes=_kib(params, "balloon.current"),
        maximum_bytes=_kib(params, "balloon.maximum"),
        rss_bytes=_kib(params, "balloon.rss"),
        available_bytes=_kib(params, "balloon.available"),
        usable_bytes=_kib(params, "balloon.usable"),
        unused_bytes=_kib(params, "balloon.unused"),
        disk_caches_bytes=_kib(params, "balloon.disk_caches"),
        swap_in_bytes=_kib(params, "balloon.swap_in"),
        swap_out_bytes=_kib(params, "balloon.swap_out"),
        major_faults=_count(params, "balloon.major_fault"),
        minor_faults=_count(params, "balloon.minor_fault"),
        last_update_seconds=_count(params, "balloon.last-update") or None,  # 0: never
    )


def _vcpu(params: Params, number: int, prefix: str) -> VcpuStats | None:
    state = _count(params, f"{prefix}.state")
    vcpu = VcpuStats(
        number=number,
        state=None if state is None else named(state, VCPU_STATES),
        time_seconds=_seconds(params, f"{prefix}.time"),
        wait_seconds=_seconds(params, f"{prefix}.wait"),
        delay_seconds=_seconds(params, f"{prefix}.delay"),
    )
    return None if vcpu == VcpuStats(number=number) else vcpu


def _interface(params: Params, index: int, prefix: str) -> InterfaceStats:
    return InterfaceStats(
        index=index,
        name=_text(params, f"{prefix}.name"),
        receive_bytes=_count(params, f"{prefix}.rx.bytes"),
        receive_packets=_count(params, f"{prefix}.rx.pkts"),
        receive_errors=_count(params, f"{prefix}.rx.errs"),
        receive_drops=_count(params, f"{prefix}.rx.drop"),
        transmit_bytes=_count(params, f"{prefix}.tx.bytes"),
        transmit_packets=_count(params, f"{prefix}.tx.pkts"),
        transmit_errors=_count(params, f"{prefix}.tx.errs"),
        transmit_drops=_count(params, f"{prefix}.tx.drop"),
    )


def _block(params: Params, _index: int, prefix: str) -> BlockStats | None:
    device = _text(params, f"{prefix}.name")
    if device is None or (f"{prefix}.backingIndex" in params and f"{prefix}.rd.reqs" not in params):
        return None  # no name, or an entry for a backing image and not for the disk itself
    return BlockStats(
        device=device,
        read_bytes=_count(params, f"{prefix}.rd.bytes"),
        read_requests=_count(params, f"{prefix}.rd.reqs"),
        read_seconds=_seconds(params, f"{prefix}.rd.times"),
        write_bytes=_count(params, f"{prefix}.wr.bytes"),
        write_requests=_count(params, f"{prefix}.wr.reqs"),
        write_seconds=_seconds(params, f"{prefix}.wr.times"),
        flush_requests=_count(params, f"{prefix}.fl.reqs"),
        flush_seconds=_seconds(params, f"{prefix}.fl.times"),
        capacity_bytes=_count(params, f"{prefix}.capacity"),
        allocation_bytes=_count(params, f"{prefix}.allocation"),
        physical_bytes=_count(params, f"{prefix}.physical"),
    )


def _each(params: Params, count_key: str, group: str, one: Callable[[Params, int, str], T | None]) -> tuple[T, ...]:
    count = min(_count(params, count_key) or 0, _MAX_ITEMS)
    items = (one(params, index, f"{group}.{index}") for index in range(count))
    return tuple(item for item in items if item is not None)


def _count(params: Params, key: str) -> int | None:
    value = params.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(params: Params, key: str) -> float | None:
    value = _count(params, key)
    return None if value is None else value / _NANOSECONDS


def _kib(params: Params, key: str) -> int | None:
    value = _count(params, key)
    return None if value is None else value * _KIB


def _text(params: Params, key: str) -> str | None:
    value = params.get(key)
    return value if isinstance(value, str) else None
