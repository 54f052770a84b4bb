"""Bytes to frames: what noise may cost, and what it may never do."""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import framing
from protocol.errors import DropReason, LocalProtocolError, RemoteProtocolError
from protocol.framing import Deframer, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAMES = st.builds(
    Frame,
    type=st.integers(0, 0xFF),
    session=st.integers(0, 0xFFFF_FFFF),
    sequence=st.integers(0, 0xFFFF_FFFF),
    body=st.binary(max_size=300) | st.lists(st.sampled_from([b"\0", b"a"]), max_size=600).map(b"".join),
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=5)
"""Where along the stream, how many bytes go, what comes instead."""


def pieces(chunks: Iterable[bytes]) -> list[bytes | str]:
    deframer = Deframer()
    found = (piece for chunk in chunks for piece in deframer.feed(chunk))
    return [str(piece) if isinstance(piece, RemoteProtocolError) else piece for piece in found]


def frames(stream: bytes) -> list[Frame]:
    decoded = []
    for piece in Deframer().feed(stream):
        try:
            if isinstance(piece, RemoteProtocolError):
                raise piece
            decoded.append(framing.decode(piece))
        except RemoteProtocolError:
            continue
    return decoded


def is_subsequence(some: list[Frame], every: list[Frame]) -> bool:
    rest = iter(every)
    return all(frame in rest for frame in some)


def reason_of(stuffed: bytes) -> DropReason:
    with pytest.raises(RemoteProtocolError) as caught:
        framing.decode(stuffed)
    return caught.value.reason


@given(st.binary(max_size=1200))
@example(b"")
@example(b"a" * 253)
@example(b"a" * 254)
@example(b"a" * 255)
@example(b"a" * 508)
@example(b"a" * 254 + b"\0")
@example(b"\0" * 300)
def test_stuffing_takes_every_zero_out_and_unstuffing_puts_it_back(content: bytes) -> None:
    stuffed = framing.stuff(content)
    assert b"\0" not in stuffed
    assert framing.unstuff(stuffed) == content


