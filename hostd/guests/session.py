"""One guest's line, attended to for as long as its domain has the channel: joins its parts, and nothing else.

What is said is `dialogue`'s business, when the line is given up `patience`'s, what a guest may cost `budget`'s, and how
bytes are moved `wire`'s. Here
is the boundary that a guest's trouble does not pass: whatever goes wrong costs that session only.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from hostd import telemetry
from hostd.channels.line import level_of
from hostd.channels.mentions import Kind, Mentions
from hostd.guests.budget import Budget
from hostd.guests.dialogue import Dialogue, Greeted, Happened, patience_with
from hostd.guests.labels import Allowance, Labels
from hostd.guests.patience import Greetings, LineDown, Patience, Unheard
from hostd.guests.waking import Sessions
from hostd.guests.wire import Wire
from hostd.history.taking import Mark, Taken
from hostd.model import changes
from hostd.settings import GuestSettings
from hostd.store import Store
from protocol.backoff import Backoff
from protocol.messages import Event

_log = logging.getLogger(__name__)

HISTORY_SECONDS = 2.0  # a history that takes longer to say what it has is not there yet


class History(Protocol):
    """Where guests' events are safe."""

    async def highest(self, uuid: str, journal: int) -> Mark | None:
        """The last event taken of that journal of that domain's guest; `None` if it is not known at all."""

    async def take(
        self, uuid: str, journal: int, events: Sequence[Event], at: float, *, name: str | None = None
    ) -> Taken:
        """Put them there; what was new and up to where all is safe, once it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What every session needs of the daemon."""

    store: Store
    settings: GuestSettings
    allowance: Allowance
    history: History | None = None
    sessions: Sessions = field(default_factory=Sessions)


class Way(Protocol):
    """How a guest is reached, or has reached us."""

    @property
    def uuid(self) -> str:
        """Whose guest."""

    @property
    def path(self) -> str:
        """What the way is called in messages."""

    def opened(self) -> AbstractAsyncContextManager[socket.socket]:
        """A connected socket. Raises `OSError` if it cannot be had."""


