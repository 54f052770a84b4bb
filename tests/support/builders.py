"""Model values for tests: a domain, a guest, a World, with everything a test does not care about filled in."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hostd.model.block import BlockLimits, BlockStats, Bucket, IntervalLatency, IoTune, LatencyHistogram
from hostd.model.details import Details, DiskError, Job, Messages, Snapshots
from hostd.model.devices import Disk, Hardware, Interface
from hostd.model.domain import Channel, Domain, DomainFacts, Guest
from hostd.model.host import Capabilities, Connection, ConnectionFacts, Cpu, Host, Ksm, NumaCell, Pages, Topology
from hostd.model.kvm import DirtyRate, IothreadStats, KvmStat, RareStats, VcpuDirtyRate, VcpuPlace
from hostd.model.notice import Notice
from hostd.model.objects import Countable, Network, Objects
from hostd.model.perf import BandwidthNode, CacheBank, EnergyReading, Monitor, PerfStats
from hostd.model.stats import (
    BalloonStats,
    Control,
    ControlState,
    CpuStats,
    DomainState,
    DomainStats,
    InterfaceStats,
    Pressure,
    ProcessStats,
    VcpuStats,
)
from hostd.model.storage import PoolState, StoragePool, Volume
from hostd.model.world import World
from protocol.errors import DropReason
from protocol.messages import CpuTimes, Drop, Event, Filesystem, Hello, Load, Memory, Report

URI = "test:///default"
UUID = "11111111-1111-4111-8111-111111111111"
OTHER_UUID = "22222222-2222-4222-8222-222222222222"

CONNECTION_FACTS = ConnectionFacts(
    driver="QEMU",
    libvirt_version="9.0.0",
    library_version="9.1.0",
    hypervisor_version="7.2.0",
    hostname="host1.example",
)

HOST = Host(
    cpus=16,
    cpus_present=18,
    vcpus_maximum=288,
    topology=Topology(
        numa_nodes=2, sockets_per_node=1, cores_per_socket=4, threads_per_core=2, frequency_hertz=2_600_000_000
    ),
    each_cpu=(
        Cpu(
            number=0,
            user_seconds=5000.5,
            system_seconds=2500.25,
            idle_seconds=90000.0,
            iowait_seconds=12.5,
            intr_seconds=1.25,
        ),
        Cpu(number=1, is_online=False),
    ),
    memory_total_bytes=64 << 30,
    memory_free_bytes=48 << 30,
    memory_available_bytes=56 << 30,
    memory_buffers_bytes=1 << 30,
    memory_cached_bytes=8 << 30,
    cells=(
        NumaCell(
            number=0,
            cpus=8,
            total_bytes=32 << 30,
            free_bytes=20 << 30,
            pages=(
                Pages(page_bytes=4 << 10, total=8 << 20, free=5 << 20),
                Pages(page_bytes=2 << 20, total=512, free=384),
            ),
        ),
        NumaCell(number=1, cpus=8, total_bytes=31 << 30),
    ),
    ksm=Ksm(
        pages_shared=1000,
        pages_sharing=9000,
        pages_unshared=400,
        pages_volatile=30,
        pages_to_scan=100,
        full_scans=17,
        sleep_seconds=0.02,
        is_across_nodes=True,
    ),
    capabilities=Capabilities(
        architecture="x86_64",
        cpu_model="Skylake-Server-IBRS",
        cpu_vendor="Intel",
        cpu_microcode="33581318",
        has_iommu=True,
        can_migrate_live=True,
        migration_transports=("rdma", "tcp"),
        security_models=("apparmor", "dac"),
        domain_types=("kvm", "qemu"),
    ),
    load1=0.5,
    load5=0.25,
    load15=0.125,
    pressures=(
        Pressure(resource="cpu", waiting_seconds=400.5, stalled_seconds=0.0),
        Pressure(resource="memory", waiting_seconds=2.5, stalled_seconds=1.5),
        Pressure(resource="io", waiting_seconds=10.25, stalled_seconds=7.75),
    ),
)

HELLO = Hello(
    version_min=1,
    version_max=1,
    nonce=42,
    agent_version="0.1.0",
    boot_id="b",
    os_name="Debian GNU/Linux 12",
    kernel_release="6.1.0",
    machine="x86_64",
    hostname="alpha.example",
    instance=71,
    journal=72,
    events_acknowledged=73,
    events_written=74,
)

REPORT = Report(
    uptime_seconds=3600.5,
    cpus=2,
    cpu=CpuTimes(
        user_seconds=10.5,
        nice_seconds=0.25,
        system_seconds=5.0,
        idle_seconds=7000.0,
        iowait_seconds=1.5,
        irq_seconds=0.0,
        softirq_seconds=0.125,
        steal_seconds=2.0,
    ),
    memory=Memory(
        total_bytes=1 << 30,
        free_bytes=1 << 29,
        available_bytes=3 << 28,
        buffers_bytes=1 << 20,
        cached_bytes=1 << 27,
        swap_total_bytes=1 << 28,
        swap_free_bytes=1 << 28,
    ),
    load=Load(load1=0.5, load5=0.25, load15=0.125),
    filesystems=(
        Filesystem(
            mountpoint="/",
            device="/dev/vda1",
            fstype="ext4",
            size_bytes=10 << 30,
            free_bytes=6 << 30,
            available_bytes=5 << 30,
            files=655360,
            files_free=600000,
            is_read_only=False,
        ),
    ),
    filesystems_left_out=3,
    dropped_frames=1,
    drops=(Drop(reason="checksum", count=6),),
    time_seconds=1_700_000_077.5,
    events_lost=9,
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

HARDWARE = Hardware(
    disks=(
        Disk(
            device="vda",
            kind="disk",
            bus="virtio",
            source_type="file",
            source_file="/var/lib/libvirt/images/alpha.qcow2",
            source_protocol="rbd",
            source_name="vms/alpha",
            driver_name="qemu",
            driver_type="qcow2",
            cache="none",
            discard="unmap",
            io="native",
            serial="S1",
            iotune=IOTUNE,
            backing_images=3,
        ),
    ),
    interfaces=(
        Interface(
            index=0,
            name="vnet0",
            kind="bridge",
            mac_address="52:54:00:00:00:01",
            model="virtio",
            source_bridge="br0",
            source_network="lan",
            source_device="eth0",
            virtual_interface="33333333-3333-4333-8333-333333333333",
            mtu="9000",
        ),
        Interface(index=1, kind="user"),
    ),
    devices={"hostdev": 11, "watchdog": 1},
    balloon_period_seconds=17,
)

NO_DEVICES = dict.fromkeys(("memballoon", "hostdev", "rng", "tpm", "watchdog", "guest_agent_channel"), 0)

LABELS: Mapping[str, Any] = {
    "metadata": (("team", "blue"), ("instance_name", "web-1")),
    "promoted": (("team", "blue"),),
    "managers": {
        "nova": ("web-1", "m1.small", "ann", "u-1", "shop", "p-1", "image", "i-1"),
        "ovirt": ("4.7", "auto_resume"),
        "libosinfo": ("http://debian.org/debian/12",),
    },
}

DETAILS = Details(
    is_autostarted=True,
    has_managed_save=False,
    messages=(
        Messages(kind="tainting", texts=("tainted: custom monitor control commands issued",)),
        Messages(kind="deprecation", texts=()),
    ),
    disk_errors=(DiskError(device="vda", error="no_space"),),
    snapshots=Snapshots(count=6, oldest_at=1_690_000_000, newest_at=1_695_000_000),
    job=Job(
        operation="migration_out",
        kind="bounded",
        elapsed_seconds=1.5,
        remaining_seconds=2.5,
        setup_seconds=3.5,
        downtime_seconds=4.5,
        data_total_bytes=105000,
        data_processed_bytes=106000,
        data_remaining_bytes=107000,
        memory_total_bytes=108000,
        memory_processed_bytes=109000,
        memory_remaining_bytes=110000,
        memory_bytes_per_second=200011,
        memory_dirty_bytes_per_second=200012,
        memory_iteration=13,
        memory_constant_pages=114000,
        memory_normal_pages=115000,
        memory_normal_bytes=116000,
        memory_postcopy_requests=117000,
        disk_total_bytes=118000,
        disk_processed_bytes=119000,
        disk_remaining_bytes=120000,
        disk_bytes_per_second=200021,
        disk_temporary_used_bytes=122000,
        disk_temporary_total_bytes=123000,
        compression_cache_bytes=124000,
        compression_bytes=125000,
        compression_pages=126000,
        compression_cache_misses=127000,
        compression_overflows=128000,
        vfio_bytes=129000,
        throttle_ratio=0.2,
    ),
)

POOL = StoragePool(
    uuid="99999999-9999-4999-8999-999999999999",
    name="default",
    state=PoolState.RUNNING,
    capacity_bytes=100 << 30,
    allocation_bytes=40 << 30,
    available_bytes=60 << 30,
    volume_count=12,
    volumes=(Volume(name="alpha.qcow2", capacity_bytes=11 << 30, allocation_bytes=4 << 30),),
)


NETWORK = Network(
    uuid="77777777-7777-4777-8777-777777777777",
    name="default",
    bridge="virbr0",
    is_active=True,
    is_persistent=True,
    is_autostart=False,
    dhcp_leases=23,
)

OBJECTS = Objects(
    networks={NETWORK.uuid: NETWORK},
    counts={
        Countable.NODE_DEVICES: {"pci": 64, "net": 5},
        Countable.SECRETS: {"ceph": 3, "volume": 6},
        Countable.INTERFACES: {"active": 4, "inactive": 1},
        Countable.NWFILTERS: {"": 19},
    },
)
NOTICE = Notice(
    number=1_700_000_095_000_000,
    kind="resumed",
    text="this guest had been paused",
    at=1_700_000_095.0,
    details=(("paused_seconds", "4.5"),),
    answer="seen",
)
EVENT = Event(number=1, kind="backup.failed", severity="warning", text="no space left")
EVENTS = {("domain", "started", "booted"): 21, ("network", "started", ""): 22, ("connection", "gap", "reconnected"): 23}


def channel(path: str = "/run/alpha.sock", *, is_open_in_guest: bool | None = True) -> Channel:
    """Our channel."""
    return Channel(path=path, is_open_in_guest=is_open_in_guest)


def facts(uuid: str = UUID, name: str = "alpha", **others: Any) -> DomainFacts:  # noqa: ANN401 - the fields of DomainFacts
    """A running domain without a channel; `others` override."""
    known: dict[str, Any] = {
        "id": 1,
        "state": DomainState.RUNNING,
        "reason": "booted",
        "is_persistent": True,
        "os_type": "hvm",
        "machine": "pc-q35-7.2",
        "architecture": "x86_64",
        "emulator": "/usr/bin/qemu-system-x86_64",
        "title": "The first",
        "memory_maximum_bytes": 2 << 30,
        "vsock_cid": 3,
        "hardware": HARDWARE,
    }
    return DomainFacts(uuid=uuid, name=name, **{**known, **others})


def shut_off(uuid: str = UUID, name: str = "alpha", **others: Any) -> DomainFacts:  # noqa: ANN401
    """The same domain, not active."""
    return facts(uuid, name, **{"id": None, "state": DomainState.SHUTOFF, "reason": "shutdown", **others})


def guest(**others: Any) -> Guest:  # noqa: ANN401 - the fields of Guest
    """A guest that has greeted and reported; `others` override."""
    known: dict[str, Any] = {
        "hello": HELLO,
        "report": REPORT,
        "reported_at": 1_700_000_100.0,
        "sessions": 2,
        "reports": 30,
        "reconnects": 1,
        "drops": {DropReason.CHECKSUM: 5},
        "filesystems_dropped": {"new": 10},
        "clock_offset_seconds": -22.5,
        "throttled_seconds": 1.625,
        "quarantines": {"flood": 7},
        "is_quarantined": True,
        "events": {"warning": 8},
        "last_event_at": 1_700_000_099.25,
    }
    return Guest(**{**known, **others})


def full_domain(uuid: str = UUID, name: str = "alpha") -> Domain:
    """A domain of which everything is known."""
    return Domain(
        facts=facts(uuid, name, channel=channel(), **LABELS),
        stats=STATS,
        is_responsive=True,
        answered_at=1_700_000_095.5,
        control=Control(state=ControlState.OK, seconds=0.75),
        process=PROCESS,
        details=DETAILS,
        guest=guest(),
        events={("started", "booted"): 1, ("suspended", "paused"): 2},
        last_events={"started": 1_700_000_001.0, "suspended": 1_700_000_090.5},
        notices=(NOTICE,),
    )


def world(*domains: Domain, **others: Any) -> World:  # noqa: ANN401 - the fields of World
    """A World connected to libvirt, with these domains."""
    known: dict[str, Any] = {
        "connection": replace(connected(), gap_seconds=2.75),
        "host": HOST,
        "pools": {POOL.uuid: POOL},
        "objects": OBJECTS,
        "events": EVENTS,
    }
    return World(domains={d.uuid: d for d in domains}, **{**known, **others})


def unconnected() -> World:
    """The World before anything is known."""
    return World(connection=Connection(uri=URI))


def connected() -> Connection:
    """A connection that is up for the first time."""
    return replace(Connection(uri=URI), facts=CONNECTION_FACTS, connects=1)
