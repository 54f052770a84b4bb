"""The groups that are asked for now and then: IOTHREAD, DIRTYRATE and VM."""

from collections.abc import Sequence

from hostd.hypervisor.decode.kvm import kvm_of
from hostd.hypervisor.decode.values import Params, count_of, mib_of, numbers_in, seconds_of, text_of
from hostd.hypervisor.names import named
from hostd.model.kvm import DIRTY_RATE_STATUSES, DirtyRate, IothreadStats, RareStats, VcpuDirtyRate


def rare_of(params: Params, kvm_stats: Sequence[str]) -> RareStats | None:
    """What is told of these groups; None where nothing is, for they were not asked or the domain was busy."""
    rare = RareStats(kvm=kvm_of(params, "vm", kvm_stats), iothreads=_iothreads(params), dirty_rate=_dirty_rate(params))
    return None if rare == RareStats() and "iothread.count" not in params else rare


def _iothreads(params: Params) -> tuple[IothreadStats, ...]:
    if not count_of(params, "iothread.count"):
        return ()
    return tuple(_iothread(params, number, f"iothread.{number}") for number in numbers_in(params, "iothread"))


def _iothread(params: Params, number: int, prefix: str) -> IothreadStats:
    return IothreadStats(
        number=number,
        poll_maximum_seconds=seconds_of(params, f"{prefix}.poll-max-ns"),
        poll_grow=count_of(params, f"{prefix}.poll-grow"),
        poll_shrink=count_of(params, f"{prefix}.poll-shrink"),
        poll_weight=count_of(params, f"{prefix}.poll-weight"),
    )


def _dirty_rate(params: Params) -> DirtyRate | None:
    status = count_of(params, "dirtyrate.calc_status")
    if status is None:
        return None
    vcpus = ((number, _rate(params, f"dirtyrate.vcpu.{number}")) for number in numbers_in(params, "dirtyrate.vcpu"))
    return DirtyRate(
        status=named(status, DIRTY_RATE_STATUSES),
        mode=text_of(params, "dirtyrate.calc_mode"),
        start_seconds=count_of(params, "dirtyrate.calc_start_time") or None,  # 0: never
        period_seconds=count_of(params, "dirtyrate.calc_period") or None,
        bytes_per_second=_rate(params, "dirtyrate"),
        vcpus=tuple(VcpuDirtyRate(number=number, bytes_per_second=rate) for number, rate in vcpus if rate is not None),
    )


def _rate(params: Params, prefix: str) -> int | None:
    return mib_of(params, f"{prefix}.megabytes_per_second")
