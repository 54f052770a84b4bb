"""What the host says to one guest over one connection, and when: no I/O, and the time is an argument.

Before a guest greets it is asked to, sparingly, and told nothing else. In a session it is told the newest metrics (one
at a time), what happened to it (until it answers), and nothing beyond the credit that it has granted. Its events are
handed out as questions to the history, because they are only acknowledged once they are safe.
"""

import logging
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hostd import telemetry
from hostd.channels.mentions import Kind, Mentions
from hostd.guests.budget import Budget
from hostd.guests.labels import Labels
from hostd.guests.patience import Circumstances, Patience, silent_seconds
from hostd.guests.telling import metrics_for
from hostd.history.taking import Mark
from hostd.model import changes
from hostd.model.notice import pending
from hostd.settings import GuestSettings
from hostd.store import Store
from protocol.backoff import Backoff
from protocol.connection import Connection, Dropped, Message, Received, State, agree
from protocol.errors import DropReason
from protocol.messages import (
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    TAKES_EVENTS,
    Ack,
    Detail,
    Event,
    Events,
    EventsTaken,
    Goodbye,
    Hello,
    HelloRequest,
    Notice,
    NoticeAnswer,
    Ping,
    Refusal,
    Report,
    Role,
    Welcome,
)

_log = logging.getLogger(__name__)

REQUEST_SECONDS = 1.0  # between two requests for a hello at the least; a back-off comes on top
REFUSED_SECONDS = 30.0
HEARTBEAT_SECONDS = 10.0  # something is said at least so often, or the guest could not tell that we are there
STALE_INTERVALS = 3  # a report that is older tells nothing of the present
LEAST_STALE_SECONDS = 5.0
LAST_ANSWERS = ("done", "failed")  # after which a notice is settled


