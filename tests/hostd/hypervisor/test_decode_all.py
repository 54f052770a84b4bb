"""Every key that libvirt's header knows (12.8) is decoded, or left out for a reason that is written down here."""

import math
from collections.abc import Mapping
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor.decode import domain_stats, survey
from hostd.model.block import Bucket
from hostd.model.kvm import DirtyRate, IothreadStats, KvmStat, RareStats, VcpuDirtyRate
from hostd.model.perf import BandwidthNode, CacheBank, EnergyReading, Monitor, PerfStats
from hostd.model.stats import DomainStats, Survey

Value: TypeAlias = str | int | float

KVM_STATS = ("exits", "halt_wait_ns")

# An example of each key, group by group; what newer libvirts have is written as their headers and sources say.
STATE: Mapping[str, Value] = {"state.state": 1, "state.reason": 1}
CPU: Mapping[str, Value] = {
    "cpu.time": 6_132_000_000,
    "cpu.user": 3_500_000_000,
    "cpu.system": 2_632_000_000,
    "cpu.haltpoll.success.time": 1_000_000,
    "cpu.haltpoll.fail.time": 2_000_000,
    "cpu.cache.monitor.count": 1,
    "cpu.cache.monitor.0.name": "vcpus_0-1",
    "cpu.cache.monitor.0.vcpus": "0-1",
    "cpu.cache.monitor.0.bank.count": 1,
    "cpu.cache.monitor.0.bank.0.id": 3,
    "cpu.cache.monitor.0.bank.0.bytes": 4_194_304,
    "cpu.energy.monitor.count": 1,
    "cpu.energy.monitor.0.name": "vcpus_0-1",
    "cpu.energy.monitor.0.vcpus": "0-1",
    "cpu.energy.monitor.0.pkg.count": 1,
    "cpu.energy.monitor.0.pkg.0.id": 2,
    "cpu.energy.monitor.0.pkg.0.core_energy": 1234.5,
    "cpu.energy.monitor.0.pkg.0.activity": 99,
}
BALLOON: Mapping[str, Value] = {
    "balloon.current": 262144,
    "balloon.maximum": 524288,
    "balloon.swap_in": 4,
    "balloon.swap_out": 8,
    "balloon.major_fault": 174,
    "balloon.minor_fault": 92000,
    "balloon.unused": 150000,
    "balloon.available": 230000,
    "balloon.rss": 300000,
    "balloon.usable": 180000,
    "balloon.last-update": 1_700_000_000,
    "balloon.disk_caches": 40000,
    "balloon.hugetlb_pgalloc": 6,
    "balloon.hugetlb_pgfail": 7,
}
VCPU: Mapping[str, Value] = {
    "vcpu.current": 1,
    "vcpu.maximum": 1,
    "vcpu.0.state": 1,
    "vcpu.0.time": 4_000_000_000,
    "vcpu.0.wait": 1_000_000,
    "vcpu.0.halted": False,
    "vcpu.0.delay": 250_000_000,
    "vcpu.0.exits.sum": 77,
    "vcpu.0.exits.cur": 78,
    "vcpu.0.exits.max": 79,
    "vcpu.0.halt_wait_ns.sum": 80_000,
    "vcpu.0.halt_wait_ns.cur": 81_000,
    "vcpu.0.halt_wait_ns.max": 82_000,
}
NET: Mapping[str, Value] = {
    "net.count": 1,
    "net.0.name": "vnet0",
    "net.0.rx.bytes": 1000,
    "net.0.rx.pkts": 10,
    "net.0.rx.errs": 1,
    "net.0.rx.drop": 2,
    "net.0.tx.bytes": 2000,
    "net.0.tx.pkts": 20,
    "net.0.tx.errs": 3,
    "net.0.tx.drop": 4,
}
BLOCK: Mapping[str, Value] = {
    "block.count": 1,
    "block.0.name": "vda",
    "block.0.backingIndex": 1,
    "block.0.path": "/var/lib/libvirt/images/alpha.qcow2",
    "block.0.rd.reqs": 8,
    "block.0.rd.bytes": 4096,
    "block.0.rd.times": 250_000_000,
    "block.0.wr.reqs": 16,
    "block.0.wr.bytes": 8192,
    "block.0.wr.times": 500_000_000,
    "block.0.fl.reqs": 2,
    "block.0.fl.times": 125_000_000,
    "block.0.errors": 5,
    "block.0.allocation": 200704,
    "block.0.capacity": 10_737_418_240,
    "block.0.physical": 200705,
    "block.0.threshold": 12345,
    "block.0.limits.request_alignment": 1,
    "block.0.limits.discard_max": 2,
    "block.0.limits.discard_alignment": 3,
    "block.0.limits.write_zeroes_max": 4,
    "block.0.limits.write_zeroes_alignment": 5,
    "block.0.limits.transfer_optimal": 6,
    "block.0.limits.transfer_max": 7,
    "block.0.limits.transfer_hw_max": 8,
    "block.0.limits.iov_max": 9,
    "block.0.limits.iov_hw_max": 10,
    "block.0.limits.memory_alignment_minimal": 11,
    "block.0.limits.memory_alignment_optimal": 12,
    "block.0.timed_group.count": 1,
    "block.0.timed_group.0.interval": 10,
    "block.0.timed_group.0.rd_latency_min": 1,
    "block.0.timed_group.0.rd_latency_max": 2,
    "block.0.timed_group.0.rd_latency_avg": 3,
    "block.0.timed_group.0.wr_latency_min": 4,
    "block.0.timed_group.0.wr_latency_max": 5,
    "block.0.timed_group.0.wr_latency_avg": 6,
    "block.0.timed_group.0.zone_append_latency_min": 7,
    "block.0.timed_group.0.zone_append_latency_max": 8,
    "block.0.timed_group.0.zone_append_latency_avg": 9,
    "block.0.timed_group.0.flush_latency_min": 10,
    "block.0.timed_group.0.flush_latency_max": 11,
    "block.0.timed_group.0.flush_latency_avg": 12,
    "block.0.timed_group.0.rd_queue_depth_avg": 0.5,
    "block.0.timed_group.0.wr_queue_depth_avg": 1.5,
    "block.0.timed_group.0.zone_append_queue_depth_avg": 2.5,
    "block.0.latency_histogram.read.bin.count": 3,
    "block.0.latency_histogram.read.bin.0.start": 0,
    "block.0.latency_histogram.read.bin.0.value": 10,
    "block.0.latency_histogram.read.bin.1.start": 10_000,
    "block.0.latency_histogram.read.bin.1.value": 15,
    "block.0.latency_histogram.read.bin.2.start": 500_000,
    "block.0.latency_histogram.read.bin.2.value": 3,
    "block.0.latency_histogram.write.bin.count": 1,
    "block.0.latency_histogram.write.bin.0.start": 0,
    "block.0.latency_histogram.write.bin.0.value": 4,
    "block.0.latency_histogram.zone_append.bin.count": 1,
    "block.0.latency_histogram.zone_append.bin.0.start": 0,
    "block.0.latency_histogram.zone_append.bin.0.value": 5,
    "block.0.latency_histogram.flush.bin.count": 1,
    "block.0.latency_histogram.flush.bin.0.start": 0,
    "block.0.latency_histogram.flush.bin.0.value": 6,
}
PERF: Mapping[str, Value] = {
    "perf.cmt": 1,
    "perf.mbmt": 2,
    "perf.mbml": 3,
    "perf.cache_misses": 4,
    "perf.cache_references": 5,
    "perf.instructions": 6,
    "perf.cpu_cycles": 7,
    "perf.branch_instructions": 8,
    "perf.branch_misses": 9,
    "perf.bus_cycles": 10,
    "perf.stalled_cycles_frontend": 11,
    "perf.stalled_cycles_backend": 12,
    "perf.ref_cpu_cycles": 13,
    "perf.cpu_clock": 14,
    "perf.task_clock": 15,
    "perf.page_faults": 16,
    "perf.context_switches": 17,
    "perf.cpu_migrations": 18,
    "perf.page_faults_min": 19,
    "perf.page_faults_maj": 20,
    "perf.alignment_faults": 21,
    "perf.emulation_faults": 22,
}
IOTHREAD: Mapping[str, Value] = {
    "iothread.count": 1,
    "iothread.7.poll-max-ns": 32768,
    "iothread.7.poll-grow": 1,
    "iothread.7.poll-shrink": 2,
    "iothread.7.poll-weight": 3,
}
MEMORY: Mapping[str, Value] = {
    "memory.bandwidth.monitor.count": 1,
    "memory.bandwidth.monitor.0.name": "vcpus_0-1",
    "memory.bandwidth.monitor.0.vcpus": "0-1",
    "memory.bandwidth.monitor.0.node.count": 1,
    "memory.bandwidth.monitor.0.node.0.id": 4,
    "memory.bandwidth.monitor.0.node.0.bytes.local": 5,
    "memory.bandwidth.monitor.0.node.0.bytes.total": 6,
}
DIRTYRATE: Mapping[str, Value] = {
    "dirtyrate.calc_status": 2,
    "dirtyrate.calc_start_time": 54321,
    "dirtyrate.calc_period": 1,
    "dirtyrate.megabytes_per_second": 50,
    "dirtyrate.calc_mode": "dirty-ring",
    "dirtyrate.vcpu.3.megabytes_per_second": 30,
}
VM: Mapping[str, Value] = {
    "vm.exits.cur": 1,
    "vm.exits.sum": 2,
    "vm.exits.max": 3,
    "vm.halt_wait_ns.cur": 4,
    "vm.halt_wait_ns.sum": 5,
    "vm.halt_wait_ns.max": 6,
}
ALL: Mapping[str, Value] = {
    **STATE,
    **CPU,
    **BALLOON,
    **VCPU,
    **NET,
    **BLOCK,
    **PERF,
    **IOTHREAD,
    **MEMORY,
    **DIRTYRATE,
    **VM,
}

