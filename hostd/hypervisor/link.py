"""A connection to libvirt, from opening it to closing it, and its errors by what can be done about them."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import libvirt

from hostd.hypervisor import (
    CallFailed,
    ClosedNotice,
    HypervisorError,
    NoSuchDomain,
    NoSuchPool,
    Notice,
    Unavailable,
    WrongUri,
)
from hostd.hypervisor.names import named
from hostd.model.host import ConnectionFacts

T = TypeVar("T")
Undo = Callable[[], None]
Subscribe = Callable[[Any], Sequence[Undo]]

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3  # a daemon that says nothing for this long is gone

_WRONG_URI = {
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_XML_ERROR,
    libvirt.VIR_ERR_XML_DETAIL,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
}
_ERRORS: Mapping[int, type[HypervisorError]] = {
    libvirt.VIR_ERR_NO_DOMAIN: NoSuchDomain,
    libvirt.VIR_ERR_NO_STORAGE_POOL: NoSuchPool,
}
_CLOSED = ("error", "end of file", "keepalive timeout", "closed by client")  # virConnectCloseReason


class Teller:
    """Carries what libvirt's event thread hears over to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_notice: Callable[[Notice], None]) -> None:
        self._loop = loop
        self._on_notice = on_notice

    def closed(self, _connection: object, reason: int, _opaque: object) -> None:
        """The connection is over."""
        self.tell(ClosedNotice(why=named(reason, _CLOSED)))

    def tell(self, notice: Notice) -> None:
        """Something else happened."""
        try:
            self._loop.call_soon_threadsafe(self._on_notice, notice)
        except RuntimeError:  # the loop has closed: hostd is ending
            return


class Link:
    """A connection that tells of events; `undo` ends its subscriptions.

    Libvirt frees a connection at its last close, even under a thread that is inside a call on it: whoever leaves last,
    after it was given up, closes. A subscription holds the connection open, so these end first.
    """

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the binding has no types
        self._connection = connection
        self._undo: Sequence[Undo] = ()
        self._lock = threading.Lock()
        self._inside = 0
        self._is_given_up = False

    def subscribe(self, subscribe: Subscribe) -> None:
        """Hear of what happens; blocks."""
        self._undo = subscribe(self._connection)

    def __enter__(self) -> Any:  # noqa: ANN401
        with self._lock:
            self._inside += 1
        return self._connection

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            is_last = self._is_given_up and self._inside == 0
        if is_last:
            with suppress(libvirt.libvirtError):
                self._connection.close()

    def give_up(self) -> None:
        """Hear no more, and close once nobody is inside."""
        with self as connection:
            for undo in (*self._undo, connection.unregisterCloseCallback):
                with suppress(libvirt.libvirtError):
                    undo()
            self._is_given_up = True


def open_link(uri: str, tell: Teller, subscribe: Subscribe) -> tuple[Link, ConnectionFacts]:
    """Open and subscribe; blocks.

    Raises:
        WrongUri: no driver serves the URI.
        Unavailable: there is nobody at the other end now.

    """
    try:
        return _opened(uri, tell, subscribe)
    except libvirt.libvirtError as error:
        message = f"connect: {in_one_line(error)}"
        raise (WrongUri if error.get_error_code() in _WRONG_URI else Unavailable)(message) from error


def open_lane(uri: str) -> Any:  # noqa: ANN401
    """Open a connection for questions alone; it closes when the last reference to it goes. Blocks.

    Raises:
        libvirt.libvirtError: it cannot be opened.

    """
    connection = libvirt.openReadOnly(uri)
    _keep_alive(connection)
    return connection


def translated(what: str, error: libvirt.libvirtError, connection: Any) -> HypervisorError:  # noqa: ANN401
    """Ours for libvirt's, which a question to `connection` (None: it could not be opened) ended in."""
    message = f"{what}: {in_one_line(error)}"
    if connection is None or not is_alive(connection):
        return Unavailable(message)
    return _ERRORS.get(error.get_error_code(), CallFailed)(message)


def in_one_line(error: libvirt.libvirtError) -> str:
    """What libvirt says; what is wrong with XML takes several lines."""
    return " ".join((error.get_error_message() or str(error)).split())


def is_alive(connection: Any) -> bool:  # noqa: ANN401
    """Whether anybody is at the other end, as far as the client knows."""
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _opened(uri: str, tell: Teller, subscribe: Subscribe) -> tuple[Link, ConnectionFacts]:
    connection = libvirt.openReadOnly(uri)
    connection.registerCloseCallback(tell.closed, None)
    link = Link(connection)
    try:
        link.subscribe(subscribe)
        _keep_alive(connection)
        return link, _facts(connection)
    except libvirt.libvirtError:
        link.give_up()  # or its subscriptions would hold it open for good
        raise


def _facts(connection: Any) -> ConnectionFacts:  # noqa: ANN401
    hypervisor_version = _if_supported(connection.getVersion)
    return ConnectionFacts(
        driver=connection.getType(),
        libvirt_version=dotted(connection.getLibVersion()),
        library_version=dotted(libvirt.getVersion()),
        hypervisor_version=None if hypervisor_version is None else dotted(hypervisor_version),
        hostname=_if_supported(connection.getHostname),
    )


def _keep_alive(connection: Any) -> None:  # noqa: ANN401
    _if_supported(lambda: connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT))


def _if_supported(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return None


def dotted(version: int) -> str:
    """Libvirt's major * 1,000,000 + minor * 1,000 + release."""
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"