@given(st.binary(max_size=300))
def test_unstuffing_anything_else_is_the_peers_error(stuffed: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        framing.unstuff(stuffed)


def test_stuffing_costs_one_byte_in_254_and_one() -> None:
    assert len(framing.stuff(b"a" * 25400)) <= 25400 + 101


@given(FRAMES)
def test_a_frame_comes_back_as_it_was_sent(frame: Frame) -> None:
    assert frames(framing.encode(frame)) == [frame]


SEEDS = st.integers(0, 0xFFFF_FFFF)


@given(FRAMES, SEEDS, SEEDS)
def test_a_frame_is_read_with_the_seed_it_was_made_with_and_no_other(frame: Frame, seed: int, other: int) -> None:
    (piece,) = Deframer().feed(framing.encode(frame, seed))
    assert isinstance(piece, bytes)
    assert framing.decode(piece, lambda _: seed) == frame
    if seed != other:
        with pytest.raises(RemoteProtocolError, match="checksum"):
            framing.decode(piece, lambda _: other)
    if seed:
        with pytest.raises(RemoteProtocolError, match="session"):
            framing.decode(piece, lambda _: None)


@given(st.lists(FRAMES, max_size=6), EDITS)
def test_noise_costs_at_most_the_frames_it_touches_and_never_makes_one_up(
    sent: list[Frame], edits: list[tuple[float, int, bytes]]
) -> None:
    stream: list[tuple[int, int, int]] = []  # each byte, and which of which frame it is
    for number, frame in enumerate(sent):
        stream += [(byte, number, place) for place, byte in enumerate(framing.encode(frame))]
    for where, length, noise in edits:
        at = int(where * len(stream))
        stream[at : at + length] = [(byte, -1, 0) for byte in noise]
    untouched = [frame for number, frame in enumerate(sent) if has_run(stream, number, len(framing.encode(frame)))]
    received = frames(bytes(byte for byte, _, _ in stream))
    assert is_subsequence(received, sent)
    assert is_subsequence(untouched, received)


def has_run(stream: list[tuple[int, int, int]], number: int, length: int) -> bool:
    """Whether all of a frame's bytes are still there with nothing in between."""
    origins = [(of, place) for _, of, place in stream]
    run = [(number, place) for place in range(length)]
    return run[0] in origins and origins[origins.index(run[0]) :][:length] == run


@given(st.lists(FRAMES | st.binary(max_size=50), max_size=5), st.lists(st.integers(1, 60)))
def test_how_the_stream_is_cut_into_reads_makes_no_difference(sent: list[Frame | bytes], cuts: list[int]) -> None:
    stream = b"".join(framing.encode(piece) if isinstance(piece, Frame) else piece for piece in sent)
    chunks, rest = [], stream
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    assert pieces([*chunks, rest]) == pieces([stream])


@pytest.mark.parametrize("chunk_bytes", [1, 1000, framing.MAX_FRAME_BYTES, 100_000])
def test_an_overlong_piece_is_told_once_and_the_next_frame_is_read(chunk_bytes: int) -> None:
    frame = framing.encode(Frame(type=1, session=2, sequence=3, body=b"x"))
    stream = b"a" * 100_000 + frame
    chunks = [stream[at : at + chunk_bytes] for at in range(0, len(stream), chunk_bytes)]
    overlong, piece = pieces(chunks)
    assert isinstance(overlong, str)
    assert overlong.startswith("oversize")
    assert isinstance(piece, bytes)
    assert framing.decode(piece).body == b"x"


def test_noise_without_end_takes_no_more_memory_than_one_frame() -> None:
    deframer = Deframer()
    for _ in range(100):
        list(deframer.feed(b"a" * 5000))
        assert len(deframer._unfinished) <= framing.MAX_FRAME_BYTES
        assert deframer.is_within_frame


@pytest.mark.parametrize("read_bytes", [1, 2, 7, 5000])
def test_pieces_too_short_for_a_frame_are_told_once_for_each_run_of_them(read_bytes: int) -> None:
    frame = framing.encode(Frame(type=1, session=2, sequence=3, body=b""))
    stream = b"\0" * 50 + b"\0a\0\0bc" * 100 + frame + b"a\0" + frame + frame + b"\0\0" + b"x" * 14 + b"\0" + frame
    reads = [stream[at : at + read_bytes] for at in range(0, len(stream), read_bytes)]
    told = [piece if isinstance(piece, str) else "frame" for piece in pieces(reads)]
    assert [word.partition(":")[0] for word in told] == [
        "framing",
        "frame",
        "framing",
        "frame",
        "frame",
        "framing",
        "frame",
    ]


def test_delimiters_alone_are_nothing() -> None:
    assert pieces([b"\0" * 100_000]) == []


def test_the_shortest_frame_is_not_taken_for_debris() -> None:
    frame = Frame(type=1, session=2, sequence=3, body=b"")
    assert frames(framing.encode(frame)) == [frame]
    assert len(framing.encode(frame)) == framing._LEAST_STUFFED_BYTES + 2


def test_a_reset_forgets_the_unfinished_piece() -> None:
    deframer = Deframer()
    encoded = framing.encode(Frame(type=1, session=2, sequence=3, body=b"x"))
    assert list(deframer.feed(encoded[:7])) == []
    assert deframer.is_within_frame
    deframer.reset()
    assert not deframer.is_within_frame
    assert [framing.decode(piece).body for piece in deframer.feed(encoded) if isinstance(piece, bytes)] == [b"x"]


def test_the_largest_frame_passes_and_one_byte_more_is_our_bug() -> None:
    def of(size: int) -> Frame:
        return Frame(type=1, session=2, sequence=3, body=b"x" * size)

    size = framing.MAX_FRAME_BYTES - 300
    while len(framing.encode(of(size))) < framing.MAX_FRAME_BYTES:
        size += 1
    with pytest.raises(LocalProtocolError, match="32769 bytes is over the 32768"):
        framing.encode(of(size + 1))
    largest = framing.encode(of(size))
    assert len(frames(largest)) == 1


def test_damage_is_told_by_its_kind() -> None:
    def stuffed(layout: int, *, checksum_off_by: int = 0) -> bytes:
        content = framing.HEADER.pack(layout, 1, 2, 3) + b"body"
        return framing.stuff(content + framing.CHECKSUM.pack(zlib.crc32(content) ^ checksum_off_by))

    assert framing.decode(stuffed(framing.LAYOUT_VERSION)).body == b"body"
    assert reason_of(stuffed(framing.LAYOUT_VERSION, checksum_off_by=1)) is DropReason.CHECKSUM
    assert reason_of(stuffed(framing.LAYOUT_VERSION + 1)) is DropReason.VERSION
    assert reason_of(framing.stuff(b"short")) is DropReason.FRAMING
    assert reason_of(b"\x05ab") is DropReason.FRAMING
    assert reason_of(b"\x03a\0") is DropReason.FRAMING
    assert reason_of(b"") is DropReason.FRAMING
