"""One end of one line, as a value: bytes in, messages out, messages in, bytes out.

Everything that decides what may be said when lives here, in `TRANSITIONS`, and it is one law for both ends. There is no
socket, clock, task or randomness: the shells around it (hostd's sessions, the agent) only move bytes and keep time.

What the line beneath may do, and what answers it: it may lose, cut or repeat bytes at any point (frames carry a
checksum and a sequence number, and what is damaged is dropped alone); it may deliver a former connection's bytes first
(frames carry their session, which is also the seed of their checksum, and a greeting its nonce); the other side may
vanish and return unseen (a greeting at any time ends whatever session there was).
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from protocol import chunks, framing, schema
from protocol.errors import DropReason, LocalProtocolError, RemoteProtocolError
from protocol.messages import (
    MAX_CHUNK_BYTES,
    MAX_WINDOW,
    MESSAGES,
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    Ack,
    Chunk,
    Events,
    EventsTaken,
    Goodbye,
    Hello,
    HelloRequest,
    Metrics,
    Notice,
    NoticeAnswer,
    Ping,
    Refresh,
    Refusal,
    Report,
    Role,
    Row,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Message = Union[
    HelloRequest,
    Hello,
    Welcome,
    Refusal,
    Goodbye,
    Report,
    Events,
    EventsTaken,
    Metrics,
    Ack,
    Ping,
    Refresh,
    Notice,
    NoticeAnswer,
]

_GREETING_SESSION = 0
_SEED = struct.Struct(">QI")  # the guest's nonce, the host's session number
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
    (State.OPEN, Chunk): State.OPEN,
    (State.OPEN, Report): State.OPEN,
    (State.OPEN, Events): State.OPEN,
    (State.OPEN, EventsTaken): State.OPEN,
    (State.OPEN, Metrics): State.OPEN,
    (State.OPEN, Ack): State.OPEN,
    (State.OPEN, Ping): State.OPEN,
    (State.OPEN, Refresh): State.OPEN,
    (State.OPEN, Notice): State.OPEN,
    (State.OPEN, NoticeAnswer): State.OPEN,
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
        self._assembly = chunks.Assembly()
        self._nonce: int | None = None  # of the hello that awaits its answer
        self._unacknowledged: deque[int] = deque()  # the numbers of what the peer has yet to acknowledge
        self._end_session()

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
        return max(0, self._window - len(self._unacknowledged)) if self.state is State.OPEN else 0

    @property
    def sent(self) -> int:
        """The number under which the last message of this session was sent; 0 before the first."""
        return self._sent

    @property
    def unacknowledged(self) -> int:
        """How many credit-costing messages are on their way, as far as is known."""
        return len(self._unacknowledged)

    @property
    def is_within_message(self) -> bool:
        """Whether a frame or a chunked message has begun to arrive and has not ended: what a deadline looks at."""
        return self._deframer.is_within_frame or self._assembly.is_unfinished

    def send(self, message: Message) -> tuple[bytes, ...]:
        """The frames of `message`, each to be given to the port in one write; more than one if it is long.

        They have to go out in the order of the sends, nothing between the frames of one: their numbers say so.

        Raises:
            LocalProtocolError: this side may not send it now, or it is too long. The state is unchanged.

        """
        row = _BY_CLASS[type(message)]
        following = TRANSITIONS.get((self.state, type(message)))
        if self.role not in row.senders or following is None or row.message is Chunk:
            msg = f"the {self.role.value} may not send {type(message).__name__} while {self.state.value}"
            raise LocalProtocolError(msg)
        if row.costs_credit and self.credit == 0:
            msg = f"{len(self._unacknowledged)} messages are not acknowledged; {type(message).__name__} has to wait"
            raise LocalProtocolError(msg)
        if isinstance(message, (Welcome, Refusal)) and message.nonce != self._nonce:
            msg = f"{type(message).__name__} has to carry the nonce of the hello that it answers"
            raise LocalProtocolError(msg)
        frames = tuple(self._frames(row, message))
        if not row.is_greeting:
            self._sent += len(frames)
        if row.costs_credit:
            self._unacknowledged.append(self._sent)
        self._enter(following, message)
        return frames

    def receive(self, data: bytes) -> Iterator[Received | Dropped]:
        """What `data` completes, in order. Take each before asking for the next: the state moves with them."""
        for piece in self._deframer.feed(data):
            try:
                if isinstance(piece, RemoteProtocolError):
                    raise piece
                yield from self._accept(framing.decode(piece, self._seed_of))
            except RemoteProtocolError as error:
                yield Dropped(error.reason, error.detail)

    def _frames(self, row: Row, message: Message) -> Iterator[bytes]:
        body = schema.pack(_RECORDS[row.message], message)
        if row.is_greeting:
            yield framing.encode(framing.Frame(type=row.number, session=_GREETING_SESSION, sequence=0, body=body))
            return
        bodies = [(row.number, body)]
        if len(body) > MAX_CHUNK_BYTES:
            chunk_row, record = _BY_CLASS[Chunk], _RECORDS[Chunk]
            bodies = [(chunk_row.number, schema.pack(record, chunk)) for chunk in chunks.cut(row.number, body)]
        if self._sent + len(bodies) > _SEQUENCE_END:
            msg = "the session's sequence numbers are used up; greet again"
            raise LocalProtocolError(msg)
        for sequence, (number, part) in enumerate(bodies, self._sent + 1):
            frame = framing.Frame(type=number, session=self._session, sequence=sequence, body=part)
            yield framing.encode(frame, self._seed)

    def _accept(self, frame: framing.Frame) -> Iterator[Received | Dropped]:
        """What the frame completes, and what it shows to be lost. Its number is used up only if it is well."""
        row = self._row(frame.type)
        self._check_session(row, frame)
        chunk: Chunk | None = schema.unpack(_RECORDS[Chunk], frame.body) if row.message is Chunk else None
        if not row.is_greeting and self._assembly.is_cut_short_by(frame.sequence, chunk):
            self._assembly.reset()
            yield Dropped(DropReason.CHUNK, f"{row.message.__name__} {frame.sequence} came before a message was whole")
        if chunk is None:
            yield self._accept_message(row, frame.body, frame.sequence)
            return
        row = self._row(chunk.kind)
        if row.is_greeting or row.message is Chunk:
            raise RemoteProtocolError(DropReason.CHUNK, f"{row.message.__name__} never comes in chunks")
        self._received = frame.sequence
        body = self._assembly.add(chunk, frame.sequence)
        if body is not None:
            yield self._accept_message(row, body, frame.sequence)

    def _accept_message(self, row: Row, body: bytes, sequence: int) -> Received:
        following = TRANSITIONS.get((self.state, row.message))
        if following is None:
            raise RemoteProtocolError(DropReason.STATE, f"{row.message.__name__} has no place while {self.state.value}")
        message: Message = schema.unpack(_RECORDS[row.message], body)
        self._check_nonce(message)
        if not row.is_greeting:
            self._received = sequence
        self._enter(following, message)
        return Received(message, sequence)

    def _row(self, number: int) -> Row:
        """The message that the peer may send under that number."""
        row = _BY_NUMBER.get(number)
        if row is None:
            raise RemoteProtocolError(DropReason.TYPE, f"message type {number} is not known")
        if self.role in row.senders and len(row.senders) == 1:
            raise RemoteProtocolError(DropReason.SENDER, f"{row.message.__name__} comes only from this side")
        return row

    def _check_session(self, row: Row, frame: framing.Frame) -> None:
        expected = _GREETING_SESSION if row.is_greeting else self._session
        if frame.session != expected or (expected == _GREETING_SESSION and not row.is_greeting):
            raise RemoteProtocolError(DropReason.SESSION, f"session {frame.session:#x} is not {expected:#x}")
        if not row.is_greeting and frame.sequence <= self._received:
            raise RemoteProtocolError(DropReason.SEQUENCE, f"{frame.sequence} is not after {self._received}")

    def _check_nonce(self, message: Message) -> None:
        if isinstance(message, (Welcome, Refusal)) and message.nonce != self._nonce:
            raise RemoteProtocolError(DropReason.SESSION, f"{type(message).__name__} answers another hello")

    def _seed_of(self, session: int) -> int | None:
        if session == _GREETING_SESSION:
            return 0
        return self._seed if session == self._session else None

    def _enter(self, state: State, message: Message) -> None:
        self.state = state
        if isinstance(message, (HelloRequest, Goodbye)):
            self._end_session()
        elif isinstance(message, Hello):
            self._end_session()
            self._nonce = message.nonce
            self._granted = min(message.window or 1, MAX_WINDOW)
        elif isinstance(message, Welcome):
            self._session = message.session
            self._seed = zlib.crc32(_SEED.pack(message.nonce, message.session))
            self._window = self._granted
        elif isinstance(message, Ack) and message.sequence <= self._sent:
            while self._unacknowledged and self._unacknowledged[0] <= message.sequence:
                self._unacknowledged.popleft()

    def _end_session(self) -> None:
        self._assembly.reset()
        self._session = _GREETING_SESSION
        self._seed = 0
        self._nonce = None
        self._sent = 0
        self._received = 0
        self._granted = 1
        self._window = 0
        self._unacknowledged.clear()


def agree(hello: Hello) -> int | None:
    """The newest message version both ends speak, or `None` when there is none."""
    version = min(hello.version_max, PROTOCOL_VERSION)
    return version if version >= max(hello.version_min, OLDEST_VERSION) else None
