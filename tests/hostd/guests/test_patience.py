"""How long a session waits for its guest, and when it gives the line up: with a clock that a test sets."""

from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

import pytest

from hostd.channels.mentions import Mentions
from hostd.guests import dialogue, patience
from hostd.guests.budget import Budget
from hostd.guests.dialogue import Dialogue, Greeted, patience_with
from hostd.guests.labels import Allowance, Labels
from hostd.guests.patience import Greetings, LineDown, Patience
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.model.stats import DomainState
from hostd.settings import GuestSettings
from hostd.store import Store
from protocol.connection import Connection, Message, Received
from protocol.messages import Ack, Goodbye, HelloRequest, Metrics, Ping, Role, Welcome
from tests.support.builders import HELLO, REPORT, UUID, channel, facts, world

INTERVAL = 10.0
SILENT = 30.0  # three intervals
GREETING = 20.0
PARTIAL = 5.0

Sent: TypeAlias = list[Message]


class Talk:
    """A dialogue, its guest, who reads at once, and the time."""

    def __init__(self, *, state: DomainState = DomainState.RUNNING, is_open_in_guest: bool | None = True) -> None:
        self.now = 1000.0
        its = channel(is_open_in_guest=is_open_in_guest)
        self.store = Store(world(Domain(facts=facts(channel=its, state=state))))
        self.guest = Connection(Role.GUEST)
        self.greetings = Greetings()
        self.connect()

    def connect(self) -> None:
        """The host opens the line anew."""
        settings = GuestSettings(report_interval_seconds=INTERVAL)
        its_patience = Patience(self.greetings, patience_with(settings), self.now)
        self.dialogue = Dialogue(
            self.store, UUID, settings, its_patience, Budget(), Labels(Allowance(10_000), 400), Mentions(UUID)
        )

    def at(self, seconds_later: float) -> Sent:
        """That much later, with nothing heard in between; what the host then says."""
        self.now += seconds_later
        return self.hear(b"")

    def hear(self, data: bytes) -> Sent:
        """The host hears that; what it says to it."""
        self.dialogue.hear(data, self.now, self.now)
        for question in self.dialogue.questions():
            if isinstance(question, Greeted):
                self.dialogue.welcome(question, taken=None, takes_events=False, now=self.now)
        said = b"".join(self.dialogue.speak(self.now, self.now))
        return [item.message for item in self.guest.receive(said) if isinstance(item, Received)]

    def say(self, message: Message) -> Sent:
        """The guest says that; what the host says to it."""
        return self.hear(b"".join(self.guest.send(message)))

    def begin(self) -> None:
        """Greet, be told, and acknowledge."""
        assert [type(message) for message in self.at(0)] == [HelloRequest]
        assert [type(message) for message in self.say(HELLO)] == [Welcome, Metrics]
        assert self.say(Ack(sequence=1)) == []


@pytest.fixture(autouse=True)
def _times(monkeypatch: pytest.MonkeyPatch, _quick_to_retry_slow_to_judge: None) -> None:
    monkeypatch.setattr(dialogue, "REQUEST_SECONDS", 3600.0)
    monkeypatch.setattr(patience, "LEAST_SILENT_SECONDS", 5.0)
    monkeypatch.setattr(patience, "MOST_SILENT_SECONDS", 30.0)
    monkeypatch.setattr(patience, "FIRST_GREETING_SECONDS", GREETING)
    monkeypatch.setattr(patience, "MOST_GREETING_SECONDS", 60.0)
    monkeypatch.setattr(patience, "MESSAGE_SECONDS", PARTIAL)


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.fixture
def paused() -> Talk:
    return Talk(state=DomainState.PAUSED)


def run_down(talk: Talk) -> None:
    """Nothing is heard until the line is given up."""
    while True:
        talk.at(1)


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
    with pytest.raises(LineDown, match="nothing acknowledged for 30 s"):
        talk.say(REPORT)


def test_a_guest_that_falls_silent_has_its_line_opened_anew(talk: Talk) -> None:
    talk.begin()
    talk.at(SILENT - 1)
    with pytest.raises(LineDown, match="no message for 30 s"):
        talk.at(2)


def test_noise_is_not_a_sign_of_life(talk: Talk) -> None:
    talk.begin()
    talk.now += SILENT - 1
    talk.hear(b"\0noise\0")
    with pytest.raises(LineDown):
        talk.at(2)