class Conduct:
    """What a guest has done so far that it is held to: a restart of its domain does not wipe it out."""

    def __init__(self, post: Post, uuid: str) -> None:
        self.budget = Budget()
        self.labels = Labels(post.allowance, post.settings.max_series_per_guest)
        self.mentions = Mentions(f"guest {uuid}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one guest has fared so far, which a new connection does not change."""

    conduct: Conduct
    greetings: Greetings
    retry: Backoff


def newcomer(conduct: Conduct) -> Standing:
    """At the beginning of a line."""
    retry = Backoff(first_seconds=0.5, most_seconds=30.0)
    return Standing(conduct=conduct, greetings=Greetings(), retry=retry)


async def attend(post: Post, way: Way, conduct: Conduct | None = None) -> NoReturn:
    """Keep a session with the guest at the end of `way`, until cancelled."""
    standing, told = newcomer(conduct or Conduct(post, way.uuid)), ""
    while True:
        told = await attend_once(post, way, standing, told)
        await asyncio.sleep(standing.retry.wait_seconds())


async def attend_once(post: Post, way: Way, standing: Standing, told: str = "", *, is_retried: bool = True) -> str:
    """Over one connection, and its quarantine if it earns one; the last thing that was said of its opening."""
    # A group that is cancelled in the moment that its task fails tells only of the failure: this one's never fails.
    async with asyncio.TaskGroup() as group:
        once = group.create_task(_once(post, way, standing, told), name=f"guest {way.uuid} once")
    post.store.tell(changes.GuestLost(uuid=way.uuid, is_retried=is_retried))
    if standing.conduct.budget.fault is not None:
        await _quarantine(post, way.uuid, standing.conduct)
    return once.result()


async def _once(post: Post, way: Way, standing: Standing, told: str) -> str:
    """To its end, whatever that is."""
    mentions = standing.conduct.mentions
    try:
        async with way.opened() as channel:
            await _converse(post, way.uuid, channel, standing)
    except* LineDown as downs:
        if isinstance(downs.exceptions[0], Unheard):
            standing.retry.reset()  # how long it was waited for grows by itself
        mentions.say(_log, logging.DEBUG, Kind.DOWN, str(downs.exceptions[0]), _now())
    except* OSError as errors:
        told = _tell_of(errors.exceptions[0], way, mentions, told)
    except* Exception:  # noqa: BLE001 - the boundary: a guest may cost its own session, never the daemon
        telemetry.GUEST_SESSION_FAULTS.inc()
        text = "the session failed in a way nobody foresaw"
        mentions.say(_log, logging.ERROR, Kind.FAILED, text, _now(), has_traceback=True)
    return told


def _tell_of(error: Exception, way: Way, mentions: Mentions, told: str) -> str:
    """Once a reason."""
    why = str(error)
    if why != told:
        mentions.say(_log, level_of(error), Kind.OPENING, f"channel {way.path}: {why}", _now())
    return why


async def _quarantine(post: Post, uuid: str, conduct: Conduct) -> None:
    assert conduct.budget.fault is not None
    fault = conduct.budget.fault.value
    seconds = conduct.budget.quarantine(_now())
    text = f"in quarantine for {seconds:g} s: too much of {fault}"
    conduct.mentions.say(_log, logging.WARNING, Kind.QUARANTINE, text, _now())
    post.store.tell(changes.GuestQuarantined(uuid=uuid, fault=fault))
    try:
        await asyncio.sleep(seconds)
    finally:  # its domain may end meanwhile
        post.store.tell(changes.GuestReleased(uuid=uuid))


async def _converse(post: Post, uuid: str, channel: socket.socket, standing: Standing) -> None:
    loop, conduct = asyncio.get_running_loop(), standing.conduct
    transport, wire = await loop.create_connection(Wire, sock=channel)
    try:
        patience = Patience(standing.greetings, patience_with(post.settings), loop.time())
        dialogue = Dialogue(post.store, uuid, post.settings, patience, conduct.budget, conduct.labels, conduct.mentions)
        session = _Session(post, uuid, wire, dialogue, standing)
        async with post.sessions.woken_by(uuid, wire.poke), asyncio.TaskGroup() as group:
            group.create_task(session.talk(), name=f"guest {uuid} talk")
            group.create_task(session.ask(), name=f"guest {uuid} history")
    finally:
        conduct.labels.release()
        transport.abort()


class _Session:
    """The two tasks of one connection."""

    def __init__(self, post: Post, uuid: str, wire: Wire, dialogue: Dialogue, standing: Standing) -> None:
        self._post = post
        self._uuid = uuid
        self._wire = wire
        self._dialogue = dialogue
        self._budget = standing.conduct.budget
        self._retry = standing.retry
        self._spoken_seconds = 0.0  # of CPU, that the guest has yet to pay for
        self._asked = asyncio.Event()

    async def talk(self) -> NoReturn:
        """Hear and speak.

        Raises:
            LineDown: the connection is over, or the guest belongs in quarantine.

        """
        while True:
            self._speak()
            data = await self._wire.read(self._dialogue.wakes_at())
            if data:
                await self._hear(data)
            if self._dialogue.has_questions:
                self._asked.set()

    async def ask(self) -> NoReturn:
        """Have the history answer what the dialogue asks."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            for question in self._dialogue.questions():
                if isinstance(question, Greeted):
                    await self._welcome(question)
                else:
                    await self._keep(question)
                self._wire.poke()

    def _speak(self) -> None:
        began = time.thread_time()
        self._wire.write(self._dialogue.speak(_now(), time.time()))
        self._spoken_seconds += time.thread_time() - began

    async def _hear(self, data: bytes) -> None:
        began = time.thread_time()
        pieces = self._dialogue.hear(data, _now(), time.time())
        spent = self._spoken_seconds + time.thread_time() - began
        self._spoken_seconds = 0.0
        rest = self._budget.read(_now(), bytes_=len(data), frames=pieces, decoding_seconds=spent)
        if self._budget.fault is not None:
            raise LineDown(f"too much of {self._budget.fault.value}")
        if rest:
            self._post.store.tell(changes.GuestThrottled(uuid=self._uuid, seconds=rest))
            await self._wire.rest(rest)

    async def _welcome(self, question: Greeted) -> None:
        history, journal = self._post.history, question.hello.journal
        taken, takes_events = None, history is not None
        if history is not None and journal is not None:
            try:
                async with asyncio.timeout(HISTORY_SECONDS):
                    taken = await history.highest(self._uuid, journal)
            except TimeoutError:
                takes_events = False  # it keeps them until its next greeting
        self._dialogue.welcome(question, taken=taken, takes_events=takes_events, now=_now())
        self._retry.reset()

    async def _keep(self, question: Happened) -> None:
        history, events = self._post.history, question.events
        if history is None or not events:
            telemetry.GUEST_EVENTS_DROPPED.labels("unasked").inc(len(events))
            self._dialogue.not_taken()
            return
        domain = self._post.store.world.domains.get(self._uuid)
        name = None if domain is None else domain.name
        taken = await history.take(self._uuid, question.journal, events, time.time(), name=name)
        self._post.store.tell(changes.GuestEventsTaken(uuid=self._uuid, events=taken.new, at=time.time()))
        self._dialogue.taken(question.journal, taken.highest)


def _now() -> float:
    return asyncio.get_running_loop().time()
