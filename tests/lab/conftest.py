"""The lab as pytest fixtures. Every test in this folder is marked ``lab``.

What is dear is shared by the session (a libvirt takes 2 s, a guest 5 s); whoever breaks things takes his
own: ``private_libvirtd``, ``boot``. A failed test shows the ends of all logs.
Nothing is skipped here for want of a package: that is a failure that says to run ``make setup``. Only the tests on an
LXC host are skipped, for a user to whom libvirt gives none.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import libvirt
import pytest

from tests.lab.daemon import Hostd
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt, private_libvirt
from tests.lab.processes import tail
from tests.lab.prometheus import Prometheus

_HERE = Path(__file__).parent
_LOGS = pytest.StashKey[list[Path]]()


class Boot(Protocol):
    """Boots a guest and waits until it does commands: ``boot(GuestSpec(name="alpha"))``."""

    def __call__(self, spec: GuestSpec, *, libvirtd: PrivateLibvirt | None = None) -> Guest:
        """Boot one, on the session's libvirt unless another is given."""


class StartHostd(Protocol):
    """Starts hostd and waits until it serves: ``start_hostd()``, ``start_hostd(uri)``, ``start_hostd({name: uri})``."""

    def __call__(
        self,
        uri: str | Mapping[str, str] | None = None,
        *,
        interval_seconds: float = 1.0,
        sampling: str = "",
        guests: str = "",
        more: str = "",
    ) -> Hostd:
        """Start one, at the session's libvirt unless told another; the rest as in ``Hostd``."""


class StartPrometheus(Protocol):
    """Starts a Prometheus that scrapes a hostd: ``start_prometheus(hostd)``."""

    def __call__(self, hostd: Hostd, *, scrape: dict[str, Any] | None = None) -> Prometheus:
        """Start one; ``scrape`` adds to its job's configuration."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and nothing else: pytest hands every collected test to every conftest."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the lab's logs under a failed test."""
    report = yield
    if report.failed:
        for log in item.config.stash.get(_LOGS, []):
            report.sections.append((log.name, tail(log)))
    return report


@pytest.fixture(scope="session")
def logs(pytestconfig: pytest.Config) -> list[Path]:
    """The logs of the parts that are up now, to be shown under a failed test."""
    return pytestconfig.stash.setdefault(_LOGS, [])


@pytest.fixture(scope="session")
def libvirtd(logs: list[Path]) -> Iterator[PrivateLibvirt]:
    """The session's private libvirt: for tests that leave it running."""
    with private_libvirt() as shared, shown(logs, shared.log):
        yield shared


@pytest.fixture
def private_libvirtd(logs: list[Path]) -> Iterator[PrivateLibvirt]:
    """A libvirt of the test's own, to kill and to start again."""
    with private_libvirt() as own, shown(logs, own.log):
        yield own


@pytest.fixture(scope="session")
def second_libvirtd(logs: list[Path]) -> Iterator[PrivateLibvirt]:
    """Another host, for guests to migrate to and back (``migration.py``): for tests that leave it running."""
    with private_libvirt() as second, shown(logs, second.log):
        yield second


@pytest.fixture(scope="session")
def guest(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[Guest]:
    """The session's guest, with an agent in it: for tests that leave it as it is."""
    with ExitStack() as down:
        yield _booted(libvirtd, GuestSpec(name="shared"), logs, down)


@pytest.fixture
def boot(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[Boot]:
    """Guests of the test's own, removed at its end."""
    shared = libvirtd
    with ExitStack() as down:

        def boot(spec: GuestSpec, *, libvirtd: PrivateLibvirt | None = None) -> Guest:
            return _booted(libvirtd or shared, spec, logs, down)

        yield boot


@pytest.fixture
def start_hostd(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[StartHostd]:
    """Daemons of the test's own, ended at its end."""
    with ExitStack() as down:

        def start(
            uri: str | Mapping[str, str] | None = None,
            *,
            interval_seconds: float = 1.0,
            sampling: str = "",
            guests: str = "",
            more: str = "",
        ) -> Hostd:
            folder = libvirtd.folder / "hostd"
            hostd = Hostd(
                uri or libvirtd.uri,
                folder,
                interval_seconds=interval_seconds,
                sampling=sampling,
                guests=guests,
                more=more,
            )
            down.enter_context(shown(logs, hostd.log))
            down.callback(hostd.stop)
            hostd.start()
            return hostd

        yield start


@pytest.fixture(scope="module")
def hostd(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[Hostd]:
    """One that listens to all that happens at the session's libvirt, and understands it."""
    hostd = Hostd(libvirtd.uri, libvirtd.folder / "hostd")
    hostd.start()
    with shown(logs, hostd.log):
        hostd.wait_for_sample("libvirt_up", {}, lambda up: up == 1)
        yield hostd
        assert [sample for sample in hostd.samples() if sample.name == "hostd_events_undecoded_total"] == []
    hostd.stop()


@pytest.fixture
def start_prometheus(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[StartPrometheus]:
    """Prometheus servers of the test's own, ended at its end."""
    with ExitStack() as down:

        def start(hostd: Hostd, *, scrape: dict[str, Any] | None = None) -> Prometheus:
            server = Prometheus(hostd.address, libvirtd.folder / f"prometheus-{hostd.port}", scrape=scrape)
            down.enter_context(shown(logs, server.service.log))
            down.callback(server.stop)
            return server

        yield start


def _booted(libvirtd: PrivateLibvirt, spec: GuestSpec, logs: list[Path], down: ExitStack) -> Guest:
    guest = Guest.define(libvirtd, spec)
    down.callback(_remove, guest)
    down.enter_context(shown(logs, guest.console))
    guest.start()
    guest.wait_ready()
    return guest


def _remove(guest: Guest) -> None:
    with suppress(libvirt.libvirtError):  # a test may have left its libvirt dead; the guest ends with its folder
        guest.remove()


@contextmanager
def shown(logs: list[Path], log: Path) -> Iterator[None]:
    """Have a log shown under a test that fails meanwhile."""
    logs.append(log)
    yield
    logs.remove(log)
