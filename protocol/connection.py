"""One end of one line, as a value: bytes in, messages out, messages in, bytes out.

Everything that decides what may be said when lives here, in `TRANSITIONS`, and it is one law for both ends. There is no
socket, clock, task or randomness: the shells around it (hostd's sessions, the agent) only move bytes and keep time.

What the line beneath may do, and what answers it: it may lose, cut or repeat bytes at any point (frames carry a
checksum and a sequence number, and what is damaged is dropped alone); it may deliver a former connection's bytes first
(frames carry their session, and a greeting its nonce); the other side may vanish and return unseen (a greeting at any
time ends whatever session there was).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from protocol import framing, schema
from protocol.errors import DropReason, LocalProtocolError, RemoteProtocolError
from protocol.messages import (
    MESSAGES,
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    Ack,
    Goodbye,
    Hello,
    HelloRequest,
    Metrics,
    Refusal,
    Report,
    Role,
    Row,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Message = Union[HelloRequest, Hello, Welcome, Refusal, Goodbye, Ack, Report, Metrics]

WINDOW = 1
"""How many credit-costing frames may be on their way unacknowledged: the newest is worth more than a queue."""

_GREETING_SESSION = 0
_SEQUENCE_END = 0xFFFF_FFFF


class State(enum.Enum):
    """How far the two ends have come."""

    SILENT = "silent"  # the guest has not greeted
    GREETING = "greeting"  # the guest has greeted, the host has not answered
    OPEN = "open"  # both speak in one session


TRANSITIONS: Mapping[tuple[State, type[Any]], State] = {
    (State.SILENT, HelloRequest): State.SILENT,
    (State.GREETING, HelloRequest): State.SILENT,
    (State.OPEN, HelloRequest): State.SILENT,
    (State.SILENT, Hello): State.GREETING,
    (State.GREETING, Hello): State.GREETING,
    (State.OPEN, Hello): State.GREETING,
    (State.GREETING, Welcome): State.OPEN,
    (State.GREETING, Refusal): State.SILENT,
    (State.OPEN, Report): State.OPEN,
    (State.OPEN, Metrics): State.OPEN,
    (State.OPEN, Ack): State.OPEN,
    (State.OPEN, Goodbye): State.SILENT,
}

_BY_NUMBER: Mapping[int, Row] = {row.number: row for row in MESSAGES}
_BY_CLASS: Mapping[type[Any], Row] = {row.message: row for row in MESSAGES}
_RECORDS: Mapping[type[Any], schema.Record[Any]] = {row.message: schema.Record(row.message) for row in MESSAGES}


@dataclass(frozen=True)
class Dropped:
    """A piece of input that was thrown away; count it, and never answer it."""

    reason: DropReason
    detail: str


@dataclass(frozen=True)
class Received:
    """A message, and the number it travelled under."""

    message: Message
    sequence: int


class Connection:
    """One end of the line; a new one for each physical connection, or `reset()` when the same one comes back."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.state = State.SILENT
        self._deframer = framing.Deframer()
        self._session = _GREETING_SESSION
        self._nonce: int | None = None  # of the hello that awaits its answer
        self._sent = 0
        self._received = 0
        self._credit = 0
        self._awaited: int | None = None  # the sequence number that the peer has yet to acknowledge

    def reset(self) -> None:
        """Begin again: the far end went away, and what was half read or half agreed is void."""
        self._deframer.reset()
        self.state = State.SILENT
        self._end_session()

    @property
    def session(self) -> int:
        """The session's number, 0 while there is none."""
        return self._session

    @property
    def credit(self) -> int:
        """How many credit-costing messages may be sent now."""
        return self._credit if self.state is State.OPEN else 0

    @property
    def is_within_frame(self) -> bool:
        """Whether a frame has begun to arrive and has not ended."""
        return self._deframer.is_within_frame

    def send(self, message: Message) -> bytes:
        """The bytes to write for `message`, in one write.

        Raises:
            LocalProtocolError: this side may not send it now, or it is too long. The state is unchanged.

        """
        row = _BY_CLASS[type(message)]
        following = TRANSITIONS.get((self.state, type(message)))
        if row.sender is not self.role or following is None:
            msg = f"the {self.role.value} may not send {type(message).__name__} while {self.state.value}"
            raise LocalProtocolError(msg)
        if row.costs_credit and self.credit == 0:
            msg = f"{type(message).__name__} was sent and is not acknowledged; the next has to wait"
            raise LocalProtocolError(msg)
        encoded = framing.encode(self._frame(row, message))
        if not row.is_greeting:
            self._sent += 1
        if row.costs_credit:
            self._credit -= 1
            self._awaited = self._sent
        self._enter(following, message)
        return encoded

    def receive(self, data: bytes) -> Iterator[Received | Dropped]:
        """What `data` completes, in order. Take each before asking for the next: the state moves with them."""
        for piece in self._deframer.feed(data):
            try:
                if isinstance(piece, RemoteProtocolError):
                    raise piece
                received = self._accept(framing.decode(piece))
            except RemoteProtocolError as error:
                yield Dropped(error.reason, error.detail)
            else:
                yield received

    def _frame(self, row: Row, message: Message) -> framing.Frame:
        body = schema.pack(_RECORDS[row.message], message)
        if row.is_greeting:
            return framing.Frame(type=row.number, session=_GREETING_SESSION, sequence=0, body=body)
        if self._sent == _SEQUENCE_END:
            msg = "the session's sequence numbers are used up; greet again"
            raise LocalProtocolError(msg)
        return framing.Frame(type=row.number, session=self._session, sequence=self._sent + 1, body=body)

    def _accept(self, frame: framing.Frame) -> Received:
        row = _BY_NUMBER.get(frame.type)
        if row is None:
            raise RemoteProtocolError(DropReason.TYPE, f"message type {frame.type} is not known")
        name = row.message.__name__
        if row.sender is self.role:
            raise RemoteProtocolError(DropReason.SENDER, f"{name} comes only from this side")
        self._check_session(row, frame)
        following = TRANSITIONS.get((self.state, row.message))
        if following is None:
            raise RemoteProtocolError(DropReason.STATE, f"{name} has no place while {self.state.value}")
        message: Message = schema.unpack(_RECORDS[row.message], frame.body)
        self._check_nonce(message)
        if not row.is_greeting:
            self._received = frame.sequence
        self._enter(following, message)
        return Received(message, frame.sequence)

    def _check_session(self, row: Row, frame: framing.Frame) -> None:
        expected = _GREETING_SESSION if row.is_greeting else self._session
        if frame.session != expected or (expected == _GREETING_SESSION and not row.is_greeting):
            raise RemoteProtocolError(DropReason.SESSION, f"session {frame.session:#x} is not {expected:#x}")
        if not row.is_greeting and frame.sequence <= self._received:
            raise RemoteProtocolError(DropReason.SEQUENCE, f"{frame.sequence} is not after {self._received}")

    def _check_nonce(self, message: Message) -> None:
        if isinstance(message, (Welcome, Refusal)) and message.nonce != self._nonce:
            raise RemoteProtocolError(DropReason.SESSION, f"{type(message).__name__} answers another hello")

    def _enter(self, state: State, message: Message) -> None:
        self.state = state
        if isinstance(message, (HelloRequest, Goodbye)):
            self._end_session()
        elif isinstance(message, Hello):
            self._end_session()
            self._nonce = message.nonce
        elif isinstance(message, Welcome):
            self._session = message.session
            self._credit = WINDOW
        elif isinstance(message, Ack) and message.sequence == self._awaited:
            self._credit = min(self._credit + 1, WINDOW)

    def _end_session(self) -> None:
        self._session = _GREETING_SESSION
        self._nonce = None
        self._sent = 0
        self._received = 0
        self._credit = 0
        self._awaited = None


def agree(hello: Hello) -> int | None:
    """The newest message version both ends speak, or `None` when there is none."""
    version = min(hello.version_max, PROTOCOL_VERSION)
    return version if version >= max(hello.version_min, OLDEST_VERSION) else None
