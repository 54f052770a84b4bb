"""systemd, as far as it supervises hostd: told how hostd is, and asked to keep its sockets while there is no hostd.

A socket to a guest's channel that systemd holds a copy of is not hung up when hostd ends, however it ends: QEMU and the
guest notice nothing of a restart, and what is on its way to the host is not thrown away. sd_notify(3), sd_listen_fds(3)
and systemd.service(5), FileDescriptorStoreMax=, say how it is done.
"""

import asyncio
import logging
import os
import socket
from array import array
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import NoReturn

from hostd import telemetry

_log = logging.getLogger(__name__)

FIRST_HANDED = 3  # SD_LISTEN_FDS_START
BEAT_SECONDS = 1.0  # at most this long between two looks at what `systemctl status` shows
BEATS_PER_WATCHDOG = 3  # one that is late is not yet the end


class Supervisor:
    """Who started hostd. By default nobody: then nothing is told and nothing kept."""

    def __init__(
        self,
        address: str | None = None,
        *,
        handed: Mapping[str, socket.socket] | None = None,
        watchdog_seconds: float | None = None,
    ) -> None:
        self._address = address
        self._handed = dict(handed or {})  # what the process before us kept, and nobody has taken yet
        self._kept = set(self._handed)
        self._watchdog_seconds = watchdog_seconds
        self._is_sealed = False
        self._socket: socket.socket | None = None
        if address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        if address is not None or handed:  # one who keeps nothing says nothing of what another keeps
            telemetry.KEPT_SOCKETS.set(len(self._kept))

    def tell(self, **fields: object) -> bool:
        """Say this of hostd, as in `tell(READY=1, STATUS="…")`; whether it has gone out."""
        return self._send(fields)

    def keep(self, name: str, kept: socket.socket) -> None:
        """Have a copy of it kept under that name, printable ASCII of at most 255 characters without a colon."""
        if self._send({"FDSTORE": 1, "FDNAME": name}, kept):
            self._kept.add(name)
            telemetry.KEPT_SOCKETS.set(len(self._kept))

    def take(self, name: str) -> socket.socket | None:
        """What the process before this one had kept under that name, once; the copy stays where it is."""
        return self._handed.pop(name, None)

    def forget(self, name: str) -> None:
        """Let go of what is kept under that name."""
        if name not in self._kept or self._is_sealed:
            return
        with suppress(KeyError):
            self._handed.pop(name).close()
        self._kept.discard(name)
        telemetry.KEPT_SOCKETS.set(len(self._kept))
        self._send({"FDSTOREREMOVE": 1, "FDNAME": name})

    def forget_all_but(self, wanted: Iterable[str], *, of: Callable[[str], bool]) -> None:
        """Let go of what was handed over, nobody has taken, `of` is true of, and is not wanted."""
        if not self._handed:
            return
        for name in sorted(filter(of, set(self._handed).difference(wanted))):
            _log.info("a socket of the process before this one is not needed any more: %s", name)
            self.forget(name)

    def seal(self) -> None:
        """The process is about to end: from now on what is kept stays kept."""
        self._is_sealed = True

    def holds(self, name: str) -> bool:
        """Whether what has that name outlives this process, so that only our copy of it may be closed."""
        return self._is_sealed and name in self._kept

    def close(self) -> None:
        """End: what is kept stays kept."""
        self.seal()
        for handed in self._handed.values():
            handed.close()
        self._handed.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def beat(self, status: Callable[[], str]) -> NoReturn:
        """Run for ever: feed the watchdog from the event loop, which it is to watch, and tell the status if it changed.

        A loop that stands still feeds nobody, and the process is replaced.
        """
        told = ""
        pause = min(BEAT_SECONDS, (self._watchdog_seconds or BEAT_SECONDS * BEATS_PER_WATCHDOG) / BEATS_PER_WATCHDOG)
        while True:
            fields: dict[str, object] = {} if self._watchdog_seconds is None else {"WATCHDOG": 1}
            now = status()
            if self._send(fields | ({} if now == told else {"STATUS": now})):
                told = now
            await asyncio.sleep(pause)

    def _send(self, fields: Mapping[str, object], passed: socket.socket | None = None) -> bool:
        if self._socket is None or self._address is None or not fields:
            return False
        message = "\n".join(f"{key}={value}" for key, value in fields.items()).encode()
        rights = [] if passed is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [passed.fileno()]))]
        try:  # not socket.send_fds, which takes an address and does not use it
            self._socket.sendmsg([message], rights, 0, _unix_address(self._address))
        except OSError as error:  # it does not read, or is gone: neither is a reason to stop serving
            telemetry.NOTIFY_FAILURES.inc()
            _log.debug("systemd was not told %s: %s", ", ".join(fields), error)
            return False
        return True


def from_environment(environment: MutableMapping[str, str] = os.environ) -> Supervisor:
    """Whoever the environment names, with what they hand over. The names are taken out: they are for this process."""
    its = {
        key: environment.pop(key, "")
        for key in (
            "NOTIFY_SOCKET",
            "LISTEN_PID",
            "LISTEN_FDS",
            "LISTEN_FDNAMES",
            "LISTEN_PIDFDID",
            "WATCHDOG_PID",
            "WATCHDOG_USEC",
        )
    }
    me = str(os.getpid())
    count = int(its["LISTEN_FDS"]) if its["LISTEN_PID"] == me and its["LISTEN_FDS"].isdecimal() else 0
    is_watched = its["WATCHDOG_USEC"].isdecimal() and its["WATCHDOG_PID"] in {"", me}
    return Supervisor(
        its["NOTIFY_SOCKET"] or None,
        handed=_handed(its["LISTEN_FDNAMES"].split(":"), count),
        watchdog_seconds=int(its["WATCHDOG_USEC"]) / 1e6 if is_watched else None,
    )


def _handed(names: list[str], count: int) -> dict[str, socket.socket]:
    """By name; what is no socket, or is there twice, is closed."""
    found: dict[str, socket.socket] = {}
    for number in range(count):
        file = FIRST_HANDED + number
        try:
            handed = socket.socket(fileno=file)
        except OSError:
            with suppress(OSError):
                os.close(file)
            continue
        handed.set_inheritable(False)
        name = names[number] if number < len(names) else ""
        if name in found:
            found[name].close()
        found[name] = handed
    return found


def _unix_address(address: str) -> str:
    return "\0" + address[1:] if address.startswith("@") else address
