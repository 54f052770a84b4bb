"""The one socket to a guest's channel: found, opened, looked at, kept over a restart of hostd, and closed.

A path that libvirt names is trusted for what it is, not for who listens there: what is not a socket is not connected
to, and who is neither the domain's QEMU nor, where that cannot be told, plausible as its user, is not spoken with.
"""

import asyncio
import errno
import hashlib
import logging
import os
import select
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from hostd import telemetry
from hostd.channels import peer
from hostd.hypervisor.process import pid_file, pid_folder
from hostd.model.world import World
from hostd.systemd import Supervisor

ACCEPT_SECONDS = 5.0  # QEMU takes a connection up within milliseconds, also while its domain is paused
SETTLE_SECONDS = (0.05, 0.1, 0.2, 0.4)  # between looks at who listens, before it is taken for a stranger
FIRST_LOOK_SECONDS = 0.002
MOST_LOOK_SECONDS = 0.25


class Outcome(StrEnum):
    """What came of one attempt to open a line."""

    CONNECTED = "connected"
    REUSED = "reused"  # the socket of the hostd before this one
    ABSENT = "absent"
    DENIED = "denied"
    REFUSED = "refused"
    FULL = "full"
    NOT_A_SOCKET = "not_a_socket"
    STRANGER = "stranger"
    NOT_ACCEPTED = "not_accepted"
    OCCUPIED = "occupied"
    FAILED = "failed"


class NotOpened(OSError):  # noqa: N818 - named after the state of the line
    """The line could not be opened; the message says why and what to do."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


_MEANINGS: Mapping[int, tuple[Outcome, str]] = {
    errno.ENOENT: (Outcome.ABSENT, "it is not there; libvirt names another when the domain is started anew"),
    errno.ENOTDIR: (Outcome.ABSENT, "it is not there"),
    errno.EACCES: (Outcome.DENIED, "hostd may not open it; run hostd in the group that QEMU runs as"),
    errno.EPERM: (Outcome.DENIED, "hostd may not open it; run hostd in the group that QEMU runs as"),
    errno.ECONNREFUSED: (Outcome.REFUSED, "nobody listens there; the domain's QEMU has ended or was replaced"),
    errno.EAGAIN: (Outcome.FULL, "others wait there already; end what else connects to it"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where one guest's channel is, and by what its other end is known."""

    path: str
    uuid: str = ""
    connection: str = ""
    pid_file: Path | None = None  # where libvirt writes which process its QEMU is, if that is to be checked
    checks_peer: bool = True
    connects: telemetry.Counts = telemetry.GUEST_CONNECTS  # attempts, by connection and outcome
    other: str = "the other"  # who is asked to end where somebody else is connected
    supervisor: Supervisor = field(default_factory=Supervisor)

    @property
    def name(self) -> str:
        """What its socket is kept under."""
        return name_of(self.connection, self.uuid, self.path)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[socket.socket]:
        """A socket that QEMU has taken up; it does not block.

        Its first bytes may be the middle of a frame, whether it is new or the one that the hostd before this one had.

        Raises:
            NotOpened: it could not be had.

        """
        channel = await self._channel()
        try:
            yield channel
        finally:
            self._hang_up(channel)
            channel.close()

    async def _channel(self) -> socket.socket:
        channel = self._kept_one()
        outcome = Outcome.REUSED
        try:
            if channel is None:
                channel = await self._new_one()
                outcome = Outcome.CONNECTED
                self.supervisor.keep(self.name, channel)
        except NotOpened as error:
            outcome = error.outcome
            raise
        finally:
            self.connects.labels(self.connection, outcome.value).inc()
        return channel

    def _kept_one(self) -> socket.socket | None:
        """The socket that the hostd before this one had, if it is still what it was."""
        channel = self.supervisor.take(self.name)
        if channel is None:
            return None
        channel.setblocking(False)
        try:
            if _is_hung_up(channel):
                raise NotOpened(Outcome.REFUSED, "QEMU has closed it")
            self._check_peer(channel)
        except OSError:
            channel.close()
            self.supervisor.forget(self.name)
            return None
        return channel

    async def _new_one(self) -> socket.socket:
        with ExitStack() as unless_opened:
            channel = unless_opened.enter_context(await self._connected())
            await self._wait_until_accepted(channel)
            unless_opened.pop_all()
        return channel

    async def _connected(self) -> socket.socket:
        """Connected to the domain's QEMU: in a domain that starts, it is libvirt who listens for the first moments."""
        for pause_seconds in (*SETTLE_SECONDS, None):
            channel = _connect(self.path)
            try:
                self._check_peer(channel)
            except NotOpened:
                channel.close()
                if pause_seconds is None:
                    raise
                await asyncio.sleep(pause_seconds)
            else:
                return channel
        raise AssertionError("the last try returns or raises")

    def _check_peer(self, channel: socket.socket) -> None:
        if not self.checks_peer:
            return
        pid, uid = peer.credentials_of(channel)
        expected = self._expected_pid() if pid else None  # 0: it is in another namespace, where we cannot see it
        if expected is not None:  # root needs no channel to do as it likes, and libvirt's daemon is root
            is_known, who = uid == 0 or pid == expected, f"process {expected}"
        else:
            users = {0, os.geteuid(), _owner_of(Path(self.path).parent)}
            is_known, who = uid in users, f"of user {' or '.join(str(u) for u in sorted(users))}"
        if not is_known:
            raise NotOpened(
                Outcome.STRANGER,
                f"process {pid} of user {uid} listens there, and not the domain's QEMU, which is {who}; "
                "find out what it is, or set guests.check_peer = false",
            )

    def _expected_pid(self) -> int | None:
        try:
            return None if self.pid_file is None else int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    async def _wait_until_accepted(self, channel: socket.socket) -> None:
        look_seconds = FIRST_LOOK_SECONDS
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                while peer.is_accepted(channel) is False:
                    await asyncio.sleep(look_seconds)
                    look_seconds = min(2 * look_seconds, MOST_LOOK_SECONDS)
        except TimeoutError:
            holder = await asyncio.to_thread(peer.holder_of, self.path)
            if holder is not None:
                whose = "this hostd itself, through another [[connection]]," if holder.pid == os.getpid() else holder
                raise NotOpened(
                    Outcome.OCCUPIED, f"{whose} is connected, and QEMU takes one at a time; end {self.other}"
                ) from None
            raise NotOpened(
                Outcome.NOT_ACCEPTED,
                f"QEMU has not taken the connection up within {ACCEPT_SECONDS:g} s; it hangs, or has another client",
            ) from None

    def _hang_up(self, channel: socket.socket) -> None:
        """Unless the socket is to outlive this process, its other end has to see the end, whoever has a copy."""
        if self.supervisor.holds(self.name):
            return
        with suppress(OSError):
            channel.shutdown(socket.SHUT_RDWR)
        self.supervisor.forget(self.name)


