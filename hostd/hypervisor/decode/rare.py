"""What is asked for now and then: the groups IOTHREAD, DIRTYRATE and VM, and where virtual CPUs are."""

from collections.abc import Sequence

from hostd.hypervisor.decode.kvm import kvm_of
from hostd.hypervisor.decode.values import Params, count_of, each, mib_of, numbers_in, seconds_of, text_of
from hostd.hypervisor.names import named
from hostd.model.kvm import DIRTY_RATE_STATUSES, DirtyRate, IothreadStats, RareStats, VcpuDirtyRate, VcpuPlace


def rare_of(params: Params, kvm_stats: Sequence[str]) -> RareStats | None:
    """What is told of these groups; None where nothing is, for they were not asked or the domain was busy."""
    rare = RareStats(
        kvm=kvm_of(params, "vm", kvm_stats),
        iothreads=_iothreads(params),
        dirty_rate=_dirty_rate(params),
        vcpu_places=each(params, "vcpu.maximum", "vcpu", _place),
    )
    return None if rare == RareStats() and "iothread.count" not in params else rare


def _place(params: Params, number: int, prefix: str) -> VcpuPlace | None:
    """Under the key that `percall` gives it, for no group of statistics has it."""
    cpu = count_of(params, f"{prefix}.cpu")
    return None if cpu is None else VcpuPlace(number=number, cpu=cpu)


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
