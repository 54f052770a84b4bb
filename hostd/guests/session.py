"""One guest's line, attended to for as long as its domain has the channel.

The host connects to the socket that QEMU listens on. That a connect succeeds proves nothing (a second connector waits
unseen in the backlog, and nobody may be on the guest's side): only a hello does. So the host asks for one, sparingly,
and says nothing else before it comes; what it then sends is one newest frame at a time.

A line that is connected and yet silent may be wedged (a port that was throttled over a migration gives its first client
nothing for ever), and a second connect heals that: hence the reconnects in `_Session._judge`.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from typing import NoReturn

from hostd import telemetry
from hostd.config import GuestSettings
from hostd.guests.line import Line
from hostd.guests.telling import metrics_for
from hostd.model import changes
from hostd.model.stats import DomainState
from hostd.store import Store
from protocol.backoff import Backoff
from protocol.connection import Connection, Dropped, Message, Received, State, agree
from protocol.errors import DropReason
from protocol.messages import (
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    Goodbye,
    Hello,
    HelloRequest,
    Refusal,
    Report,
    Role,
    Welcome,
)

_log = logging.getLogger(__name__)

REQUEST_SECONDS = 1.0  # between two requests for a hello at the least; a back-off comes on top
GREETING_SECONDS = 30.0  # no hello for this long, though the guest has the port open: connect again
PARTIAL_FRAME_SECONDS = 5.0  # a frame that began must end within this
SILENT_INTERVALS = 3  # no frame, or no acknowledgement, for this many report intervals: the line is not what it seems
LEAST_SILENT_SECONDS = 5.0
READ_BYTES = 16 * 1024  # at most this is decoded before other guests have their turn
MAX_UNSENT_BYTES = 64 * 1024  # a guest that does not read may hold this much of our memory


class _LineDown(Exception):  # noqa: N818 - named after the state of the line
    """The connection is over; the message says why, for the log."""


async def attend(store: Store, line: Line, settings: GuestSettings) -> NoReturn:
    """Keep a session with the guest at the end of `line`, until cancelled."""
    uuid = line.uuid
    retry = Backoff(first_seconds=0.5, most_seconds=30.0)
    told = ""
    while True:
        try:
            await _over_one_connection(store, line, settings, retry)
        except _LineDown as error:
            _log.debug("guest %s: %s", uuid, error)  # a guest can bring this about as often as it likes
        except OSError as error:
            why = str(error)
            if why != told:  # once a reason: an operator has to see a socket that hostd may not open
                _log.warning("guest %s: channel %s: %s", uuid, line.path, why)
            told = why
        except Exception:  # noqa: BLE001 - the boundary: a guest may cost its own session, never the daemon
            telemetry.GUEST_SESSION_FAULTS.inc()
            _log.exception("guest %s: the session failed in a way nobody foresaw", uuid)
        store.tell(changes.GuestLost(uuid=uuid, is_retried=True))
        await asyncio.sleep(retry.wait_seconds())


async def _over_one_connection(store: Store, line: Line, settings: GuestSettings, retry: Backoff) -> None:
    async with line.opened(limit=READ_BYTES) as (reader, writer):
        session = _Session(store, line.uuid, writer, settings, retry)
        while True:
            session.speak()
            session.hear(await _read(reader, session.wakes_at()))


async def _read(reader: asyncio.StreamReader, until: float) -> bytes:
    """What has come by `until` (the loop's clock): `b""` if nothing has.

    Raises:
        _LineDown: QEMU closed its end.

    """
    await asyncio.sleep(0)  # data that waits is returned without one, and a flood would keep others from their turn
    try:
        async with asyncio.timeout_at(until):
            data = await reader.read(READ_BYTES)
    except TimeoutError:
        return b""
    if not data:
        raise _LineDown("QEMU closed the channel")
    return data


class _Session:
    """What is said over one connection, and when; times are the loop's clock."""

    def __init__(
        self, store: Store, uuid: str, writer: asyncio.StreamWriter, settings: GuestSettings, retry: Backoff
    ) -> None:
        self._store = store
        self._uuid = uuid
        self._writer = writer
        self._settings = settings
        self._retry = retry
        self._connection = Connection(Role.HOST)
        self._requests = Backoff(first_seconds=2.0, most_seconds=60.0)
        self._silent_seconds = max(SILENT_INTERVALS * settings.report_interval_seconds, LEAST_SILENT_SECONDS)
        now = self._now()
        self._request_at = now
        self._tell_at = now
        self._told_at = now
        self._heard_at = now
        self._partial_since: float | None = None

    def wakes_at(self) -> float:
        """When there is something to do even if nothing comes."""
        times = [self._heard_at + self._patience_seconds()]
        if self._partial_since is not None:
            times.append(self._partial_since + PARTIAL_FRAME_SECONDS)
        if self._connection.state is State.SILENT:
            times.append(self._request_at)
        elif self._connection.state is State.OPEN:
            times.append(self._tell_at if self._connection.credit else self._told_at + self._silent_seconds)
        return min(times)

    def speak(self) -> None:
        """Send what is due.

        Raises:
            _LineDown: the line has to be opened anew.

        """
        now = self._now()
        self._judge(now)
        if self._connection.state is State.SILENT and now >= self._request_at:
            self._send(HelloRequest(version_min=OLDEST_VERSION, version_max=PROTOCOL_VERSION))
            self._request_at = now + REQUEST_SECONDS + self._requests.wait_seconds()
        elif self._connection.credit and now >= self._tell_at:
            self._send(metrics_for(self._store.world, self._uuid, self._settings, now=time.time()))
            self._told_at = now
            self._tell_at = now + self._settings.report_interval_seconds

    def hear(self, data: bytes) -> None:
        """Take in what came."""
        drops: Counter[DropReason] = Counter()
        for item in self._connection.receive(data):
            self._partial_since = None  # that frame ended; what is left over is another
            if isinstance(item, Dropped):
                drops[item.reason] += 1
                _log.debug("guest %s: dropped input: %s: %s", self._uuid, item.reason.value, item.detail)
            else:
                self._take(item)
        if drops:
            self._store.tell(changes.GuestInputDropped(uuid=self._uuid, drops=drops))
        if not self._connection.is_within_frame:
            self._partial_since = None
        elif self._partial_since is None:
            self._partial_since = self._now()

    def _take(self, received: Received) -> None:
        self._heard_at = self._now()
        match received.message:
            case Hello() as hello:
                self._welcome(hello)
            case Report() as report:
                self._store.tell(changes.GuestReported(uuid=self._uuid, report=report, at=time.time()))
            case Goodbye():
                self._store.tell(changes.GuestLost(uuid=self._uuid, is_retried=False))
                self._request_at = self._heard_at + self._settings.report_interval_seconds
            case _:  # an acknowledgement: the connection has taken note
                return

    def _welcome(self, hello: Hello) -> None:
        version = agree(hello)
        if version is None:
            spoken = f"this host speaks versions {OLDEST_VERSION} to {PROTOCOL_VERSION}"
            self._send(Refusal(nonce=hello.nonce, reason=spoken))
            self._request_at = self._heard_at + GREETING_SECONDS
            return
        session = 1 + secrets.randbelow(0xFFFF_FFFF)
        interval = self._settings.report_interval_seconds
        self._send(Welcome(version=version, nonce=hello.nonce, session=session, report_interval_seconds=interval))
        self._store.tell(changes.GuestGreeted(uuid=self._uuid, hello=hello))
        self._retry.reset()
        self._requests.reset()
        self._tell_at = self._heard_at

    def _judge(self, now: float) -> None:
        """Decide whether the line is still what it seems; a domain that does not run cannot speak: wait for it."""
        if not self._is_running():
            self._partial_since = None
            self._told_at = now
            if now - self._heard_at >= self._silent_seconds:
                self._forget_report()
                self._heard_at = now
            return
        if self._partial_since is not None and now - self._partial_since >= PARTIAL_FRAME_SECONDS:
            raise _LineDown(f"a frame did not end within {PARTIAL_FRAME_SECONDS:g} s")
        is_unacknowledged = self._connection.state is State.OPEN and not self._connection.credit
        if is_unacknowledged and now - self._told_at >= self._silent_seconds:
            raise _LineDown(f"nothing acknowledged for {self._silent_seconds:g} s")
        if now - self._heard_at < self._patience_seconds():
            return
        if self._connection.state is State.OPEN or self._is_open_in_guest():
            raise _LineDown(f"no frame for {self._patience_seconds():g} s")
        self._heard_at = now  # nobody has the port open: nothing to heal

    def _patience_seconds(self) -> float:
        return self._silent_seconds if self._connection.state is State.OPEN else GREETING_SECONDS

    def _forget_report(self) -> None:
        domain = self._store.world.domains.get(self._uuid)
        if domain is not None and domain.guest.report is not None:
            self._store.tell(changes.GuestSilent(uuid=self._uuid))

    def _is_running(self) -> bool:
        domain = self._store.world.domains.get(self._uuid)
        return domain is not None and domain.facts.state in (DomainState.RUNNING, DomainState.BLOCKED)

    def _is_open_in_guest(self) -> bool:
        domain = self._store.world.domains.get(self._uuid)
        return domain is not None and domain.facts.channel is not None and bool(domain.facts.channel.is_open_in_guest)

    def _send(self, message: Message) -> None:
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            raise _LineDown(f"the guest has not read {MAX_UNSENT_BYTES} bytes")
        self._writer.write(self._connection.send(message))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
