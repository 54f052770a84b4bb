"""Libvirt, as the rest of hostd sees it: a port, the errors it may raise, and what it tells by itself.

Only `adapter` and `events` import libvirt; they meet `Hypervisor` below. `decode` and `describe` are pure: libvirt's
flat parameters and XML in, model values out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from hostd.model.domain import DomainFacts
from hostd.model.host import ConnectionFacts, Host
from hostd.model.stats import DomainStats


class HypervisorError(Exception):
    """Libvirt could not do what it was asked; the message is libvirt's own, or ours."""


class Unavailable(HypervisorError):  # noqa: N818 - named after the state of things, not after itself
    """There is no connection, or it just broke: connect again, later."""


class WrongUri(HypervisorError):  # noqa: N818
    """No driver serves this URI, now or later: somebody has to correct it."""


class NoSuchDomain(HypervisorError):  # noqa: N818
    """The domain is gone: forget it."""


class CallFailed(HypervisorError):  # noqa: N818
    """This call failed on a connection that works: count it and go on."""


class TimedOut(HypervisorError):  # noqa: N818
    """The call did not answer in time and may never: leave it alone for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleNotice:
    """Libvirt says that something happened to a domain."""

    uuid: str
    name: str
    event: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedNotice:
    """Libvirt's daemon went away."""

    why: str


Notice = LifecycleNotice | ClosedNotice


class Hypervisor(Protocol):
    """One libvirt connection. Every method but `close` may raise any `HypervisorError`, within its deadline."""

    async def connect(self, on_notice: Callable[[Notice], None]) -> ConnectionFacts:
        """Open, subscribe to events, and tell what was reached. `on_notice` is called on the event loop."""

    async def list_domains(self) -> tuple[DomainFacts, ...]:
        """All domains, active and not."""

    async def describe(self, uuid: str) -> DomainFacts:
        """One domain."""

    async def sample_domains(self) -> Mapping[str, DomainStats]:
        """The numbers of all active domains, by UUID."""

    async def sample_host(self) -> Host:
        """The host's numbers."""

    async def close(self) -> None:
        """Give the connection up; never raises, and waits only briefly."""
