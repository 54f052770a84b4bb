"""What can go wrong on the wire, named after whose fault it is.

`LocalProtocolError` is a bug on our side of the wire and ends the program. `RemoteProtocolError` is the peer's doing,
or noise; it never leaves `connection`, which turns it into a counted `Dropped`.
"""

from __future__ import annotations

import enum


class DropReason(enum.Enum):
    """Why a piece of input was thrown away; each is a counter's label on both sides, `about` its help."""

    about: str

    def __new__(cls, word: str, about: str) -> DropReason:  # noqa: D102, PYI034 - `Self` is of Python 3.11
        reason = object.__new__(cls)
        reason._value_ = word
        reason.about = about
        return reason

    FRAMING = (
        "framing",
        "Not COBS, or too short to be a frame: noise, or a frame cut in two. A run of short pieces is one.",
    )
    OVERSIZE = "oversize", "No delimiter within the largest frame, or a message in chunks that is over the limit."
    CHECKSUM = "checksum", "Damaged on the way, or of a session with the same number between others."
    VERSION = "version", "A frame layout this side does not know."
    TYPE = "type", "A message this side does not know."
    SCHEMA = "schema", "A known message whose body breaks its rules."
    SENDER = "sender", "A message only this side may send, come back to it."
    STATE = "state", "A message that has no place in this state."
    SESSION = "session", "Of a session that is over, or never was."
    SEQUENCE = "sequence", "Seen before, or older than what was seen."
    CHUNK = "chunk", "Part of a longer message of which another part is missing, or that may not come in parts."


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