LEFT_OUT = {
    "block.0.backingIndex": "a place in the chain; entries of backing images are left out whole",
    "block.0.path": "the domain's XML says it, too, and of network disks more",
    "block.0.latency_histogram.read.bin.0.start": "nothing is quicker than the first bin: its start is no border",
    "block.0.latency_histogram.write.bin.0.start": "the same",
    "block.0.latency_histogram.zone_append.bin.0.start": "the same",
    "block.0.latency_histogram.flush.bin.0.start": "the same",
}

MONITOR = Monitor(name="vcpus_0-1", vcpus="0-1")


def decoded(params: Mapping[str, object]) -> tuple[DomainStats, Survey]:
    return domain_stats(params, kvm_stats=KVM_STATS), survey(params)


def another(value: Value) -> Value:
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else value + 1


def without(*keys: str) -> dict[str, object]:
    return {key: value for key, value in ALL.items() if key not in keys}


@pytest.mark.parametrize("key", sorted(set(ALL) - set(LEFT_OUT)))
def test_every_key_is_decoded(key: str) -> None:
    changed = {**ALL, key: 0 if key.endswith("count") else another(ALL[key])}
    assert decoded(changed) != decoded(ALL)
    assert decoded(without(key)) != decoded(ALL)


@pytest.mark.parametrize("key", sorted(LEFT_OUT))
def test_what_is_left_out_changes_nothing(key: str) -> None:
    assert LEFT_OUT[key]
    assert decoded({**ALL, key: another(ALL[key])}) == decoded(ALL)