@dataclass(frozen=True, slots=True)
class Greeted:
    """A question: up to which number has the history this journal's events? `None` if the guest keeps none."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Happened:
    """A question: put these events where they are safe."""

    journal: int
    events: tuple[Event, ...]


Question = Greeted | Happened


class Dialogue:
    """One connection's; `clock` is the host's wall clock, all other times are the loop's."""

    def __init__(  # noqa: PLR0917 - one of each, all needed
        self,
        store: Store,
        uuid: str,
        settings: GuestSettings,
        patience: Patience,
        budget: Budget,
        labels: Labels,
        mentions: Mentions,
    ) -> None:
        self._store = store
        self._uuid = uuid
        self._settings = settings
        self._patience = patience
        self._budget = budget
        self._labels = labels
        self._mentions = mentions
        self._connection = Connection(Role.HOST)
        self._requests = Backoff(first_seconds=2.0, most_seconds=60.0)
        self._interval = settings.report_interval_seconds
        self._outbox: list[bytes] = []
        self._questions: list[Question] = []
        self._hello: Hello | None = None  # that awaits its answer
        self._journal: int | None = None  # of which events are on their way to the history
        self._sent: dict[int, float] = {}  # when what awaits its acknowledgement was sent, by sequence number
        self._metrics_sequence = 0  # of the metrics that are on their way
        self._told: set[int] = set()  # notices that were told in this session
        self._request_at = 0.0
        self._tell_at = 0.0
        self._beat_at = 0.0
        self._reported_at: float | None = None

    @property
    def has_questions(self) -> bool:
        """Whether there is something to ask of the history."""
        return bool(self._questions)

    def questions(self) -> list[Question]:
        """What has to be asked of the history, in order; each is handed out once."""
        questions, self._questions = self._questions, []
        return questions

    def wakes_at(self) -> float:
        """When there is something to do even if nothing comes."""
        times = [self._patience.wakes_at()]
        if self._connection.state is State.SILENT:
            times.append(self._request_at)
        elif self._connection.credit:
            times.append(self._beat_at)
            if not self._metrics_sequence:
                times.append(self._tell_at)
        if self._reported_at is not None:
            times.append(self._reported_at + self._stale_seconds())
        return min(times)

    def hear(self, data: bytes, now: float, clock: float) -> int:
        """Take in what came; how many pieces it was."""
        drops: Counter[DropReason] = Counter()
        pieces, newest = 0, ""
        for item in self._connection.receive(data):
            pieces += 1
            if isinstance(item, Dropped):
                drops[item.reason] += 1
                newest = item.detail
            else:
                self._take(item, now, clock)
        self._patience.within(now, is_within=self._connection.is_within_message, has_ended=pieces > 0)
        if drops:
            text = f"{drops.total()} pieces of input dropped, the newest: {newest}"
            self._mentions.say(_log, logging.DEBUG, Kind.INPUT, text, now)
            self._budget.mistook(now, drops)
            self._store.tell(changes.GuestInputDropped(uuid=self._uuid, drops=drops))
        return pieces

    def speak(self, now: float, clock: float) -> list[bytes]:
        """The frames to write now.

        Raises:
            LineDown: the line has to be opened anew.

        """
        self._patience.judge(now, self._circumstances())
        self._expire(now)
        if self._connection.state is State.SILENT and now >= self._request_at:
            self._send(HelloRequest(version_min=OLDEST_VERSION, version_max=PROTOCOL_VERSION))
            self._request_at = now + REQUEST_SECONDS + self._requests.wait_seconds()
        self._tell(now, clock)
        outbox, self._outbox = self._outbox, []
        return outbox

    def welcome(self, question: Greeted, *, taken: Mark | None, takes_events: bool, now: float) -> None:
        """Answer a hello, if it is still the newest."""
        hello = question.hello
        if self._hello is not hello or self._connection.state is not State.GREETING:
            return
        self._hello = None
        version = agree(hello)
        assert version is not None, "a hello of another version is refused before anybody is asked"
        self._send(
            Welcome(
                version=version,
                nonce=hello.nonce,
                session=1 + secrets.randbelow(0xFFFF_FFFF),
                report_interval_seconds=self._interval,
                capabilities=(TAKES_EVENTS,) if takes_events else (),
                events_taken=None if taken is None else taken.number,
                events_taken_token=None if taken is None else taken.token,
            )
        )
        self._store.tell(changes.GuestGreeted(uuid=self._uuid, hello=self._labels.introduce(hello, now)))
        self._patience.heard(now, is_open=True)
        self._requests.reset()
        self._tell_at = now
        self._beat_at = now + self._beat_seconds()

    def taken(self, journal: int, highest: Mark) -> None:
        """That journal's events are safe up to `highest`."""
        self._journal = None
        if self._connection.state is State.OPEN:
            self._send(EventsTaken(journal=journal, number=highest.number, token=highest.token))

    def not_taken(self) -> None:
        """They were not asked for, and are not acknowledged."""
        self._journal = None

    def _take(self, received: Received, now: float, clock: float) -> None:
        self._patience.heard(now, is_open=self._connection.state is State.OPEN)
        match received.message:
            case Hello() as hello:
                self._greeted(hello, now)
            case Report() as report:
                self._reported(report, now, clock)
            case Events(journal=journal, events=events):
                self._happened(journal, events)
            case Ack(sequence=sequence):
                self._acknowledged(sequence, now)
            case NoticeAnswer(number=number, status=status):
                self._answered(number, status)
            case Goodbye():
                self._end_session()
                self._store.tell(changes.GuestLost(uuid=self._uuid, is_retried=False))
                self._request_at = now + self._interval
            case _:  # nothing else comes from a guest
                return

    def _reported(self, report: Report, now: float, clock: float) -> None:
        self._reported_at = now
        admitted, left_out = self._labels.admit(report, now)
        by_why = {why.value: count for why, count in left_out.items()}
        self._store.tell(changes.GuestReported(uuid=self._uuid, report=admitted, at=clock, left_out=by_why))

    def _greeted(self, hello: Hello, now: float) -> None:
        self._budget.greeted(now)
        self._end_session()
        if agree(hello) is None:
            spoken = f"this host speaks versions {OLDEST_VERSION} to {PROTOCOL_VERSION}"
            self._send(Refusal(nonce=hello.nonce, reason=spoken))
            self._request_at = now + REFUSED_SECONDS
            return
        self._hello = hello
        self._questions.append(Greeted(hello))

    def _end_session(self) -> None:
        self._hello = None
        self._journal = None
        self._questions.clear()
        self._sent.clear()
        self._metrics_sequence = 0
        self._told.clear()
        self._patience.acknowledged(0.0, all_of_it=True)

    def _happened(self, journal: int, events: tuple[Event, ...]) -> None:
        if self._journal is not None:  # an agent waits for the answer to the last ones
            telemetry.GUEST_EVENTS_DROPPED.labels("early").inc(len(events))
            return
        self._journal = journal
        self._questions.append(Happened(journal, events))

    def _acknowledged(self, sequence: int, now: float) -> None:
        sent_at = self._sent.get(sequence)
        if sent_at is not None:
            telemetry.GUEST_ROUND_TRIP.observe(now - sent_at)
        rest = {number: at for number, at in self._sent.items() if number > sequence}
        if len(rest) == len(self._sent) or sequence > self._connection.sent:
            return
        self._sent = rest  # as the connection gives credit back: for all up to that number
        if self._metrics_sequence <= sequence:
            self._metrics_sequence = 0
        self._patience.acknowledged(now, all_of_it=not self._sent)

    def _answered(self, number: int, answer: str) -> None:
        domain = self._store.world.domains.get(self._uuid)
        notice = next((n for n in domain.notices if n.number == number), None) if domain is not None else None
        if notice is None or notice.answer in (answer, *LAST_ANSWERS):
            telemetry.GUEST_ANSWERS_DROPPED.labels("unknown" if notice is None else "again").inc()
            return
        telemetry.NOTICES_ANSWERED.labels(notice.kind, answer).inc()
        self._store.tell(changes.NoticeAnswered(uuid=self._uuid, number=number, answer=answer))

    def _tell(self, now: float, clock: float) -> None:
        """Say what there is to say, as far as credit goes: what happened first, then how the host is, then a sign."""
        for notice in self._untold(clock):
            if self._connection.credit:
                self._told.add(notice.number)
                telemetry.NOTICES_TOLD.labels(notice.kind).inc()
                self._send_for_credit(notice, now)
        if self._connection.credit and not self._metrics_sequence and now >= self._tell_at:
            self._metrics_sequence = self._send_for_credit(
                metrics_for(self._store.world, self._uuid, self._settings, now=clock), now
            )
            self._tell_at = now + self._interval
        elif self._connection.credit and now >= self._beat_at:
            self._send_for_credit(Ping(), now)

    def _untold(self, clock: float) -> Iterator[Notice]:
        domain = self._store.world.domains.get(self._uuid)
        if domain is None or self._connection.state is not State.OPEN or not domain.notices:
            return
        for notice in pending(domain.notices, clock):
            if notice.number not in self._told:
                details = tuple(Detail(name=name, value=value) for name, value in notice.details)
                yield Notice(
                    number=notice.number,
                    kind=notice.kind,
                    severity=notice.severity,
                    text=notice.text,
                    details=details,
                )

    def _send_for_credit(self, message: Message, now: float) -> int:
        sequence = self._send(message)
        self._sent[sequence] = now
        self._patience.told(now)
        self._beat_at = now + self._beat_seconds()
        return sequence

    def _send(self, message: Message) -> int:
        self._outbox += self._connection.send(message)
        return self._connection.sent

    def _expire(self, now: float) -> None:
        """A guest that is there and does not report has no numbers; one that is paused has none either."""
        if self._reported_at is not None and now - self._reported_at >= self._stale_seconds():
            self._reported_at = None
            self._store.tell(changes.GuestSilent(uuid=self._uuid))

    def _circumstances(self) -> Circumstances:
        domain = self._store.world.domains.get(self._uuid)
        if domain is None:
            return Circumstances(is_running=False, is_open_in_guest=None)
        channel = domain.facts.channel
        return Circumstances(
            is_running=domain.is_running,
            is_open_in_guest=None if channel is None else channel.is_open_in_guest,
        )

    def _beat_seconds(self) -> float:
        return min(self._interval, HEARTBEAT_SECONDS)

    def _stale_seconds(self) -> float:
        return max(STALE_INTERVALS * self._interval, LEAST_STALE_SECONDS)


def patience_with(settings: GuestSettings) -> float:
    """For how long an open session of these settings may be silent, in seconds."""
    return silent_seconds(settings.report_interval_seconds)
