"""The attacker's own end of the line: as honest as an attack leaves it, so that there is a session to harm."""

from __future__ import annotations

import random

from protocol.connection import Connection, Message, Received, State
from protocol.messages import Ack, Hello, HelloRequest, Metrics, Notice, Ping, Refresh, Role
from tests.support import hostile_bytes

WINDOW = 255  # more than any host should believe
_COSTS_CREDIT = (Metrics, Notice, Ping, Refresh)


class Peer:
    """One connection's."""

    def __init__(self) -> None:
        self.connection = Connection(Role.GUEST)
        self.chance = random.Random()  # noqa: S311 - no secret
        self.notices: list[int] = []  # the numbers of what the host has told

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self.connection.state is State.OPEN

    def hello(self) -> bytes:
        """A greeting, which is allowed at any time."""
        hello = Hello(
            version_min=1,
            version_max=1,
            nonce=self.chance.getrandbits(64),
            agent_version="hostile",
            window=WINDOW,
            journal=1 + self.chance.getrandbits(62),
        )
        return self.say(hello)

    def say(self, message: Message) -> bytes:
        """A message as an agent would send it."""
        return b"".join(self.connection.send(message))

    def forge(self, number: int, body: bytes) -> bytes:
        """A frame of this session with any type and body, under the number that is due."""
        frame = hostile_bytes.forged(self.connection, number, body)
        self.connection._sent += 1
        return frame

    def forge_long(self, number: int, body: bytes) -> bytes:
        """The same in chunks."""
        frames = hostile_bytes.chunked(self.connection, number, body, first=self.connection._sent + 1)
        self.connection._sent += len(frames)
        return b"".join(frames)

    def hear(self, data: bytes) -> bytes:
        """What an agent would answer to it at once: its greeting, and acknowledgements."""
        answers = b""
        for item in self.connection.receive(data):
            if not isinstance(item, Received):
                continue
            if isinstance(item.message, HelloRequest):
                answers += self.hello()
            elif isinstance(item.message, _COSTS_CREDIT):
                answers += self.say(Ack(sequence=item.sequence))
            if isinstance(item.message, Notice):
                self.notices.append(item.message.number)
        return answers
