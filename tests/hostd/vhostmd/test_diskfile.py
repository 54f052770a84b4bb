"""One metrics disk's file: the same inode, and a whole document whatever happened."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hostd.vhostmd.diskfile import EMPTY, Disk, DiskUnusable
from protocol import mdisk
from protocol.vhostmd import Metric, document
from tests.hostd.vhostmd.disks import header, read
from tests.support.disks import no_file_longer_than

SIZE = mdisk.STEP_BYTES
ROOT = Path(__file__).parents[3]


def of(value: str) -> bytes:
    return document([Metric(name="A", value=value)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vhostmd0"


def content_of(path: Path) -> bytes:
    """Without what makes its sum another."""
    content = read(path)
    assert content is not None
    return content.rstrip()


def refusal(path: Path, content: bytes = b"x") -> str:
    with pytest.raises(DiskUnusable) as refused:
        Disk(path, SIZE).write(content)
    assert str(refused.value).startswith(str(path))
    return refused.value.reason


def test_a_disk_that_is_not_there_is_made_with_all_its_room(path: Path) -> None:
    disk = Disk(path, 4 * SIZE)
    assert disk.write(of("1"))
    assert read(path) == of("1")
    status = path.stat()
    assert (status.st_size, status.st_blocks * 512 >= 4 * SIZE) == (4 * SIZE, True)
    assert status.st_mode & 0o777 == 0o644 & ~_umask()
    disk.close()


def test_its_folder_is_made_so_that_nobody_lists_it_whatever_the_umask_and_no_folder_above(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Disk(tmp_path / "disks" / "a", SIZE).write(of("1"))
    finally:
        os.umask(before)
    assert (tmp_path / "disks").stat().st_mode & 0o777 == 0o711
    assert (tmp_path / "disks" / "a").stat().st_mode & 0o777 == 0o600
    assert refusal(tmp_path / "not" / "there" / "a") == "no_folder"
    assert not (tmp_path / "not").exists()


def test_the_inode_stays_over_changes_and_restarts(path: Path) -> None:
    path.touch()
    inode = path.stat().st_ino
    for value in ("1", "22", "3"):
        disk = Disk(path, SIZE)
        assert disk.write(of(value))
        assert disk.write(of(value + "x"))
        disk.close()
        assert (read(path), path.stat().st_ino) == (of(value + "x"), inode)


def test_what_has_not_changed_is_not_written(path: Path) -> None:
    disk = Disk(path, SIZE)
    assert disk.write(of("1"))
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    assert not disk.write(of("1"))
    disk.close()
    again = Disk(path, SIZE)
    assert not again.write(of("1"))
    assert path.read_bytes() == before[0]


def test_the_sum_changes_with_the_content_though_the_bytes_add_up_to_the_same(path: Path) -> None:
    disk, sums = Disk(path, SIZE), []
    for value in ("12", "21", "12", "21", "12"):
        assert disk.write(of(value))
        sums.append(header(path).sum)
        assert content_of(path) == of(value).rstrip()
    assert len(set(sums)) == 5


def test_nor_has_it_the_sum_that_an_earlier_process_left(path: Path) -> None:
    Disk(path, SIZE).write(of("12"))
    before = header(path).sum
    Disk(path, SIZE).write(of("21"))
    assert header(path).sum != before


def test_a_larger_file_is_left_as_it_is_and_no_more_of_it_is_used(path: Path) -> None:
    path.write_bytes(bytes(3 * SIZE))
    disk = Disk(path, SIZE)
    disk.write(b"x" * (SIZE - 16))
    with pytest.raises(DiskUnusable, match=r"do not fit into the 65520 bytes of the disk; raise vhostmd\.disk_size"):
        disk.write(b"y" * (SIZE - 15))
    assert (path.stat().st_size, read(path)) == (3 * SIZE, b"x" * (SIZE - 16))


def test_one_that_was_cut_is_large_enough_again(path: Path) -> None:
    disk = Disk(path, SIZE)
    disk.write(of("1"))
    os.truncate(path, 10)
    assert not disk.write(EMPTY)
    assert (path.stat().st_size, content_of(path)) == (SIZE, EMPTY.rstrip())


def test_what_is_too_large_leaves_the_old_document_whole(path: Path) -> None:
    disk = Disk(path, SIZE)
    disk.write(of("1"))
    with pytest.raises(DiskUnusable) as refused:
        disk.write(b"x" * SIZE)
    assert refused.value.reason == "too_large"
    assert (read(path), header(path).is_busy) == (of("1"), False)
    assert not disk.write(of("1"))


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff" * 500,
        b"mvbd" + bytes(12),
        b"mvbd" + bytes.fromhex("00000001 00000005 00000002") + b"ab",
        b"mvbd" + bytes.fromhex("00000000 00000005 fffffff0") + b"ab",
        b"mvbd" + bytes.fromhex("00000000 00000005 00000002") + b"ab",
    ],
    ids=["nothing", "anything", "no content", "busy", "endless", "a wrong sum"],
)
def test_whatever_is_there_is_repaired_even_if_nothing_can_be_written(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    assert refusal(path, b"x" * SIZE) == "too_large"
    assert read(path) == EMPTY


def test_a_whole_document_stays_until_there_is_another(path: Path) -> None:
    Disk(path, SIZE).write(of("1"))
    assert refusal(path, b"x" * SIZE) == "too_large"
    assert read(path) == of("1")


def test_an_update_that_broke_off_anywhere_is_repaired_in_the_same_file(path: Path) -> None:
    Disk(path, SIZE).write(of("1"))
    old, inode = path.read_bytes(), path.stat().st_ino
    writes = mdisk.updating(of("2"), SIZE)
    for done in range(sum(len(write.data) for write in writes) + 1):
        left = done
        with path.open("r+b", buffering=0) as disk:
            os.pwrite(disk.fileno(), old, 0)
            for write in writes:
                os.pwrite(disk.fileno(), write.data[:left], write.offset)
                left = max(0, left - len(write.data))
        assert read(path) in {None, of("1"), of("2")}
        assert refusal(path, b"x" * SIZE) == "too_large"
        assert read(path) in {EMPTY, of("1"), of("2")}
        assert path.stat().st_ino == inode


WRITER = """
import sys
from pathlib import Path
from hostd.vhostmd.diskfile import Disk
disk = Disk(Path(sys.argv[1]), 65536)
number = 0
while True:
    disk.write(b"<metrics>\\n" + b"%d " % number * 2000 + b"</metrics>\\n")
    print("written", flush=True)
    number += 1
