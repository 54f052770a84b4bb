"""What a connection promises whatever comes: never an exception, more memory, or a message that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol import schema
from protocol.chunks import MAX_MESSAGE_BYTES
from protocol.connection import TRANSITIONS, Connection, Dropped, Received, State
from protocol.framing import MAX_FRAME_BYTES
from protocol.messages import MAX_CHUNK_BYTES, MESSAGES, Hello, HelloRequest, Role, Welcome

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_HELD_BYTES = MAX_FRAME_BYTES + MAX_MESSAGE_BYTES + MAX_CHUNK_BYTES
MOST_SHOWN = 1000
ROWS = {row.message: row for row in MESSAGES}


def in_session(role: Role) -> tuple[Connection, Connection]:
    """An end in that role and its peer, in a session."""
    ends = {role: Connection(role) for role in Role}
    host, guest = ends[Role.HOST], ends[Role.GUEST]
    hello = Hello(version_min=1, version_max=1, nonce=1, agent_version="0", window=3)
    welcome = Welcome(version=1, nonce=1, session=7, report_interval_seconds=1)
    for sender, message, end in ((guest, hello, host), (host, welcome, guest)):
        for frame in sender.send(message):
            assert [type(piece) for piece in end.receive(frame)] == [Received]
    return ends[role], ends[Role.GUEST if role is Role.HOST else Role.HOST]


def take(end: Connection, reads: Iterable[bytes]) -> list[Received | Dropped]:
    """What the end makes of the reads, held to the contract; afterwards it still hears a greeting."""
    taken = []
    for data in reads:
        before = end.state
        for piece in end.receive(data):
            check(end, before, piece)
            before = end.state
            taken.append(piece)
        assert held_bytes(end) <= MOST_HELD_BYTES
    check_that_it_hears(end)
    return taken


def check(end: Connection, before: State, piece: Received | Dropped) -> None:
    """One piece: a drop that is fit for a log, or a message that keeps its schema and has its place."""
    if isinstance(piece, Dropped):
        assert len(piece.detail) < MOST_SHOWN
        assert piece.detail.isascii()
        assert piece.detail.isprintable()
        assert end.state is before
        return
    row = ROWS[type(piece.message)]
    record: schema.Record[object] = schema.Record(row.message)
    assert row.senders != (end.role,)
    assert TRANSITIONS[before, row.message] is end.state
    assert (end.session != 0) is (end.state is State.OPEN)
    assert schema.unpack(record, schema.pack(record, piece.message)) == piece.message


def held_bytes(end: Connection) -> int:
    """What the end keeps of input that is not whole yet."""
    return len(end._deframer._unfinished) + sum(map(len, end._assembly._parts))


def check_that_it_hears(end: Connection) -> None:
    """A new peer on the same line is heard, whatever came before."""
    peer = Connection(Role.GUEST if end.role is Role.HOST else Role.HOST)
    greeting = (
        Hello(version_min=1, version_max=1, nonce=2, agent_version="0")
        if peer.role is Role.GUEST
        else HelloRequest(version_min=1, version_max=1)
    )
    last = [piece for frame in peer.send(greeting) for piece in end.receive(frame)][-1]
    assert isinstance(last, Received)
    assert last.message == greeting
    assert not end.is_within_message
