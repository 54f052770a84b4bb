"""Two connections over a line that loses, cuts, repeats and adds bytes, as a virtio port across restarts does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.connection import Connection, Dropped, Received, State
from protocol.messages import (
    Ack,
    Detail,
    Event,
    Events,
    EventsTaken,
    Hello,
    HelloRequest,
    Metrics,
    Notice,
    NoticeAnswer,
    Ping,
    Refresh,
    Report,
    Role,
    Welcome,
)

if TYPE_CHECKING:
    from protocol.connection import Message

JOURNAL = 3
GREETINGS = (Hello, HelloRequest, Welcome)
SIDES = st.sampled_from(Role)
WORDS = {Role.HOST: ("metrics", "ping", "refresh", "notice"), Role.GUEST: ("report", "event", "long")}
WHAT = st.one_of([st.tuples(st.just(role), st.sampled_from(("greet", *words))) for role, words in WORDS.items()])
STEP = st.one_of(
    st.tuples(st.just("say"), WHAT),
    st.tuples(st.just("say"), WHAT),
    st.tuples(st.just("deliver"), SIDES, st.just(1.0) | st.floats(0, 1)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("lose"), SIDES, st.floats(0, 1), st.sampled_from([1, 20, 100, 31_000, 70_000])),
    st.tuples(st.just("repeat"), SIDES, st.floats(0, 1), st.sampled_from([20, 300, 40_000])),
    st.tuples(st.just("add"), SIDES, st.binary(max_size=20)),
)
TRIES = settings(max_examples=300)
BEGINNING = st.sampled_from([[("heal",)], [("heal",), ("say", (Role.GUEST, "long"))], []])
STEPS = st.builds(list.__add__, BEGINNING, st.lists(STEP, min_size=10, max_size=60) | st.lists(STEP, max_size=10))
"""Most begin in a session, and are long enough for something to go wrong in it."""


class Line:
    """Host and guest, the bytes on their way to each, and what each keeps in order to say it again."""

    def __init__(self) -> None:
        self.ends = {role: Connection(role) for role in Role}
        self.coming = dict.fromkeys(Role, b"")
        self.history = dict.fromkeys(Role, b"")
        self.said: dict[Role, list[Message]] = {role: [] for role in Role}
        self.heard: dict[Role, list[tuple[int, Received]]] = {role: [] for role in Role}
        self.journal: list[Event] = []  # what the guest has not been told is taken
        self.taken: list[int] = []  # the numbers of events as they counted for the host
        self.notices: dict[int, Notice] = {}  # what the guest has not answered
        self.events = 0
        self.count = 0

    def say(self, what: tuple[Role, str]) -> None:
        """Something new, as far as the end may say it now."""
        role, word = what
        self.count += 1
        if word == "greet":
            self.greet(role)
            return
        message = getattr(self, word)()
        if self.ends[role].state is State.OPEN and (role is Role.GUEST or self.ends[role].credit):
            self.send(role, message)

    def greet(self, role: Role) -> None:
        ask = HelloRequest(version_min=1, version_max=1)
        hello = Hello(version_min=1, version_max=1, nonce=self.count, agent_version="0", window=3)
        self.send(role, ask if role is Role.HOST else hello)

    def metrics(self) -> Metrics:
        return Metrics(host_time_seconds=self.count)

    def ping(self) -> Ping:
        return Ping()

    def refresh(self) -> Refresh:
        return Refresh()

    def notice(self) -> Notice:
        self.notices[self.count] = Notice(number=self.count, kind="moved", severity="info", text="")
        return self.notices[self.count]

    def report(self) -> Report:
        return Report(uptime_seconds=self.count)

    def event(self, details: int = 1) -> Events:
        """One more event, and with it all that the host has not taken."""
        self.events += 1
        many = tuple(Detail(name="d", value="x" * 256) for _ in range(details))
        self.journal.append(
            Event(number=self.events, kind="happened", severity="info", text=str(self.count), details=many)
        )
        return Events(journal=JOURNAL, events=tuple(self.journal[:50]))

    def long(self) -> Events:
        for _ in range(8):
            events = self.event(details=16)
        return events

    def send(self, role: Role, message: Message) -> None:
        data = b"".join(self.ends[role].send(message))
        to = _other(role)
        self.coming[to] += data
        self.history[to] = (self.history[to] + data)[-200_000:]
        self.said[role].append(message)

    def deliver(self, role: Role, share: float) -> None:
        length = round(share * len(self.coming[role]))
        data, self.coming[role] = self.coming[role][:length], self.coming[role][length:]
        for piece in self.ends[role].receive(data):
            if not isinstance(piece, Dropped):
                self.hear(role, piece)

    def hear(self, role: Role, received: Received) -> None:
        self.heard[role].append((self.ends[role].session, received))
        if role is Role.HOST:
            self.hear_as_host(received.message)
        else:
            self.hear_as_guest(received)

    def hear_as_host(self, message: Message) -> None:
        if isinstance(message, Hello):
            self.count += 1
            taken = self.taken[-1] if self.taken else 0
            self.send(
                Role.HOST,
                Welcome(
                    version=1,
                    nonce=message.nonce,
                    session=self.count,
                    report_interval_seconds=1,
                    events_taken=taken,
                ),
            )
        elif isinstance(message, Events):
            last = self.taken[-1] if self.taken else 0
            self.taken += [event.number for event in message.events if event.number > last]
            self.send(Role.HOST, EventsTaken(journal=JOURNAL, number=self.taken[-1]))
        elif isinstance(message, NoticeAnswer):
            self.notices.pop(message.number, None)

    def hear_as_guest(self, received: Received) -> None:
        message = received.message
        if isinstance(message, HelloRequest):
            self.count += 1
            self.greet(Role.GUEST)  # a request that came late may still be needed to heal the line
        elif isinstance(message, EventsTaken):
            self.forget(message.number)
        elif isinstance(message, Welcome):
            self.forget(message.events_taken or 0)
        elif isinstance(message, (Metrics, Ping, Refresh, Notice)):
            self.send(Role.GUEST, Ack(sequence=received.sequence))
        if isinstance(message, Notice):
            self.send(Role.GUEST, NoticeAnswer(number=message.number, status="seen"))

    def forget(self, number: int) -> None:
        self.journal = [event for event in self.journal if event.number > number]

    def lose(self, role: Role, start: float, most_bytes: int) -> None:
        coming = self.coming[role]
        at = round(start * len(coming))
        self.coming[role] = coming[:at] + coming[at + most_bytes :]

    def repeat(self, role: Role, start: float, most_bytes: int) -> None:
        history = self.history[role]
        at = round(start * len(history))
        self.coming[role] += history[at : at + most_bytes]

    def add(self, role: Role, noise: bytes) -> None:
        self.coming[role] += noise

    def settle(self) -> None:
        while any(self.coming.values()):
            for role in Role:
                self.deliver(role, 1)

    def heal(self) -> None:
        """A greeting on a line that has come to rest."""
        self.settle()
        self.say((Role.GUEST, "greet"))
        self.settle()


def _other(role: Role) -> Role:
    return Role.GUEST if role is Role.HOST else Role.HOST


def after(steps: list[tuple[object, ...]]) -> Line:
    line = Line()
    for name, *arguments in steps:
        getattr(line, str(name))(*arguments)
    return line


@given(STEPS)
@TRIES
def test_nothing_is_heard_that_was_not_said(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    for role in Role:
        assert all(received.message in line.said[_other(role)] for _, received in line.heard[role])


@given(STEPS)
@TRIES
def test_nothing_in_a_session_is_heard_twice_or_out_of_order(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    for role in Role:
        within = [
            (session, received.sequence)
            for session, received in line.heard[role]
            if not isinstance(received.message, GREETINGS)
        ]
        assert within == sorted(set(within))


@given(STEPS)
@TRIES
def test_every_event_counts_once_in_order_and_none_is_forgotten_before(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    kept = [event.number for event in line.journal]
    assert line.taken == list(range(1, len(line.taken) + 1))
    assert kept == list(range(line.events - len(kept) + 1, line.events + 1))
    assert not kept or kept[0] <= len(line.taken) + 1


@given(STEPS)
@TRIES
def test_never_more_is_on_its_way_to_the_guest_than_it_granted(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    host = line.ends[Role.HOST]
    assert host.unacknowledged <= 3
    assert host.credit == (3 - host.unacknowledged if host.state is State.OPEN else 0)


@given(STEPS)
@TRIES
def test_a_fresh_greeting_on_a_quiet_line_heals_everything(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    line.heal()
    line.say((Role.GUEST, "report"))
    line.say((Role.HOST, "metrics"))
    line.settle()
    host, guest = line.ends[Role.HOST], line.ends[Role.GUEST]
    assert host.state is guest.state is State.OPEN
    assert host.session == guest.session
    assert line.heard[Role.HOST][-2][1].message == line.said[Role.GUEST][-2]
    assert line.heard[Role.GUEST][-1][1].message == line.said[Role.HOST][-1]
    assert isinstance(line.heard[Role.HOST][-1][1].message, Ack)
    assert host.credit == 3


@given(STEPS)
@TRIES
def test_what_was_kept_is_said_again_after_a_greeting_until_nothing_is_left(steps: list[tuple[object, ...]]) -> None:
    line = after(steps)
    line.heal()
    line.say((Role.GUEST, "event"))  # at most 50 a message
    while line.journal:
        line.settle()
        line.send(Role.GUEST, Events(journal=JOURNAL, events=tuple(line.journal[:50]))) if line.journal else None
    for notice in list(line.notices.values()):
        line.send(Role.HOST, notice)
        line.settle()
    assert line.taken == list(range(1, line.events + 1))
    assert not line.notices
