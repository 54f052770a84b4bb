"""How long a session waits for its guest, and when it gives the line up: with a clock that a test sets."""

from asyncio import StreamWriter
from dataclasses import replace
from typing import TypeAlias, cast

import pytest

from hostd.config import GuestSettings
from hostd.guests import session
from hostd.guests.session import _LineDown, _Session
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.model.stats import DomainState
from hostd.store import Store
from protocol.backoff import Backoff
from protocol.connection import Connection, Message, Received
from protocol.messages import Ack, Goodbye, HelloRequest, Metrics, Role, Welcome
from tests.support.builders import HELLO, REPORT, UUID, channel, facts, world

INTERVAL = 10.0
SILENT = 30.0  # three intervals
GREETING = 20.0
PARTIAL = 5.0

Sent: TypeAlias = list[Message]


class Wire:
    """The host's writer; the agent at the other end reads at once, unless it `is_clogged`."""

    def __init__(self) -> None:
        self.guest = Connection(Role.GUEST)
        self.is_clogged = False
        self._unsent = bytearray()

    @property
    def transport(self) -> "Wire":
        return self

    def get_write_buffer_size(self) -> int:
        return len(self._unsent) if self.is_clogged else 0

    def write(self, data: bytes) -> None:
        self._unsent += data

    def said(self) -> Sent:
        """What the host has said since the last time."""
        data = bytes(self._unsent)
        self._unsent.clear()
        return [item.message for item in self.guest.receive(data) if isinstance(item, Received)]