"""


def test_a_process_that_is_killed_while_it_writes_leaves_what_the_next_one_repairs(path: Path) -> None:
    inode = None
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _, line in zip(range(50), writer.stdout, strict=False):
            assert line == "written\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        whole = read(path)
        assert whole is None or re.fullmatch(rb"<metrics>\n(\d+ )\1{1999}</metrics>\n( *\n)?", whole)
        assert refusal(path, b"x" * SIZE) == "too_large"
        assert read(path) == (EMPTY if whole is None else whole)
        assert path.stat().st_ino == (inode or path.stat().st_ino)
        inode = path.stat().st_ino


def test_a_write_that_fails_half_way_leaves_the_old_document_under_another_sum(path: Path) -> None:
    disk = Disk(path, SIZE)
    disk.write(b"old")
    before = header(path)
    with no_file_longer_than(100), pytest.raises(DiskUnusable, match="File too large") as failed:
        disk.write(b"new" * 100)
    assert failed.value.reason == "io_error"
    assert content_of(path) == b"old"
    assert header(path).sum != before.sum
    assert disk.write(b"new" * 100)
    assert read(path) == b"new" * 100


def test_if_not_even_that_can_be_written_nothing_may_be_believed_until_it_can(path: Path) -> None:
    disk = Disk(path, SIZE)
    disk.write(b"old" * 100)
    with no_file_longer_than(100), pytest.raises(DiskUnusable):
        disk.write(b"new" * 100)
    assert header(path).is_busy
    assert disk.write(b"old" * 100)
    assert content_of(path) == b"old" * 100


def test_where_there_is_no_room_nothing_is_touched(path: Path) -> None:
    with no_file_longer_than(100):
        assert refusal(path) == "io_error"
    assert Disk(path, SIZE).write(b"x")


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"precious")
    path.symlink_to(tmp_path / "other")
    assert refusal(path) == "unfit"
    path.unlink()
    path.hardlink_to(tmp_path / "other")
    assert refusal(path) == "unfit"
    assert (tmp_path / "other").read_bytes() == b"precious"


def test_nothing_but_a_file_that_may_be_a_disk_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "image").touch()
    os.truncate(tmp_path / "image", mdisk.MAX_BYTES + 1)
    assert [refusal(tmp_path / name) for name in ("pipe", "folder", "image")] == ["unfit"] * 3
    assert (tmp_path / "image").stat().st_blocks == 0


def test_a_file_that_is_gone_is_made_anew_and_its_folder_as_well(tmp_path: Path) -> None:
    path = tmp_path / "disks" / "a"
    disk = Disk(path, SIZE)
    disk.write(of("1"))
    with path.open("rb") as still_open:
        path.unlink()
        path.parent.rmdir()
        assert disk.write(of("1"))
        assert content_of(path) == of("1").rstrip()
        path.unlink()
        path.symlink_to("/dev/null")
        with pytest.raises(DiskUnusable):
            disk.write(of("1"))
        path.unlink()
        assert disk.write(of("1"))
        assert still_open.read(16 + len(of("1"))).endswith(of("1"))


def _umask() -> int:
    umask = os.umask(0o022)
    os.umask(umask)
    return umask