def test_monitors_tell_whose_their_numbers_are() -> None:
    stats, surveyed = decoded(ALL)
    assert stats.cache_banks == (CacheBank(monitor=MONITOR, number=3, occupied_bytes=4 << 20),)
    assert stats.energy == (
        EnergyReading(monitor=MONITOR, number=2, name="activity", value=99),
        EnergyReading(monitor=MONITOR, number=2, name="core_energy", value=1234.5),
    )
    assert surveyed.bandwidth == (BandwidthNode(monitor=MONITOR, number=4, local_bytes=5, bytes=6),)


@pytest.mark.parametrize("missing", ["name", "pkg.0.id", "bank.0.id", "node.0.id"])
def test_a_number_that_nobody_could_tell_from_anothers_is_none(missing: str) -> None:
    stats, surveyed = decoded({key: value for key, value in ALL.items() if not key.endswith(f"monitor.0.{missing}")})
    assert not stats.cache_banks or not stats.energy or not surveyed.bandwidth


def test_kvms_statistics_are_in_seconds_where_the_kernel_counts_nanoseconds_and_only_the_allowed_are_there() -> None:
    stats = domain_stats({**ALL, "vcpu.0.exits.cur": True}, kvm_stats=("exits",))
    assert stats.vcpus[0].kvm == (KvmStat(name="exits", total=77, current=1, peak=79),)
    (waited,) = domain_stats(ALL, kvm_stats=("halt_wait_ns",)).vcpus[0].kvm
    assert waited == KvmStat(name="halt_wait", total_seconds=8e-05, current_seconds=8.1e-05, peak_seconds=8.2e-05)
    assert domain_stats(ALL).vcpus[0].kvm == ()


def test_iothreads_are_numbered_by_their_ids_which_have_holes() -> None:
    rare = domain_stats({"iothread.count": 2, "iothread.12.poll-grow": 3, "iothread.4.poll-max-ns": 500}).rare
    assert rare == RareStats(
        iothreads=(IothreadStats(number=4, poll_maximum_seconds=5e-07), IothreadStats(number=12, poll_grow=3))
    )


