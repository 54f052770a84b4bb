"""Both ends of a line as the tests speak of them: a host, a guest, and what each says to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol.connection import Connection, Dropped, Received
from protocol.errors import DropReason, LocalProtocolError
from protocol.messages import Hello, Role, Welcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.connection import Message


def hello(nonce: int = 1, version_min: int = 1, version_max: int = 1, window: int | None = None) -> Hello:
    return Hello(version_min=version_min, version_max=version_max, nonce=nonce, agent_version="0", window=window)


def welcome(nonce: int = 1, session: int = 7) -> Welcome:
    return Welcome(version=1, nonce=nonce, session=session, report_interval_seconds=10)


def ends() -> tuple[Connection, Connection]:
    return Connection(Role.HOST), Connection(Role.GUEST)


def greeted(nonce: int = 1, session: int = 7, window: int | None = None) -> tuple[Connection, Connection]:
    """A host and a guest in a session."""
    host, guest = ends()
    greet(host, guest, nonce=nonce, session=session, window=window)
    return host, guest


def greet(host: Connection, guest: Connection, *, nonce: int, session: int, window: int | None = None) -> None:
    said = hello(nonce, window=window)
    assert messages(host, guest.send(said)) == [said]
    assert messages(guest, host.send(welcome(nonce, session))) == [welcome(nonce, session)]


def pieces(end: Connection, frames: Iterable[bytes]) -> list[Received | Dropped]:
    """What the end makes of the frames."""
    return list(end.receive(b"".join(frames)))


def messages(end: Connection, frames: Iterable[bytes]) -> list[Message]:
    """The messages in the frames, of which nothing may be dropped."""
    taken = pieces(end, frames)
    assert not [piece for piece in taken if isinstance(piece, Dropped)]
    return [piece.message for piece in taken if isinstance(piece, Received)]


def drops(end: Connection, frames: Iterable[bytes]) -> list[DropReason]:
    """The reasons why everything in the frames was dropped, which must change nothing."""
    before = (end.state, end.session, end.credit)
    taken = pieces(end, frames)
    assert (end.state, end.session, end.credit) == before
    assert not [piece for piece in taken if isinstance(piece, Received)]
    return [piece.reason for piece in taken if isinstance(piece, Dropped)]


def refuses_to_send(end: Connection, message: Message) -> None:
    before = (end.state, end.session, end.credit, end.unacknowledged)
    with pytest.raises(LocalProtocolError):
        end.send(message)
    assert (end.state, end.session, end.credit, end.unacknowledged) == before
