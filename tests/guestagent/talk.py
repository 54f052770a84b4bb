"""A conversation with the clock, the host and the journal in the test's hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestagent.conversation import Conversation
from protocol.backoff import Backoff
from protocol.connection import Connection, Received
from protocol.messages import Hello, HelloRequest, Report, Role, Welcome
from tests.guestagent.journal import MemoryJournal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.connection import Message
    from protocol.errors import DropReason

ASK = HelloRequest(version_min=1, version_max=1)


class Talk:
    """A conversation, the host it is with, and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.greetings = 0
        self.host = Connection(Role.HOST)
        backoff = Backoff(first_seconds=1, most_seconds=30, draw=lambda _, high: high)
        self.journal = MemoryJournal()
        self.guest = Conversation(hello=self._hello, report=self._report, journal=self.journal, backoff=backoff)
        self.journal.on_ready = lambda: self.guest.look_at_journal(self.now)

    def _hello(self) -> Hello:
        self.greetings += 1
        return Hello(version_min=1, version_max=1, nonce=self.greetings, agent_version="0")

    def _report(self, drops: Mapping[DropReason, int], events_lost: int | None) -> Report:
        return Report(dropped_frames=sum(drops.values()), events_lost=events_lost)

    def passes(self, seconds: float) -> list[tuple[float, Message]]:
        """What the guest says in that time, and how long after its start."""
        start, said = self.now, []
        while (wait := self.guest.wait_seconds(self.now)) <= start + seconds - self.now:
            self.now += wait
            said += [(self.now - start, message) for message in self.spoken()]
        self.now = start + seconds
        return said

    def kinds(self, seconds: float) -> list[tuple[float, str]]:
        return [(round(at, 6), type(message).__name__) for at, message in self.passes(seconds)]

    def says(self, message: Message) -> list[Message]:
        """What the guest answers at once to the host's message."""
        return self.noise(b"".join(self.host.send(message)))

    def noise(self, data: bytes) -> list[Message]:
        self.guest.receive(data, self.now)
        return self.spoken()

    def spoken(self) -> list[Message]:
        """All that the guest has to say by now."""
        said = []
        while frames := self.guest.due(self.now):
            said += self.heard(frames)
        return said

    def heard(self, frames: tuple[bytes, ...]) -> list[Message]:
        pieces = [piece for frame in frames for piece in self.host.receive(frame)]
        return [piece.message for piece in pieces if isinstance(piece, Received)]

    def hears(self, message: Message) -> None:
        """The host says something, and the port takes nothing of the guest's yet."""
        self.guest.receive(b"".join(self.host.send(message)), self.now)

    def welcome(
        self,
        *,
        interval_seconds: float = 10,
        version: int = 1,
        events_taken: int | None = None,
        events_taken_token: int | None = None,
    ) -> None:
        self.hears(
            Welcome(
                version=version,
                nonce=self.greetings,
                session=7,
                report_interval_seconds=interval_seconds,
                capabilities=("events",),
                events_taken=events_taken,
                events_taken_token=events_taken_token,
            )
        )
