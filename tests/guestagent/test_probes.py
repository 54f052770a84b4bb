"""Reading /proc: what real files look like, and what odd ones may cost."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from guestagent.probes import PROBES, cpu, filesystems, identity, load, memory, uptime
from guestagent.probes.filesystems import Mount
from protocol.messages import MAX_FILESYSTEMS, CpuTimes, Filesystem, Load, Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOCAL = frozenset({"ext4", "vfat", "tmpfs"})


def disk(
    *, blocks: int = 100, free: int = 60, available: int = 50, files: int = 10, flags: int = 0
) -> os.statvfs_result:
    return os.statvfs_result((4096, 1024, blocks, free, available, files, min(files, 4), min(files, 4), flags, 255))


def answering(found: os.statvfs_result) -> Callable[[str], os.statvfs_result]:
    return lambda _: found


def mounts(*lines: str) -> list[Mount]:
    return filesystems.parse_mounts("".join(f"{line} rw 0 0\n" for line in lines))


def chosen(*lines: str) -> list[str]:
    return [mount.mountpoint for mount in filesystems.choose(mounts(*lines), LOCAL)]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.fields[0])
def test_a_probe_fills_the_fields_it_declares(probe: object, root: Path) -> None:
    assert probe in PROBES
    for one in PROBES:
        values = one.read(root)
        assert tuple(values) == one.fields
        assert None not in values.values()


def test_uptime_is_the_first_number() -> None:
    assert uptime.parse("350735.47 234388.90\n") == 350735.47


def test_load_is_three_averages() -> None:
    assert load.parse("0.20 0.18 0.12 1/80 11206\n") == Load(load1=0.20, load5=0.18, load15=0.12)


def test_memory_is_in_bytes(root: Path) -> None:
    assert memory.read(root)["memory"] == Memory(
        total_bytes=16 << 20,
        free_bytes=8 << 20,
        available_bytes=10 << 20,
        buffers_bytes=512 << 10,
        cached_bytes=2 << 20,
        swap_total_bytes=0,
        swap_free_bytes=0,
    )


def test_memory_that_an_old_kernel_does_not_tell_is_unknown() -> None:
    found = memory.parse("MemTotal: 4 kB\nMemFree: 2 kB\nHugePages_Total:       7\n")
    assert found == Memory(total_bytes=4096, free_bytes=2048)


def test_cpu_times_are_in_seconds(root: Path) -> None:
    text = (root / "proc/stat").read_text(encoding="ascii")
    assert cpu.count(text) == 2
    assert cpu.parse(text, ticks_per_second=100) == CpuTimes(
        user_seconds=101321.53,
        nice_seconds=2906.96,
        system_seconds=30847.19,
        idle_seconds=468284.83,
        iowait_seconds=166.83,
        irq_seconds=0.0,
        softirq_seconds=251.95,
        steal_seconds=1.0,
    )


def test_cpu_times_that_an_old_kernel_does_not_tell_are_unknown() -> None:
    found = cpu.parse("cpu 100 200 300 400 500\n", ticks_per_second=100)
    assert (found.user_seconds, found.iowait_seconds, found.irq_seconds, found.steal_seconds) == (1.0, 5.0, None, None)


@pytest.mark.parametrize("text", ["", "cpu0 1 2 3 4\n", "cpu 1 2\n", "cpu a b c d\n"])
def test_cpu_times_that_make_no_sense_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        cpu.parse(text, ticks_per_second=100)


def test_odd_mountpoints_are_read_as_they_are() -> None:
    found = mounts(r"/dev/sda1 /mnt/a\040b\011c\012d\134e ext4", r"dev\040ice /ä ext4", "short line")
    assert found == [
        Mount(device="/dev/sda1", mountpoint="/mnt/a b\tc\nd\\e", fstype="ext4"),
        Mount(device="dev ice", mountpoint="/ä", fstype="ext4"),
        Mount(device="short", mountpoint="line", fstype="rw"),
    ]
    assert filesystems.parse_mounts("\n/dev/sda1 /\n") == []


def test_a_mountpoint_that_is_no_text_is_asked_for_by_its_very_bytes(root: Path) -> None:
    (root / "proc/self/mounts").write_bytes(b"/dev/sda1 /mnt/\xff ext4 rw 0 0\n")
    asked: list[str] = []

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        return disk()

    filesystems.read(root, statvfs)
    assert [os.fsencode(path) for path in asked] == [b"/mnt/\xff"]


def test_types_that_live_on_a_device_are_local_and_images_and_clusters_are_left_alone() -> None:
    text = "nodev\tsysfs\nnodev\ttmpfs\nnodev\tnfs4\nnodev\t9p\n\text4\n\tvfat\n\tsquashfs\n\tfuseblk\n\tgfs2\n"
    assert filesystems.parse_types(text) == {"ext4", "vfat", "tmpfs", "rootfs", "zfs"}


def test_a_network_filesystem_is_never_asked(root: Path) -> None:
    lines = (
        "server:/export /mnt nfs4\n",
        "proc /proc proc\n",
        "share /host 9p\n",
        "x /y fuse.sshfs\n",
        "/dev/sda1 / ext4\n",
    )
    (root / "proc/self/mounts").write_text("".join(line.replace("\n", " rw 0 0\n") for line in lines), encoding="utf-8")
    asked: list[str] = []

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        return disk()

    filesystems.read(root, statvfs)
    assert asked == ["/"]


def test_a_device_is_told_once_wherever_it_is_mounted() -> None:
    assert chosen("/dev/sda1 / ext4", "/dev/sda1 /bind ext4", "/dev/sda2 /boot ext4") == ["/", "/boot"]


def test_every_tmpfs_is_its_own_and_comes_after_the_disks() -> None:
    assert chosen("tmpfs /run tmpfs", "tmpfs /tmp tmpfs", "/dev/sda1 / ext4") == ["/", "/run", "/tmp"]


def test_of_two_mounts_at_one_place_the_later_is_told() -> None:
    found = list(filesystems.choose(mounts("/dev/sda1 /mnt ext4", "/dev/sdb1 /mnt vfat"), LOCAL))
    assert [mount.device for mount in found] == ["/dev/sdb1"]


def test_a_network_mount_hides_the_disk_below_it() -> None:
    assert chosen("/dev/sda1 /mnt ext4", "server:/x /mnt nfs4") == []


def test_the_kernels_own_places_and_containers_layers_are_left_out() -> None:
    assert chosen("overlay / overlay", "overlay /var/x overlay", "tmpfs /sys/fs/cgroup tmpfs") == ["/"]


def test_a_filesystem_is_told_in_bytes() -> None:
    mount = Mount(device="/dev/sda1", mountpoint="/", fstype="ext4")
    assert filesystems.measure(mount, answering(disk(flags=os.ST_RDONLY))) == Filesystem(
        mountpoint="/",
        device="/dev/sda1",
        fstype="ext4",
        size_bytes=102400,
        free_bytes=61440,
        available_bytes=51200,
        files=10,
        files_free=4,
        is_read_only=True,
    )


def test_a_filesystem_without_inodes_does_not_claim_to_have_none() -> None:
    found = filesystems.measure(Mount("/dev/sda1", "/", "vfat"), answering(disk(files=0)))
    assert found is not None
    assert (found.files, found.files_free) == (None, None)


@pytest.mark.parametrize(
    "found", [disk(blocks=0), disk(blocks=2**63), disk(free=101), disk(available=2**64 - 5), disk(free=-1)]
)
def test_a_filesystem_with_numbers_that_cannot_be_is_left_out(found: os.statvfs_result) -> None:
    assert filesystems.measure(Mount("/dev/sda1", "/", "ext4"), answering(found)) is None


def test_a_filesystem_that_may_not_be_asked_costs_only_itself(root: Path) -> None:
    text = "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /secret ext4 rw 0 0\n"
    (root / "proc/self/mounts").write_text(text, encoding="utf-8")

    def statvfs(path: str) -> os.statvfs_result:
        if path == "/secret":
            raise PermissionError(errno.EACCES, "no")
        return disk()

    assert [found.mountpoint for found in filesystems.read(root, statvfs)["filesystems"]] == ["/"]


def test_filesystems_beyond_the_limit_are_counted(root: Path) -> None:
    lines = [f"/dev/sd{number} /mnt/{number} ext4 rw 0 0\n" for number in range(MAX_FILESYSTEMS + 3)]
    (root / "proc/self/mounts").write_text("".join(lines), encoding="utf-8")
    found = filesystems.read(root, answering(disk()))
    assert len(found["filesystems"]) == MAX_FILESYSTEMS
    assert found["filesystems_left_out"] == 3


def test_a_guest_knows_who_it_is(root: Path) -> None:
    assert identity.boot_id(root) == "7f0c1c8e-3a55-4f2e-8d7c-0e4a7d1f2b3c"
    assert identity.os_name(root) == "Debian GNU/Linux 12 (bookworm)"
    assert identity.kernel_release() == os.uname().release
    assert identity.machine() == os.uname().machine
    assert identity.hostname() == os.uname().nodename


def test_a_guest_without_those_files_does_not_know(tmp_path: Path) -> None:
    assert identity.boot_id(tmp_path) is None
    assert identity.os_name(tmp_path) is None


def test_an_os_release_below_usr_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("PRETTY_NAME=Plain\n", encoding="utf-8")
    assert identity.os_name(tmp_path) == "Plain"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", None),
        ("PRETTY_NAME=\n", None),
        ("# a comment\nNAME=x\n", None),
        ("PRETTY_NAME='Some OS'\n", "Some OS"),
        ('PRETTY_NAME="The \\"best\\" \\$5 OS"\n', 'The "best" $5 OS'),
        ("PRETTY_NAME=first\nPRETTY_NAME=last\n", "last"),
    ],
)
def test_the_systems_name_is_read_as_a_shell_would(text: str, name: str | None) -> None:
    assert identity.parse_os_release(text) == name
