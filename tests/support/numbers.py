"""A domain's numbers for tests, of which none is empty and no two are alike: what is mixed up shows."""

import math
from dataclasses import replace

from hostd.model.block import BlockLimits, BlockStats, Bucket, IntervalLatency, IoTune, LatencyHistogram
from hostd.model.kvm import DirtyRate, IothreadStats, KvmStat, RareStats, VcpuDirtyRate, VcpuPlace
from hostd.model.perf import BandwidthNode, CacheBank, EnergyReading, Monitor, PerfStats
from hostd.model.stats import (
    BalloonStats,
    CpuStats,
    DomainStats,
    InterfaceStats,
    Pressure,
    ProcessStats,
    VcpuStats,
)

KVM = (
    KvmStat(
        name="exits", total=5000, total_seconds=0.5, current=3, current_seconds=0.03125, peak=90, peak_seconds=0.0625
    ),
)

LIMITS = BlockLimits(
    request_alignment_bytes=512,
    discard_maximum_bytes=2 << 30,
    discard_alignment_bytes=4096,
    write_zeroes_maximum_bytes=1 << 30,
    write_zeroes_alignment_bytes=8192,
    transfer_optimal_bytes=65536,
    transfer_maximum_bytes=1 << 20,
    transfer_hardware_maximum_bytes=1 << 19,
    segments_maximum=1024,
    segments_hardware_maximum=168,
    memory_alignment_minimal_bytes=511,
    memory_alignment_optimal_bytes=4095,
)

MONITOR = Monitor(name="vcpus_0-1", vcpus="0-1")

PERF = PerfStats(
    cmt_bytes=8 << 20,
    mbmt_bytes_per_second=120 << 20,
    mbml_bytes_per_second=100 << 20,
    cache_misses=1001,
    cache_references=1002,
    instructions=1003,
    cpu_cycles=1004,
    branch_instructions=1005,
    branch_misses=1006,
    bus_cycles=1007,
    stalled_cycles_frontend=1008,
    stalled_cycles_backend=1009,
    ref_cpu_cycles=1010,
    cpu_clock_seconds=10.125,
    task_clock_seconds=10.25,
    page_faults=1011,
    context_switches=1012,
    cpu_migrations=1013,
    page_faults_minor=1014,
    page_faults_major=1015,
    alignment_faults=1016,
    emulation_faults=1017,
)

RARE = RareStats(
    kvm=(replace(KVM[0], name="remote_tlb_flush"),),
    iothreads=(
        IothreadStats(number=1, poll_maximum_seconds=3.2768e-05, poll_grow=2, poll_shrink=4, poll_weight=5),
        IothreadStats(number=7),
    ),
    dirty_rate=DirtyRate(
        status="measured",
        mode="dirty-ring",
        start_seconds=54321,
        period_seconds=1,
        bytes_per_second=50 << 20,
        vcpus=(VcpuDirtyRate(number=0, bytes_per_second=30 << 20),),
    ),
    vcpu_places=(VcpuPlace(number=0, cpu=13),),
)

STATS = DomainStats(
    cpu=CpuStats(
        time_seconds=100.5,
        user_seconds=60.25,
        system_seconds=40.125,
        haltpoll_success_seconds=0.375,
        haltpoll_fail_seconds=0.875,
    ),
    balloon=BalloonStats(
        current_bytes=1 << 30,
        maximum_bytes=2 << 30,
        rss_bytes=700 << 20,
        available_bytes=1000 << 20,
        usable_bytes=800 << 20,
        unused_bytes=600 << 20,
        disk_caches_bytes=100 << 20,
        swap_in_bytes=4096,
        swap_out_bytes=8192,
        major_faults=7,
        minor_faults=70000,
        hugetlb_allocations=12,
        hugetlb_failures=3,
        last_update_seconds=1_700_000_000,
    ),
    vcpus_current=2,
    vcpus_maximum=4,
    vcpus=(
        VcpuStats(
            number=0,
            state="running",
            time_seconds=50.5,
            wait_seconds=0.5,
            delay_seconds=1.5,
            is_halted=False,
            kvm=KVM,
        ),
        VcpuStats(number=1, state="offline"),
    ),
    interfaces=(
        InterfaceStats(
            index=0,
            name="vnet0",
            receive_bytes=1000,
            receive_packets=10,
            receive_errors=1,
            receive_drops=2,
            transmit_bytes=2000,
            transmit_packets=20,
            transmit_errors=3,
            transmit_drops=4,
        ),
        InterfaceStats(index=1, receive_bytes=5),
    ),
    blocks=(
        BlockStats(
            device="vda",
            read_bytes=4096,
            read_requests=8,
            read_seconds=0.25,
            write_bytes=8192,
            write_requests=16,
            write_seconds=0.5,
            flush_requests=2,
            flush_seconds=0.125,
            capacity_bytes=10 << 30,
            allocation_bytes=2 << 30,
            physical_bytes=3 << 30,
            errors=6,
            threshold_bytes=4 << 30,
            limits=LIMITS,
            interval_latencies=(
                IntervalLatency(
                    interval_seconds=10,
                    operation="read",
                    minimum_seconds=0.0001,
                    maximum_seconds=0.25,
                    average_seconds=0.001,
                    queue_depth_average=1.5,
                ),
            ),
            latency_histograms=(
                LatencyHistogram(operation="flush", buckets=(Bucket(until_seconds=math.inf, count=2),)),
                LatencyHistogram(
                    operation="read",
                    buckets=(
                        Bucket(until_seconds=1e-05, count=10),
                        Bucket(until_seconds=0.0005, count=25),
                        Bucket(until_seconds=math.inf, count=28),
                    ),
                ),
            ),
        ),
    ),
    cache_banks=(CacheBank(monitor=MONITOR, number=0, occupied_bytes=9 << 20),),
    energy=(EnergyReading(monitor=MONITOR, number=1, name="core_energy", value=1234.5),),
    bandwidth=(BandwidthNode(monitor=MONITOR, number=0, local_bytes=77 << 20, bytes=99 << 20),),
    perf=PERF,
    rare=RARE,
)

PROCESS = ProcessStats(
    cpu_seconds=101.25,
    resident_bytes=701 << 20,
    started_at=1_699_999_000.25,
    pressures=(
        Pressure(resource="cpu", waiting_seconds=3.5, stalled_seconds=0.0),
        Pressure(resource="memory", waiting_seconds=0.125, stalled_seconds=0.0625),
        Pressure(resource="io", waiting_seconds=6.5, stalled_seconds=6.25),
    ),
)

IOTUNE = IoTune(
    group="gold",
    total_bytes_per_second=300_001,
    read_bytes_per_second=300_002,
    write_bytes_per_second=300_003,
    total_requests_per_second=300_004,
    read_requests_per_second=300_005,
    write_requests_per_second=300_006,
    total_burst_bytes_per_second=300_007,
    read_burst_bytes_per_second=300_008,
    write_burst_bytes_per_second=300_009,
    total_burst_requests_per_second=300_010,
    read_burst_requests_per_second=300_011,
    write_burst_requests_per_second=300_012,
    total_burst_bytes_seconds=300_013,
    read_burst_bytes_seconds=300_014,
    write_burst_bytes_seconds=300_015,
    total_burst_requests_seconds=300_016,
    read_burst_requests_seconds=300_017,
    write_burst_requests_seconds=300_018,
    request_bytes=300_019,
)
