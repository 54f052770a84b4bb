"""The port `Hypervisor` over libvirt's own binding.

Read-only: nothing here needs more, and a read-only socket is what an operator can give away. Every call runs in
`calls`' threads under a deadline; libvirt's errors become ours here and nowhere else.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import libvirt

from hostd.hypervisor import (
    CallFailed,
    ClosedNotice,
    HypervisorError,
    LifecycleNotice,
    NoSuchDomain,
    Notice,
    TimedOut,
    Unavailable,
    WrongUri,
    decode,
    events,
)
from hostd.hypervisor.calls import Calls
from hostd.hypervisor.describe import Description, describe
from hostd.hypervisor.names import event_of, named, state_of
from hostd.model.domain import DomainFacts
from hostd.model.host import ConnectionFacts, Host
from hostd.model.stats import DomainStats

T = TypeVar("T")

_log = logging.getLogger(__name__)

THREADS = 4  # libvirtd serves five requests of one client at once (max_client_requests); one is left for events
KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3  # a daemon that says nothing for this long is gone
CLOSE_SECONDS = 0.5

GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
# Active ones only: for an inactive domain the BLOCK group opens its images, which may hang on a dead NFS server.
_WHICH = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE

_GONE = {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID}
_WRONG_URI = {
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_XML_ERROR,
    libvirt.VIR_ERR_XML_DETAIL,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
}
_CLOSED = ("error", "end of file", "keepalive timeout", "closed by client")  # virConnectCloseReason


class LibvirtAdapter:
    """One read-only connection to `uri`; `channel_name` is the channel whose path domains are described with."""

    def __init__(self, uri: str, *, channel_name: str, deadline_seconds: float) -> None:
        self._uri = uri
        self._channel_name = channel_name
        self._deadline_seconds = deadline_seconds
        self._calls = Calls(threads=THREADS, name="libvirt")
        self._open: _Open | None = None
        self._has_bulk_stats = True
        self._has_memory_stats = True

    async def connect(self, on_notice: Callable[[Notice], None]) -> ConnectionFacts:
        events.start()
        tell = _ThreadsafeTeller(asyncio.get_running_loop(), on_notice)
        self._open, facts = await self._call("connect", lambda: _connect(self._uri, tell))
        return facts

    async def list_domains(self) -> tuple[DomainFacts, ...]:
        return await self._ask("list_domains", lambda connection: tuple(self._describe_all(connection)))

    async def describe(self, uuid: str) -> DomainFacts:
        return await self._ask("describe", lambda connection: self._describe(connection.lookupByUUIDString(uuid)))

    async def sample_domains(self) -> Mapping[str, DomainStats]:
        return await self._ask("sample_domains", self._sample_domains)

    async def sample_host(self) -> Host:
        return await self._ask("sample_host", self._sample_host)

    async def close(self) -> None:
        opened, self._open = self._open, None
        if opened is None:
            return
        with suppress(TimedOut):  # the daemon is stuck; its side of the socket ends with the process
            await self._calls.run("close", opened.give_up, deadline_seconds=CLOSE_SECONDS)

    async def _ask(self, what: str, question: Callable[[Any], T]) -> T:
        opened = self._open
        if opened is None:
            raise Unavailable("not connected")

        def asked() -> T:
            with opened as connection:
                try:
                    return question(connection)
                except libvirt.libvirtError as error:
                    raise _translate(what, error, connection) from error

        return await self._call(what, asked)

    async def _call(self, what: str, function: Callable[[], T]) -> T:
        return await self._calls.run(what, function, deadline_seconds=self._deadline_seconds)

    def _describe_all(self, connection: Any) -> list[DomainFacts]:  # noqa: ANN401
        described = []
        for domain in connection.listAllDomains():
            try:
                described.append(self._describe(domain))
            except libvirt.libvirtError as error:
                if error.get_error_code() in _GONE:  # gone between the list and the question
                    continue
                if not _is_alive(connection):
                    raise
                _log.warning("domain %r is left out: %s", domain.name(), error)  # it must not cost the others
        return described

    def _describe(self, domain: Any) -> DomainFacts:  # noqa: ANN401
        state, reason = state_of(*domain.state())
        description = self._description(domain)
        is_active = domain.isActive()
        return DomainFacts(
            uuid=domain.UUIDString(),
            name=domain.name(),
            id=domain.ID() if is_active else None,
            state=state,
            reason=reason,
            is_persistent=bool(domain.isPersistent()),
            os_type=description.os_type,
            machine=description.machine,
            memory_maximum_bytes=description.memory_maximum_bytes,
            channel=description.channel if is_active else None,
        )

    def _description(self, domain: Any) -> Description:  # noqa: ANN401
        try:
            return describe(domain.XMLDesc(), channel_name=self._channel_name)
        except ValueError as error:
            _log.warning("domain %r: %s", domain.name(), error)
            return Description()

    def _sample_domains(self, connection: Any) -> Mapping[str, DomainStats]:  # noqa: ANN401
        if self._has_bulk_stats:
            try:
                records = connection.getAllDomainStats(GROUPS, _WHICH)
                return {domain.UUIDString(): _stats_of(domain, params) for domain, params in records}
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                    raise
                self._has_bulk_stats = False  # libxl and LXC have no bulk call; ask each domain instead
        active = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        return {domain.UUIDString(): _stats_of(domain, {}) for domain in active}

    def _sample_host(self, connection: Any) -> Host:  # noqa: ANN401
        _, memory_mib, cpus, *_ = connection.getInfo()
        memory = self._memory_stats(connection)
        load1, load5, load15 = os.getloadavg() if _is_this_machine(self._uri) else (None, None, None)
        return Host(
            cpus=cpus,
            memory_total_bytes=memory.get("total", memory_mib * 1024) * 1024,
            memory_free_bytes=memory["free"] * 1024 if "free" in memory else None,
            load1=load1,
            load5=load5,
            load15=load15,
        )

    def _memory_stats(self, connection: Any) -> Mapping[str, int]:  # noqa: ANN401
        if not self._has_memory_stats:
            return {}
        try:
            stats: Mapping[str, int] = connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                raise
            self._has_memory_stats = False
            return {}
        return stats


class _ThreadsafeTeller:
    """Carries what libvirt's event thread hears over to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_notice: Callable[[Notice], None]) -> None:
        self._loop = loop
        self._on_notice = on_notice

    def lifecycle(self, _connection: object, domain: Any, event: int, detail: int, _opaque: object) -> None:  # noqa: ANN401
        name, detail_name = event_of(event, detail)
        self._tell(LifecycleNotice(uuid=domain.UUIDString(), name=domain.name(), event=name, detail=detail_name))

    def closed(self, _connection: object, reason: int, _opaque: object) -> None:
        self._tell(ClosedNotice(why=named(reason, _CLOSED)))

    def _tell(self, notice: Notice) -> None:
        try:
            self._loop.call_soon_threadsafe(self._on_notice, notice)
        except RuntimeError:  # the loop has closed: hostd is ending
            return


