"""What can go wrong on the wire, named after whose fault it is.

`LocalProtocolError` is a bug on our side of the wire and ends the program. `RemoteProtocolError` is the peer's doing,
or noise; it never leaves `connection`, which turns it into a counted `Dropped`.
"""

from __future__ import annotations

import enum


class DropReason(enum.Enum):
    """Why a piece of input was thrown away; each is a counter's label on both sides."""

    FRAMING = "framing"  # not COBS, or too short to be a frame: noise, or a frame cut in two
    OVERSIZE = "oversize"  # no delimiter within the largest frame
    CHECKSUM = "checksum"  # damaged on the way
    VERSION = "version"  # a frame layout this side does not know
    TYPE = "type"  # a message this side does not know
    SCHEMA = "schema"  # a known message whose body breaks its rules
    SENDER = "sender"  # a message only this side may send, come back to it
    STATE = "state"  # a message that has no place in this state
    SESSION = "session"  # from a session that is over
    SEQUENCE = "sequence"  # seen before, or older than what was seen
    CHUNK = "chunk"  # part of a longer message of which another part is missing


class ProtocolError(Exception):
    """Anything the wire can complain of."""


class LocalProtocolError(ProtocolError):
    """This side tried to send what it may not: a bug here."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what it may not, or the bytes were damaged on the way."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