def test_a_dirty_rate_is_in_bytes_and_one_that_was_never_measured_says_no_more() -> None:
    rare = domain_stats(ALL).rare
    assert rare is not None
    assert rare.dirty_rate == DirtyRate(
        status="measured",
        mode="dirty-ring",
        start_seconds=54321,
        period_seconds=1,
        bytes_per_second=50 << 20,
        vcpus=(VcpuDirtyRate(number=3, bytes_per_second=30 << 20),),
    )
    never = {"dirtyrate.calc_status": 0, "dirtyrate.calc_start_time": 0, "dirtyrate.calc_period": 0}
    assert domain_stats(never).rare == RareStats(dirty_rate=DirtyRate(status="unstarted"))


def test_what_is_rare_is_told_also_where_there_is_none_of_it_and_else_not_at_all() -> None:
    assert domain_stats({"iothread.count": 0}).rare == RareStats()
    assert domain_stats({**CPU, **BALLOON, **VCPU, **BLOCK}).rare is None


def test_events_that_are_switched_off_are_no_events() -> None:
    assert survey(STATE).perf is None
    assert survey({"perf.task_clock": 2_000_000_000}).perf == PerfStats(task_clock_seconds=2.0)
    assert survey({"perf.instructions": -1}).perf is None


def test_a_histogram_counts_what_is_below_and_ends_in_infinity() -> None:
    read, *_ = domain_stats(ALL).blocks[0].latency_histograms
    assert (read.operation, read.buckets) == (
        "read",
        (
            Bucket(until_seconds=1e-05, count=10),
            Bucket(until_seconds=0.0005, count=25),
            Bucket(until_seconds=math.inf, count=28),
        ),
    )


READ = "block.0.latency_histogram.read.bin"


@pytest.mark.parametrize(
    "wrong",
    [
        {f"{READ}.1.value": None},
        {f"{READ}.1.value": -1},
        {f"{READ}.1.start": None},
        {f"{READ}.1.start": 500_000},
        {f"{READ}.2.start": 10**16},
        {f"{READ}.count": 4},
        {f"{READ}.count": 0},
        {f"{READ}.count": 10**9},
    ],
)
def test_a_histogram_with_a_hole_or_out_of_order_is_none(wrong: Mapping[str, object]) -> None:
    histograms = domain_stats({**ALL, **wrong}).blocks[0].latency_histograms
    assert [histogram.operation for histogram in histograms] == ["write", "zone_append", "flush"]


def test_an_interval_is_also_known_by_the_name_in_virshs_manual_and_without_any_there_is_none() -> None:
    unnamed = without("block.0.timed_group.0.interval")
    assert domain_stats(unnamed).blocks[0].interval_latencies == ()
    named = {**unnamed, "block.0.timed_group.0.interval_length": 10}
    assert domain_stats(named).blocks == domain_stats(ALL).blocks


def test_an_answer_given_without_waiting_for_the_monitor_invents_nothing() -> None:
    busy = {**STATE, "balloon.current": 1, "block.count": 1, "block.0.name": "vda", "vcpu.maximum": 1}
    stats, surveyed = decoded({**busy, "vcpu.0.time": 5})
    (block,), (vcpu,) = stats.blocks, stats.vcpus
    assert (block.limits, block.interval_latencies, block.latency_histograms) == (None, (), ())
    assert (vcpu.is_halted, vcpu.kvm, stats.cpu.haltpoll_success_seconds) == (None, (), None)
    assert (stats.rare, stats.cache_banks, stats.energy, surveyed.perf, surveyed.bandwidth) == (None, (), (), None, ())


KEYS = st.sampled_from(sorted(ALL))
VALUES = st.integers(-(2**64), 2**64) | st.text(max_size=5) | st.booleans() | st.none() | st.floats() | st.binary()


@given(st.dictionaries(KEYS, VALUES), st.sets(KEYS))
def test_whatever_libvirt_says_it_is_decoded_and_a_histogram_is_one(params: dict[str, object], kept: set[str]) -> None:
    stats, _ = decoded({**{key: ALL[key] for key in kept}, **params})
    for histogram in (histogram for block in stats.blocks for histogram in block.latency_histograms):
        counts = [bucket.count for bucket in histogram.buckets]
        ends = [bucket.until_seconds for bucket in histogram.buckets]
        assert counts == sorted(counts)
        assert ends == sorted(set(ends))
        assert ends[-1] == math.inf


@given(st.dictionaries(st.text(st.sampled_from("vmiothread.dirtyrate.vcpu.0123456789."), max_size=30), st.integers()))
def test_whatever_the_keys_are_nothing_is_wrong(params: dict[str, int]) -> None:
    decoded({"iothread.count": 1, "dirtyrate.calc_status": 2, **params})
