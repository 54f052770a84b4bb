"""Two connections over a line that loses, cuts, repeats and adds bytes, as a virtio port across restarts does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from protocol.connection import Connection, Dropped, Received, State
from protocol.messages import Ack, Hello, HelloRequest, Metrics, Report, Role, Welcome

if TYPE_CHECKING:
    from protocol.connection import Message

SIDES = st.sampled_from(Role)
STEPS = st.lists(
    st.tuples(st.just("say"), SIDES, st.sampled_from(["greet", "tell"]))
    | st.tuples(st.just("deliver"), SIDES, st.floats(0, 1))
    | st.tuples(st.just("lose"), SIDES, st.floats(0, 1), st.floats(0, 1))
    | st.tuples(st.just("repeat"), SIDES, st.floats(0, 1), st.floats(0, 1))
    | st.tuples(st.just("add"), SIDES, st.binary(max_size=20)),
    max_size=60,
)


class Line:
    """Host and guest, and the bytes on their way to each."""

    def __init__(self) -> None:
        self.ends = {role: Connection(role) for role in Role}
        self.coming = dict.fromkeys(Role, b"")
        self.history = dict.fromkeys(Role, b"")
        self.said: dict[Role, list[Message]] = {role: [] for role in Role}
        self.heard: dict[Role, list[tuple[int, Received]]] = {role: [] for role in Role}
        self.count = 0

    def say(self, role: Role, what: str) -> None:
        """Something new, as far as the end may say it now."""
        self.count += 1
        end = self.ends[role]
        if what == "greet":
            ask = HelloRequest(version_min=1, version_max=1)
            hello = Hello(version_min=1, version_max=1, nonce=self.count, agent_version="0")
            self.send(role, ask if role is Role.HOST else hello)
        elif end.state is State.OPEN and role is Role.GUEST:
            self.send(role, Report(uptime_seconds=self.count))
        elif end.credit:
            self.send(role, Metrics(host_time_seconds=self.count))

    def send(self, role: Role, message: Message) -> None:
        data = self.ends[role].send(message)
        to = _other(role)
        self.coming[to] += data
        self.history[to] += data
        self.said[role].append(message)

    def deliver(self, role: Role, share: float) -> None:
        length = round(share * len(self.coming[role]))
        data, self.coming[role] = self.coming[role][:length], self.coming[role][length:]
        for piece in self.ends[role].receive(data):
            if not isinstance(piece, Dropped):
                self.hear(role, piece)

    def hear(self, role: Role, received: Received) -> None:
        self.heard[role].append((self.ends[role].session, received))
        if isinstance(received.message, Hello):
            self.count += 1
            answer = Welcome(version=1, nonce=received.message.nonce, session=self.count, report_interval_seconds=1)
            self.send(role, answer)
        elif isinstance(received.message, HelloRequest):
            self.say(role, "greet")  # the answer to a request whose end was late may be needed to heal the line
        elif isinstance(received.message, Metrics):
            self.send(role, Ack(sequence=received.sequence))

    def lose(self, role: Role, start: float, share: float) -> None:
        coming = self.coming[role]
        at = round(start * len(coming))
        self.coming[role] = coming[:at] + coming[at + round(share * 100) :]

    def repeat(self, role: Role, start: float, share: float) -> None:
        history = self.history[role]
        at = round(start * len(history))
        self.coming[role] += history[at : at + round(share * 300)]

    def add(self, role: Role, noise: bytes) -> None:
        self.coming[role] += noise

    def settle(self) -> None:
        while any(self.coming.values()):
            for role in Role:
                self.deliver(role, 1)


def _other(role: Role) -> Role:
    return Role.GUEST if role is Role.HOST else Role.HOST


def after(steps: list[tuple[object, ...]]) -> Line:
    line = Line()
    for name, *arguments in steps:
        getattr(line, str(name))(*arguments)
    return line


@given(STEPS)
def test_nothing_is_heard_that_was_not_said(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    for role in Role:
        assert all(received.message in line.said[_other(role)] for _, received in line.heard[role])


@given(STEPS)
def test_nothing_in_a_session_is_heard_twice_or_out_of_order(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    for role in Role:
        within = [
            (session, received.sequence)
            for session, received in line.heard[role]
            if isinstance(received.message, (Report, Metrics, Ack))
        ]
        assert within == sorted(set(within))


@given(STEPS)
def test_a_fresh_greeting_on_a_quiet_line_heals_everything(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    line.settle()
    line.say(Role.GUEST, "greet")
    line.settle()
    line.say(Role.GUEST, "tell")
    line.say(Role.HOST, "tell")
    line.settle()
    ends = line.ends
    assert ends[Role.HOST].state is ends[Role.GUEST].state is State.OPEN
    assert ends[Role.HOST].session == ends[Role.GUEST].session
    assert line.heard[Role.HOST][-2][1].message == line.said[Role.GUEST][-2]
    assert line.heard[Role.GUEST][-1][1].message == line.said[Role.HOST][-1]
    assert isinstance(line.heard[Role.HOST][-1][1].message, Ack)
    assert ends[Role.HOST].credit == 1