def line_to(world: World, uuid: str, path: str) -> Line:
    """The line to that domain's socket at `path`, by what is known of the domain."""
    folder = pid_folder(world.connection.uri)
    return Line(
        path=path,
        uuid=uuid,
        connection=world.connection.name,
        pid_file=None if folder is None else pid_file(folder, world.domains[uuid].name),
    )


def level_of(error: Exception) -> int:
    """How loud the log is: an operator has to see a socket that hostd may not open; that a domain went is ordinary."""
    is_ordinary = isinstance(error, NotOpened) and error.outcome in (Outcome.ABSENT, Outcome.REFUSED)
    return logging.INFO if is_ordinary else logging.WARNING


def prefix_of(connection: str) -> str:
    """How the names of all lines of the connection with that name begin."""
    return f"guest/{connection}/"


def name_of(connection: str, uuid: str, path: str) -> str:
    """The same for the same channel of the same start of the same domain, and short, whatever the path."""
    return f"{prefix_of(connection)}{uuid}/{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"


def _connect(path: str) -> socket.socket:
    """Connect to exactly that socket, however long its path is, and to nothing that a link there points to.

    Through the opened file itself: a path in an address has 107 bytes at most, and what was looked at is what is
    connected to. A unix socket connects at once or not at all.
    """
    try:
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _meant(error) from error
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            raise NotOpened(Outcome.NOT_A_SOCKET, "it is not a socket; see <source> of the channel in the domain's XML")
        return _connected(f"/proc/self/fd/{place}")
    finally:
        os.close(place)


def _connected(address: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        channel.connect(address)
    except OSError as error:
        channel.close()
        raise _meant(error) from error
    return channel


def _meant(error: OSError) -> NotOpened:
    outcome, what = _MEANINGS.get(error.errno or 0, (Outcome.FAILED, error.strerror or str(error)))
    return NotOpened(outcome, what)


def _is_hung_up(channel: socket.socket) -> bool:
    poll = select.poll()
    poll.register(channel, 0)
    return bool(poll.poll(0))


def _owner_of(folder: Path) -> int:
    try:
        return folder.stat().st_uid
    except OSError:
        return os.geteuid()
