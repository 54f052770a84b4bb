"""The metrics disk: found among others, read when it is whole, and never waited for without end."""

from __future__ import annotations

import os
import resource
import threading
from typing import TYPE_CHECKING

import pytest

from guestagent.vhostmd import disk
from guestagent.vhostmd.source import Clock, SourceFailed
from protocol import mdisk
from tests.guestagent.vhostmd.places import Machine, header, put, write

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = b"<metrics>\n</metrics>\n"


class Virtual(Clock):
    """A clock that a wait puts forward; something may happen meanwhile."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.seconds = 0.0
        self.waits = 0
        self._meanwhile = meanwhile

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds
        self.waits += 1
        self._meanwhile()


def read(machine: Machine, clock: Clock | None = None) -> bytes:
    return disk.read(str(machine.dev), str(machine.sys), clock or Virtual()).content


def failure(machine: Machine, clock: Clock | None = None) -> str:
    with pytest.raises(SourceFailed) as caught:
        read(machine, clock)
    assert caught.value.said.splitlines() == ["read_mdisk(): Unable to read metrics disk", str(caught.value)]
    return str(caught.value)


def test_the_disk_is_found_by_how_it_begins(machine: Machine) -> None:
    machine.disk("vda", b"\xeb\x63\x90".ljust(70000, b"\0"))
    machine.disk("sr0", b"")
    node = machine.metrics_disk(DOCUMENT, name="sdc")
    assert disk.read(str(machine.dev), str(machine.sys)) == (DOCUMENT, str(node))


def test_a_name_with_an_exclamation_mark_is_a_node_in_a_folder(machine: Machine) -> None:
    machine.metrics_disk(DOCUMENT, name="cciss!c0d1")
    assert read(machine) == DOCUMENT


def test_a_disk_too_large_for_metrics_is_never_opened(machine: Machine) -> None:
    """Its storage may hang, and then so would whoever reads it."""
    for name, sectors in (("vda", mdisk.MAX_BYTES // 512 + 1), ("sr0", 0)):
        os.mkfifo(machine.disk(name, b"", sectors=sectors).with_suffix(".fifo"))
        machine.dev.joinpath(f"{name}.fifo").rename(machine.dev / name)
    assert failure(machine) == "no disk that is small enough for one"


@pytest.mark.parametrize("length", [1, 512 - 16, 65536 - 16, 65536 - 15, 200_000, 2_000_000])
def test_every_byte_comes_and_no_more(machine: Machine, length: int) -> None:
    content = (b"0123456789" * (length // 10 + 1))[:length]
    machine.metrics_disk(content, size=-(-(length + 16) // 65536) * 65536)
    assert read(machine) == content


def test_a_disk_may_be_full_and_smaller_than_a_step(machine: Machine) -> None:
    machine.metrics_disk(b"x" * 1008, size=1024)
    assert read(machine) == b"x" * 1008


@pytest.mark.parametrize("sum_", [0, 1, 0xFFFF_FFFF])
def test_the_sum_is_compared_with_itself_alone(machine: Machine, sum_: int) -> None:
    """A host on ARM adds bytes up as unsigned, one on x86 as signed."""
    put(machine.disk("vdb", header(sum_=sum_, length=3)), 16, b"a\xe9b")
    assert read(machine) == b"a\xe9b"


def test_what_the_host_has_changed_is_seen(machine: Machine) -> None:
    node = machine.metrics_disk(DOCUMENT)
    assert read(machine) == DOCUMENT
    write(node, b"<metrics>new</metrics>\n")
    assert read(machine) == b"<metrics>new</metrics>\n"


def test_a_disk_that_is_being_written_is_looked_at_again(machine: Machine) -> None:
    node = machine.metrics_disk(b"old")
    write(node, b"new", writes=1)
    clock = Virtual(lambda: write(node, b"new"))
    assert (read(machine, clock), clock.waits) == (b"new", 1)


def test_a_disk_that_stays_busy_is_given_up(machine: Machine) -> None:
    node = machine.disk("vdb", header(busy=1))
    clock = Virtual()
    assert failure(machine, clock) == (
        f"{node}: the disk stays busy (15 s): has its writer on the host ended in the midst?"
    )
    assert clock.seconds == disk.PATIENCE_SECONDS


def test_disks_that_stay_busy_are_waited_for_once_and_another_still_counts(machine: Machine) -> None:
    machine.disk("vdb", header(busy=1))
    machine.disk("vdc", header(busy=7))
    machine.metrics_disk(DOCUMENT, name="vdd")
    clock = Virtual()
    assert read(machine, clock) == DOCUMENT
    assert clock.seconds <= disk.PATIENCE_SECONDS


@pytest.mark.parametrize("at", [1, 2])
def test_a_document_that_changes_between_two_looks_is_read_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Even if its sum and length are the same."""
    node = machine.metrics_disk(b"12" * 40_000)
    reads = 0
    fill = disk._Disk._fill

    def filled(self: disk._Disk, *arguments: object) -> int:
        nonlocal reads
        reads += 1
        if reads == at + 1:
            write(node, b"21" * 40_000)
        return fill(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(disk._Disk, "_fill", filled)
    clock = Virtual()
    assert read(machine, clock) == b"21" * 40_000
    assert clock.waits == (at > 1)


def test_a_document_that_never_stands_still_is_given_up(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    node = machine.metrics_disk(b"0")
    fill, contents = disk._Disk._fill, iter(range(10**9))

    def filled(self: disk._Disk, *arguments: object) -> int:
        write(node, str(next(contents)).encode())
        return fill(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(disk._Disk, "_fill", filled)
    assert failure(machine) == f"{node}: the disk changes faster than it can be read"


def test_a_writer_at_work_is_never_seen_half_done(machine: Machine) -> None:
    node = machine.metrics_disk(b"0" * 100_000)
    is_over = threading.Event()

    def keep_writing() -> None:
        digit = 0
        while not is_over.is_set():
            digit = (digit + 1) % 10
            write(node, str(digit).encode() * 100_000)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        contents = []
        for _ in range(20):
            try:
                contents.append(read(machine))
            except SourceFailed as error:
                assert "faster than" in str(error) or "stays busy" in str(error)  # noqa: PT017 - either may be
    finally:
        is_over.set()
        writer.join()
    assert all(len(content) == 100_000 and len(set(content)) == 1 for content in contents)


@pytest.mark.parametrize("length", [0xFFFF_FFF0, 0xFFFF_FFFF, mdisk.DEFAULT_BYTES, mdisk.DEFAULT_BYTES - 15])
def test_a_length_that_cannot_be_costs_no_memory(machine: Machine, length: int) -> None:
    node = machine.disk("vdb", header(length=length).ljust(mdisk.DEFAULT_BYTES, b"\0"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert failure(machine) == f"{node}: claims {length} bytes of metrics, on a disk of {mdisk.DEFAULT_BYTES}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_disk_that_was_never_written_says_so(machine: Machine) -> None:
    assert failure(machine) == "no disk that is small enough for one"
    node = machine.disk("vdb", header())
    assert failure(machine) == f"{node}: holds no metrics yet"


@pytest.mark.parametrize("data", [b"", b"mvb", b"mvbd" + bytes(11), b"MVBD".ljust(65536, b"\0")])
def test_other_disks_are_named(machine: Machine, data: bytes) -> None:
    node = machine.disk("vdb", data, sectors=8)
    assert failure(machine) == f"no metrics disk among {node}"


def test_a_disk_that_may_not_be_read_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    node = machine.metrics_disk(DOCUMENT)

    def denied(path: str, *_: object) -> int:
        raise PermissionError(13, os.strerror(13), path)

    monkeypatch.setattr(os, "open", denied)
    assert failure(machine) == f"{node}: Permission denied (root may look, and the group disk)"


def test_a_disk_that_vanishes_is_told(machine: Machine) -> None:
    machine.metrics_disk(DOCUMENT).unlink()
    assert failure(machine) == f"{machine.dev}/vdb: No such file or directory"


@pytest.mark.parametrize("refused_at", ["open", "read"])
def test_where_the_page_cache_cannot_be_passed_by_it_is_read_through(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, refused_at: str
) -> None:
    machine.metrics_disk(DOCUMENT)
    really_open, really_read, refusals = os.open, os.preadv, list[object]()

    def opened(path: str, flags: int) -> int:
        if flags & os.O_DIRECT and refused_at == "open":
            refusals.append(path)
            raise OSError(22, "Invalid argument")
        return really_open(path, flags)

    def filled(descriptor: int, buffers: list[object], offset: int) -> int:
        if refused_at == "read" and not refusals:
            refusals.append(descriptor)
            raise OSError(22, "Invalid argument")
        return really_read(descriptor, buffers, offset)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "preadv", filled)
    assert read(machine) == DOCUMENT
    assert refusals
