"""The group CPU_TOTAL with its monitors, and VCPU."""

from collections.abc import Iterator, Sequence

from hostd.hypervisor.decode.kvm import kvm_of
from hostd.hypervisor.decode.values import (
    Params,
    count_of,
    each,
    flag_of,
    monitor_of,
    number_of,
    seconds_of,
)
from hostd.hypervisor.names import VCPU_STATES, named
from hostd.model.perf import CacheBank, EnergyReading, Monitor
from hostd.model.stats import CpuStats, VcpuStats

MAX_READINGS = 64  # of one package: their names are whatever libvirt says


def cpu_of(params: Params) -> CpuStats:
    """The whole domain's CPU time."""
    return CpuStats(
        time_seconds=seconds_of(params, "cpu.time"),
        user_seconds=seconds_of(params, "cpu.user"),
        system_seconds=seconds_of(params, "cpu.system"),
        haltpoll_success_seconds=seconds_of(params, "cpu.haltpoll.success.time"),
        haltpoll_fail_seconds=seconds_of(params, "cpu.haltpoll.fail.time"),
    )


def vcpu_of(params: Params, number: int, prefix: str, kvm_stats: Sequence[str]) -> VcpuStats | None:
    """One virtual CPU. With no word of one that may be plugged in later, its KVM statistics are not looked for."""
    state = count_of(params, f"{prefix}.state")
    time_seconds = seconds_of(params, f"{prefix}.time")
    is_there = state is not None or time_seconds is not None
    vcpu = VcpuStats(
        number=number,
        state=None if state is None else named(state, VCPU_STATES),
        time_seconds=time_seconds,
        wait_seconds=seconds_of(params, f"{prefix}.wait"),
        delay_seconds=seconds_of(params, f"{prefix}.delay"),
        is_halted=flag_of(params, f"{prefix}.halted"),
        kvm=kvm_of(params, prefix, kvm_stats) if is_there else (),
    )
    return None if vcpu == VcpuStats(number=number) else vcpu


def cache_banks(params: Params) -> tuple[CacheBank, ...]:
    """Of all cache monitors."""
    monitors = each(params, "cpu.cache.monitor.count", "cpu.cache.monitor", _banks)
    return tuple(bank for banks in monitors for bank in banks)


def energy_of(params: Params) -> tuple[EnergyReading, ...]:
    """Of all energy monitors. Libvirt's header does not name the readings: all that a package has are taken."""
    monitors = each(params, "cpu.energy.monitor.count", "cpu.energy.monitor", _packages)
    return tuple(reading for packages in monitors for readings in packages for reading in readings)


def _banks(params: Params, _index: int, prefix: str) -> tuple[CacheBank, ...] | None:
    monitor = monitor_of(params, prefix)
    if monitor is None:
        return None
    return each(params, f"{prefix}.bank.count", f"{prefix}.bank", lambda p, _, at: _bank(p, at, monitor))


def _bank(params: Params, prefix: str, monitor: Monitor) -> CacheBank | None:
    number = count_of(params, f"{prefix}.id")
    if number is None:
        return None
    return CacheBank(monitor=monitor, number=number, occupied_bytes=count_of(params, f"{prefix}.bytes"))


def _packages(params: Params, _index: int, prefix: str) -> tuple[tuple[EnergyReading, ...], ...] | None:
    monitor = monitor_of(params, prefix)
    if monitor is None:
        return None
    return each(params, f"{prefix}.pkg.count", f"{prefix}.pkg", lambda p, _, at: tuple(_readings(p, at, monitor)))


def _readings(params: Params, prefix: str, monitor: Monitor) -> Iterator[EnergyReading]:
    number = count_of(params, f"{prefix}.id")
    if number is None:
        return
    start = f"{prefix}."
    keys = sorted(key for key in params if key.startswith(start) and key != f"{prefix}.id")
    for key in keys[:MAX_READINGS]:
        value = number_of(params, key)
        if value is not None:
            yield EnergyReading(monitor=monitor, number=number, name=key.removeprefix(start), value=value)
