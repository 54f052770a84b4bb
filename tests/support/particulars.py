"""What a domain is made of and what is asked of it seldom, for tests: no value is empty."""

from hostd.model.details import Details, DiskError, Job, Messages, Snapshots
from hostd.model.devices import Disk, Hardware, Interface
from tests.support.numbers import IOTUNE

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