def test_a_port_that_is_open_in_the_guest_and_yields_no_hello_is_connected_to_anew(talk: Talk) -> None:
    talk.at(GREETING - 1)
    with pytest.raises(LineDown, match="no message for 20 s"):
        talk.at(2)


@pytest.mark.parametrize("is_open_in_guest", [False, None])
def test_a_port_that_nobody_in_the_guest_has_open_is_left_alone(*, is_open_in_guest: bool | None) -> None:
    talk = Talk(is_open_in_guest=is_open_in_guest)
    for _ in range(patience.BLIND_RECONNECTS):  # libvirt may not know yet
        with pytest.raises(LineDown, match="no message for"):
            talk.at(patience.MOST_GREETING_SECONDS)
        talk.connect()
    for _ in range(10):
        talk.at(patience.MOST_GREETING_SECONDS)


def test_a_guest_that_never_greets_is_given_more_time_after_each_reconnect(talk: Talk) -> None:
    waits = []
    for _ in range(4):
        began = talk.now
        with suppress(LineDown):
            run_down(talk)
        waits.append(talk.now - began)
        talk.connect()
    assert waits == [GREETING, 2 * GREETING, patience.MOST_GREETING_SECONDS, patience.MOST_GREETING_SECONDS]
    talk.at(0)
    talk.say(HELLO)
    talk.connect()
    talk.at(GREETING - 1)
    with pytest.raises(LineDown, match="no message for 20 s"):
        talk.at(1)


def test_a_guest_with_long_intervals_is_asked_in_between_whether_it_is_there() -> None:
    talk = Talk()
    talk.begin()
    talk.dialogue._interval = 300.0
    talk.dialogue._tell_at = talk.now + 300.0
    assert talk.at(9) == []
    assert talk.at(1) == [Ping()]
    assert talk.say(Ack(sequence=2)) == []
    assert talk.at(10) == [Ping()]


def test_a_guest_is_asked_for_its_hello_sparingly(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "REQUEST_SECONDS", 2.0)
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


def test_a_domain_that_goes_on_has_its_time_from_then_on_however_lately_it_was_looked_at(paused: Talk) -> None:
    paused.at(0)
    paused.now += GREETING - 0.1
    run_on(paused)
    paused.at(0.2)
    paused.at(GREETING - 1)
    with pytest.raises(LineDown, match="no message for 20 s"):
        paused.at(2)


def test_a_frame_that_does_not_end_in_time_costs_the_line(talk: Talk) -> None:
    talk.begin()
    talk.hear(b"\0half a ")
    talk.at(PARTIAL - 1)
    talk.hear(b"frame")
    with pytest.raises(LineDown, match="a message did not end within 5 s"):
        talk.at(2)


def test_frames_that_end_in_time_may_each_leave_the_beginning_of_the_next(talk: Talk) -> None:
    talk.begin()
    data = b"".join(talk.guest.send(REPORT))
    for _ in range(10):
        following = b"".join(talk.guest.send(REPORT))
        talk.hear(data[len(data) // 2 :] if _ else data)
        talk.hear(following[: len(following) // 2])
        talk.at(PARTIAL - 1)
        data = following
    assert talk.store.world.domains[UUID].guest.reports == 10


def test_after_goodbye_the_guest_is_asked_again_after_an_interval(talk: Talk) -> None:
    talk.begin()
    assert talk.say(Goodbye(reason="ends")) == []
    assert talk.at(INTERVAL - 1) == []
    assert [type(message) for message in talk.at(2)] == [HelloRequest]


def test_a_line_that_has_carried_something_is_not_opened_anew_for_an_agent_that_is_away_for_a_while() -> None:
    talk = Talk(is_open_in_guest=False)
    talk.begin()
    talk.say(Goodbye(reason="ends"))
    for _ in range(20):
        talk.at(GREETING)
    assert [type(message) for message in talk.say(HELLO)] == [Welcome, Metrics]


def test_after_goodbye_the_line_is_kept_for_longer_than_a_restart_of_the_agent_takes(talk: Talk) -> None:
    talk.begin()
    talk.say(Goodbye(reason="ends"))
    talk.at(patience.MOST_GREETING_SECONDS - 1)
    with pytest.raises(LineDown):
        talk.at(2)


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
        wakes_at = talk.dialogue.wakes_at()
        assert talk.now < wakes_at <= talk.now + max(SILENT, GREETING, dialogue.REFUSED_SECONDS)
        try:
            talk.at(wakes_at - talk.now)
        except LineDown:
            return