class _Open:
    """A connection and the subscription over it.

    Libvirt frees a connection at its last close, even under a thread that is inside a call on it: whoever leaves last,
    after it was given up, closes. A subscription holds the connection open, so that ends first.
    """

    def __init__(self, connection: Any, subscription: int) -> None:  # noqa: ANN401 - the binding has no types
        self._connection = connection
        self._subscription = subscription
        self._lock = threading.Lock()
        self._inside = 0
        self._is_given_up = False

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
            with suppress(libvirt.libvirtError):
                connection.domainEventDeregisterAny(self._subscription)
            with suppress(libvirt.libvirtError):
                connection.unregisterCloseCallback()
            self._is_given_up = True


def _connect(uri: str, tell: _ThreadsafeTeller) -> tuple[_Open, ConnectionFacts]:
    try:
        return _opened(uri, tell)
    except libvirt.libvirtError as error:
        message = f"connect: {_in_one_line(error)}"
        raise (WrongUri if error.get_error_code() in _WRONG_URI else Unavailable)(message) from error


def _opened(uri: str, tell: _ThreadsafeTeller) -> tuple[_Open, ConnectionFacts]:
    connection = libvirt.openReadOnly(uri)
    connection.registerCloseCallback(tell.closed, None)
    subscription = connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, tell.lifecycle, None)
    _if_supported(lambda: connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT))
    hypervisor_version = _if_supported(connection.getVersion)
    return _Open(connection, subscription), ConnectionFacts(
        driver=connection.getType(),
        libvirt_version=_dotted(connection.getLibVersion()),
        hypervisor_version=None if hypervisor_version is None else _dotted(hypervisor_version),
        hostname=_if_supported(connection.getHostname),
    )


def _if_supported(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return None


def _stats_of(domain: Any, params: Mapping[str, object]) -> DomainStats:  # noqa: ANN401
    stats = decode.domain_stats(params)
    if stats.cpu.time_seconds is not None:
        return stats
    try:
        return decode.with_info(stats, domain.info())
    except libvirt.libvirtError:
        return stats  # it stopped in between, or the driver has nothing more


def _translate(what: str, error: libvirt.libvirtError, connection: Any) -> HypervisorError:  # noqa: ANN401
    message = f"{what}: {_in_one_line(error)}"
    if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
        return NoSuchDomain(message)
    return CallFailed(message) if _is_alive(connection) else Unavailable(message)


def _in_one_line(error: libvirt.libvirtError) -> str:
    return " ".join((error.get_error_message() or str(error)).split())  # what is wrong with XML takes several


def _is_alive(connection: Any) -> bool:  # noqa: ANN401
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _is_this_machine(uri: str) -> bool:
    parts = urlsplit(uri)
    return not parts.netloc and not parts.scheme.startswith("test")


def _dotted(version: int) -> str:
    """Libvirt's major * 1,000,000 + minor * 1,000 + release."""
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"