class Talk:
    """A session, its guest, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, state: DomainState, is_open_in_guest: bool | None) -> None:
        self.now = 1000.0
        monkeypatch.setattr(_Session, "_now", staticmethod(lambda: self.now))
        its = channel(is_open_in_guest=is_open_in_guest)
        self.store = Store(world(Domain(facts=facts(channel=its, state=state))))
        self.wire = Wire()
        retry = Backoff(first_seconds=1.0, most_seconds=1.0)
        settings = GuestSettings(report_interval_seconds=INTERVAL)
        self.session = _Session(self.store, UUID, cast("StreamWriter", self.wire), settings, retry)

    def at(self, seconds_later: float) -> Sent:
        """That much later, with nothing heard in between; what the host then says."""
        self.now += seconds_later
        self.session.hear(b"")
        self.session.speak()
        return self.wire.said()

    def hear(self, data: bytes) -> Sent:
        """The host hears that; what it says to it."""
        self.session.hear(data)
        self.session.speak()
        return self.wire.said()

    def say(self, message: Message) -> Sent:
        """The guest says that; what the host says to it."""
        return self.hear(self.wire.guest.send(message))

    def begin(self) -> None:
        """Greet, be told, and acknowledge."""
        assert [type(message) for message in self.at(0)] == [HelloRequest]
        assert [type(message) for message in self.say(HELLO)] == [Welcome, Metrics]
        assert self.say(Ack(sequence=1)) == []


@pytest.fixture(autouse=True)
def _times(monkeypatch: pytest.MonkeyPatch, _quick_to_retry_slow_to_judge: None) -> None:
    monkeypatch.setattr(session, "LEAST_SILENT_SECONDS", 5.0)
    monkeypatch.setattr(session, "GREETING_SECONDS", GREETING)
    monkeypatch.setattr(session, "PARTIAL_FRAME_SECONDS", PARTIAL)


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    return Talk(monkeypatch, state=DomainState.RUNNING, is_open_in_guest=True)


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Talk:
    return Talk(monkeypatch, state=DomainState.PAUSED, is_open_in_guest=True)


def run_on(talk: Talk) -> None:
    """The domain goes on."""
    talk.store.tell(changes.DomainDescribed(facts=facts(channel=channel())))


def stop_short(talk: Talk) -> None:
    """The domain is paused."""
    talk.store.tell(changes.DomainDescribed(facts=facts(channel=channel(), state=DomainState.PAUSED)))


def test_nothing_more_is_told_without_an_acknowledgement_however_long_it_takes(talk: Talk) -> None:
    talk.at(0)
    talk.say(HELLO)
    for _ in range(5):
        talk.now += INTERVAL - 5
        assert talk.say(REPORT) == []
    assert [type(message) for message in talk.say(Ack(sequence=1))] == [Metrics]


def test_the_next_is_told_an_interval_after_the_last_and_not_before(talk: Talk) -> None:
    talk.begin()
    assert talk.at(INTERVAL - 0.1) == []
    assert [type(message) for message in talk.at(0.2)] == [Metrics]


def test_a_guest_that_acknowledges_nothing_has_its_line_opened_anew(talk: Talk) -> None:
    talk.at(0)
    talk.say(HELLO)
    for _ in range(int(SILENT) - 1):
        talk.now += 1
        talk.say(REPORT)
    talk.now += 2
    with pytest.raises(_LineDown, match="nothing acknowledged for 30 s"):
        talk.say(REPORT)


def test_a_guest_that_falls_silent_has_its_line_opened_anew(talk: Talk) -> None:
    talk.begin()
    talk.at(SILENT - 1)
    with pytest.raises(_LineDown, match="no frame for 30 s"):
        talk.at(2)


def test_noise_is_not_a_sign_of_life(talk: Talk) -> None:
    talk.begin()
    talk.now += SILENT - 1
    talk.hear(b"\0noise\0")
    with pytest.raises(_LineDown):
        talk.at(2)


def test_a_port_that_is_open_in_the_guest_and_yields_no_hello_is_connected_to_anew(talk: Talk) -> None:
    talk.at(GREETING - 1)
    with pytest.raises(_LineDown, match="no frame for 20 s"):
        talk.at(2)


@pytest.mark.parametrize("is_open_in_guest", [False, None])
def test_a_port_that_nobody_in_the_guest_has_open_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, *, is_open_in_guest: bool | None
) -> None:
    talk = Talk(monkeypatch, state=DomainState.RUNNING, is_open_in_guest=is_open_in_guest)
    for _ in range(10):
        talk.at(GREETING)


def test_a_guest_is_asked_for_its_hello_sparingly(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "REQUEST_SECONDS", 2.0)
    asked = sum(len(talk.at(0.25)) for _ in range(4 * 18))
    assert 1 < asked <= 10


def test_a_guest_in_a_paused_domain_is_waited_for_and_its_old_report_is_dropped(paused: Talk) -> None:
    paused.begin()
    paused.say(REPORT)
    paused.at(SILENT - 1)
    assert paused.store.world.domains[UUID].guest.report == REPORT
    for _ in range(10):
        paused.at(SILENT)
        known = paused.store.world.domains[UUID].guest
        assert (known.report, known.is_connected) == (None, True)


def test_a_guest_that_was_paused_has_its_time_again_when_it_goes_on(talk: Talk) -> None:
    talk.at(0)
    talk.say(HELLO)
    stop_short(talk)
    talk.hear(b"\0half a fra")
    for _ in range(20):
        talk.at(SILENT / 2)
    run_on(talk)
    talk.at(PARTIAL - 1)
    talk.hear(b"me\0")
    assert talk.store.world.domains[UUID].guest.is_connected
    assert talk.say(Ack(sequence=1)) != []


def test_a_frame_that_does_not_end_in_time_costs_the_line(talk: Talk) -> None:
    talk.begin()
    talk.hear(b"\0half a ")
    talk.at(PARTIAL - 1)
    talk.hear(b"frame")
    with pytest.raises(_LineDown, match="a frame did not end within 5 s"):
        talk.at(2)


def test_frames_that_end_in_time_may_each_leave_the_beginning_of_the_next(talk: Talk) -> None:
    talk.begin()
    data = talk.wire.guest.send(REPORT)
    for _ in range(10):
        following = talk.wire.guest.send(REPORT)
        talk.hear(data[len(data) // 2 :] if _ else data)
        talk.hear(following[: len(following) // 2])
        talk.at(PARTIAL - 1)
        data = following
    assert talk.store.world.domains[UUID].guest.reports == 10


def test_a_guest_that_does_not_read_is_cut_off_before_it_holds_much_of_our_memory(talk: Talk) -> None:
    talk.wire.is_clogged = True
    hellos = talk.wire.guest.send(HELLO) * 10_000
    with pytest.raises(_LineDown, match="has not read"):
        talk.session.hear(hellos)
    assert talk.wire.get_write_buffer_size() < session.MAX_UNSENT_BYTES + 1024


def test_after_goodbye_the_guest_is_asked_again_after_an_interval(talk: Talk) -> None:
    talk.begin()
    assert talk.say(Goodbye(reason="ends")) == []
    assert talk.at(INTERVAL - 1) == []
    assert [type(message) for message in talk.at(2)] == [HelloRequest]


def test_a_guest_that_was_refused_is_left_alone_for_long(talk: Talk) -> None:
    talk.at(0)
    talk.say(replace(HELLO, version_min=2, version_max=2))
    assert talk.at(GREETING - 1) == []


@pytest.mark.parametrize("step", ["silent", "open", "unacknowledged", "partial", "paused"])
def test_a_session_never_sleeps_past_what_it_has_to_do_and_never_spins(talk: Talk, step: str) -> None:
    talk.at(0)
    if step != "silent":
        talk.say(HELLO)
        if step != "unacknowledged":
            talk.say(Ack(sequence=1))
        if step == "partial":
            talk.hear(b"\0half")
        if step == "paused":
            stop_short(talk)
    for _ in range(20):
        wakes_at = talk.session.wakes_at()
        assert talk.now < wakes_at <= talk.now + max(SILENT, GREETING)
        try:
            talk.at(wakes_at - talk.now)
        except _LineDown:
            return
