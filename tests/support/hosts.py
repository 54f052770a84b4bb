"""A host for tests, of which no value is empty: what libvirt says of the machine, its pools and its other objects."""

from hostd.model.host import Capabilities, ConnectionFacts, Cpu, Host, Kernel, Ksm, NumaCell, Pages, Topology
from hostd.model.objects import Countable, Network, Objects
from hostd.model.stats import (
    Pressure,
)
from hostd.model.storage import PoolState, StoragePool, Volume

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
    kernel=Kernel(
        read_at=5000.0,
        memory_available_bytes=55 << 30,
        memory_reclaimable_bytes=2 << 30,
        swap_total_bytes=6 << 30,
        swap_free_bytes=(5 << 30) + 4096,
        swap_cached_bytes=3 << 20,
        swapped_in_bytes=70 << 20,
        swapped_out_bytes=150 << 20,
        paged_in_bytes=8_267_573 << 10,
        paged_out_bytes=6_268_124 << 10,
        cpu_seconds=131_868.25,
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
