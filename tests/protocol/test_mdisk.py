"""The metrics disk: vhostmd's layout byte for byte, and that a reader never takes a mix of two documents for one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol import mdisk
from protocol.mdisk import HEADER_BYTES, SIGNATURE, NotMetricsDisk, TooLarge
from protocol.vhostmd import Metric, document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZE = 160

contents = st.binary(min_size=1, max_size=40)
"""Of few different bytes, so that sums collide, and of any."""
alike = st.text("12", min_size=1, max_size=12).map(str.encode)


def applied(disk: bytes, writes: Sequence[mdisk.Write]) -> bytes:
    return list(states(disk, writes, whole=True))[-1]


def states(disk: bytes, writes: Sequence[mdisk.Write], *, whole: bool = False) -> Iterator[bytes]:
    """The disk as it is at first, and after each write or, unless they are whole, each byte of one."""
    yield disk
    for write in writes:
        pieces = [write.data] if whole else [bytes([byte]) for byte in write.data]
        at = write.offset
        for piece in pieces:
            disk = disk[:at] + piece + disk[at + len(piece) :]
            at += len(piece)
            yield disk


def updates(old: bytes, documents: Sequence[bytes]) -> tuple[list[bytes], list[Sequence[mdisk.Write]]]:
    """The contents that are put there one after the other (the first is there), and the writes of each update."""
    sums = [mdisk.checksum(old)]
    found = [old]
    writes: list[Sequence[mdisk.Write]] = []
    for each in documents:
        content = mdisk.distinct(each, sums)
        sums.append(mdisk.checksum(content))
        found.append(content)
        writes.append(mdisk.updating(content, SIZE))
    return found, writes


def disk_with(content: bytes) -> bytes:
    return applied(bytes(SIZE), mdisk.updating(content, SIZE))


def read(disk: bytes) -> bytes | None:
    """What a reader takes from a disk at rest."""
    return looked(disk, [disk] * SIZE, disk)


def looked(first: bytes, between: Sequence[bytes], last: bytes) -> bytes | None:
    """What a reader believes whose looks at the header and at each byte of the content found these disks."""
    try:
        before = mdisk.header_of(first)
        if before.is_busy or before.length > SIZE - HEADER_BYTES:
            return None
        content = bytes(between[at][HEADER_BYTES + at] for at in range(before.length))
        after = mdisk.header_of(last)
    except NotMetricsDisk:
        return None
    return content if mdisk.is_whole(before, after) else None


def test_the_example_is_vhostmds_own() -> None:
    content = document([Metric(name="Z", value="1")])
    assert len(content) == 113
    disk = applied(bytes(mdisk.DEFAULT_BYTES), mdisk.updating(content, mdisk.DEFAULT_BYTES))
    assert disk[:HEADER_BYTES] == bytes.fromhex("6d766264 00000000 000023b7 00000071")
    assert disk[HEADER_BYTES:] == content.ljust(mdisk.DEFAULT_BYTES - HEADER_BYTES, b"\0")


@pytest.mark.parametrize(
    ("content", "sum_"),
    [
        (b"", 0),
        (b"abc", 294),
        (b"\x7f\x80", 0xFFFF_FFFF),
        ("héllo".encode(), (ord("h") + 2 * ord("l") + ord("o") + 0xC3 + 0xA9 - 512) & 0xFFFF_FFFF),
        (b"\xff" * 3, 0xFFFF_FFFD),
    ],
)
def test_the_sum_is_of_signed_bytes_as_on_x86(content: bytes, sum_: int) -> None:
    assert mdisk.checksum(content) == sum_


def test_the_mark_comes_first_the_sum_after_the_content_and_the_mark_goes_last() -> None:
    writes = mdisk.updating(b"content", SIZE)
    assert [(write.offset, len(write.data)) for write in writes] == [(4, 4), (0, 4), (16, 7), (8, 8), (4, 4)]
    assert (writes[0].data[-1], writes[1].data, writes[-1].data) == (1, SIGNATURE, bytes(4))


def test_what_fills_the_disk_fits_and_a_byte_more_does_not() -> None:
    assert read(disk_with(b"x" * (SIZE - HEADER_BYTES))) == b"x" * (SIZE - HEADER_BYTES)
    with pytest.raises(TooLarge, match="145 bytes of metrics do not fit into the 144 bytes"):
        mdisk.updating(b"x" * (SIZE - HEADER_BYTES + 1), SIZE)


@pytest.mark.parametrize("data", [b"", b"mvbd", b"mvbd" + bytes(11), b"MVBD" + bytes(12), bytes(16)])
def test_another_disk_is_none(data: bytes) -> None:
    with pytest.raises(NotMetricsDisk):
        mdisk.header_of(data)


def test_any_mark_but_0_is_busy() -> None:
    assert mdisk.header_of(SIGNATURE + bytes.fromhex("ff000000") + bytes(8)).is_busy


@given(content=contents | alike, others=st.lists(alike | contents, max_size=8))
def test_a_sum_is_made_another_with_white_space_alone(content: bytes, others: list[bytes]) -> None:
    sums = {mdisk.checksum(other) for other in others}
    padded = mdisk.distinct(content, sums)
    assert mdisk.checksum(padded) not in sums
    assert padded.startswith(content)
    assert not padded[len(content) :].strip()
    assert len(padded) <= len(content) + len(sums) + 1
    assert (padded == content) == (mdisk.checksum(content) not in sums)


@given(content=contents)
def test_what_is_written_is_read(content: bytes) -> None:
    assert read(disk_with(content)) == content


@given(
    old=alike | contents,
    documents=st.lists(alike | contents, min_size=1, max_size=3),
    looks=st.lists(st.integers(min_value=0), min_size=SIZE + 2, max_size=SIZE + 2),
)
def test_a_reader_takes_one_of_the_documents_whole_whenever_it_looks(
    old: bytes, documents: list[bytes], looks: list[int]
) -> None:
    """Between any two bytes of the writes, and for each byte of the content at another moment."""
    found, writes = updates(old, documents)
    past = list(states(disk_with(old), list(itertools.chain(*writes))))
    first, *between, last = (past[at] for at in sorted(look % len(past) for look in looks))
    assert looked(first, between, last) in {None, *found}


@given(old=alike | contents, documents=st.lists(alike | contents, min_size=1, max_size=2), data=st.data())
def test_nor_a_mix_if_it_finds_the_content_half_way_at_whatever_moment(
    old: bytes, documents: list[bytes], data: st.DataObject
) -> None:
    """Every pair of looks at the header around every moment of the content, which is where a mix could come from."""
    found, writes = updates(old, documents)
    past = list(states(disk_with(old), list(itertools.chain(*writes))))
    at = data.draw(st.integers(0, len(past) - 1))
    for first in [*past[: at + 1 : 3], past[0]]:
        for last in [*past[at::3], past[-1]]:
            assert looked(first, [past[at]] * SIZE, last) in {None, *found}


@settings(max_examples=300)
@given(
    old=alike,
    documents=st.lists(alike, min_size=1, max_size=2),
    looks=st.lists(st.integers(0, 10), min_size=10, max_size=10),
)
@example(old=b"1111111", documents=[b"2222222"], looks=[0, 0, 3, 3, 3, 4, 5, 5, 5, 5])  # a mix, in vhostmd's order
def test_nor_if_a_look_at_the_header_is_torn(old: bytes, documents: list[bytes], looks: list[int]) -> None:
    """Word by word, each at another moment, and the content in two pieces; each write is one."""
    found, writes = updates(old, documents)
    past = list(states(disk_with(old), list(itertools.chain(*writes)), whole=True))
    moments = [past[min(at, len(past) - 1)] for at in sorted(looks)]
    first, last = (
        b"".join(moment[4 * word :][:4] for word, moment in enumerate(words)) for words in (moments[:4], moments[-4:])
    )
    assert looked(first, [moments[4]] * 3 + [moments[5]] * SIZE, last) in {None, *found}


@given(old=alike | contents | st.none(), new=alike | contents, data=st.data())
def test_a_writer_that_dies_at_any_byte_leaves_the_old_the_new_or_nothing(
    old: bytes | None, new: bytes, data: st.DataObject
) -> None:
    before = data.draw(st.binary(min_size=SIZE, max_size=SIZE)) if old is None else disk_with(old)
    if old is None and before.startswith(SIGNATURE):
        return
    content = mdisk.distinct(new, [] if old is None else [mdisk.checksum(old)])
    past = list(states(before, mdisk.updating(content, SIZE)))
    assert {read(disk) for disk in past} <= {None, old, content}
    assert read(past[-1]) == content
    for disk in past:
        assert read(applied(disk, mdisk.updating(b"another", SIZE))) == b"another"
