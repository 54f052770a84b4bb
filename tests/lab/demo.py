"""``make demo``: two real guests on a private libvirt, hostd beside them, and a table of what its page says.

Everything in the table is read from hostd's metrics page, as Prometheus would read it; nothing is asked of
libvirt or of the guests behind hostd's back.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.samples import Sample
from rich.console import Console
from rich.live import Live
from rich.table import Table

from hostd.history.reading import as_table, newest
from tests.lab.daemon import Hostd, find_value
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import private_libvirt, remove_abandoned
from tests.lab.loopback import taken
from tests.lab.progress import step, tell
from tests.lab.waiting import pause, wait_for

PORT = 9177
GUESTS = (GuestSpec(name="alpha", memory_mib=384), GuestSpec(name="beta", memory_mib=512, vcpus=2))
_REFRESH_SECONDS = 2.0
_MIB = 1 << 20
_UNKNOWN = "-"
_CPU_TIME = "libvirt_domain_info_cpu_time_seconds_total"
_HEADS = ("domain", "state", "vCPU use", "memory used", "agent", "last report", "events")
_PAUSE_SECONDS = 1.5  # long enough for hostd to tell the guest of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The samples of one metrics page, and when it was fetched."""

    samples: Sequence[Sample]
    at: float

    def value(self, name: str, **labels: str) -> float | None:
        """Look up one sample."""
        return find_value(self.samples, name, labels)

    def label(self, name: str, label: str, **labels: str) -> str | None:
        """Look up the text that the one sample with value 1 carries in a label: a state, a version."""
        for each in self.samples:
            if each.name == name and each.value == 1 and labels.items() <= each.labels.items():
                return each.labels.get(label)
        return None

    def reported(self, domain: str) -> bool:
        """Whether the page holds a guest's own figures, and its agent is there."""
        connected = self.value("guest_agent_connected", domain=domain) == 1
        return connected and self.value("guest_memory_available_bytes", domain=domain) is not None


def run(*, once: bool) -> int:
    """Show the demo until Ctrl-C, or once; give the exit status."""
    remove_abandoned()  # a demo that was killed may have left its hostd on our port
    if taken(PORT):
        tell(f"port 127.0.0.1:{PORT} is taken: another demo, or a hostd of yours, is running there")
        return 1
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell had it ignored (`make demo &`)
    try:
        with _running() as hostd:
            return _show_once(hostd) if once else _show_on(hostd)
    except KeyboardInterrupt:
        return 0


@contextlib.contextmanager
def _running() -> Iterator[Hostd]:
    with contextlib.ExitStack() as down:
        down.callback(tell, "everything is down again")
        with step("starting a private libvirt", about_seconds=2):
            libvirtd = down.enter_context(private_libvirt())
        with step(f"booting {len(GUESTS)} guests under emulation", about_seconds=10):
            guests = [Guest.define(libvirtd, spec) for spec in GUESTS]
            for guest in guests:
                guest.start()
            hostd = Hostd(libvirtd.uri, libvirtd.folder / "hostd", port=PORT)
            hostd.start()
            down.callback(hostd.stop)
            for guest in guests:
                guest.wait_ready()
        with step("waiting for the guests' first reports", about_seconds=5):
            wait_for(
                "both guests' reports on hostd's page",
                lambda: _all_reported(_fetch(hostd)),
                deadline=60,
                interval=0.2,
                evidence=lambda: _evidence(hostd, guests),
            )
        with step("an event from each guest, and a pause for one to be told of", about_seconds=3):
            _happen(hostd, guests)
        down.callback(_ignore_signals)  # the way down is short, and must not be cut
        yield hostd


def _happen(hostd: Hostd, guests: Sequence[Guest]) -> None:
    """What a script in a guest has to say, and what only the host can know."""
    for guest in guests:
        guest.shell(f"guestagent emit demo.hello --text 'a script in {guest.name} says so' kernel=$(uname -r)")
    paused = guests[-1]
    paused.domain.suspend()
    pause(_PAUSE_SECONDS)
    paused.domain.resume()
    for guest in guests:
        hostd.wait_for_sample("guest_events_total", {"domain": guest.name, "severity": "info"}, lambda count: count > 0)
    hostd.wait_for_sample("hostd_guest_notices_answered_total", {"kind": "resumed", "answer": "seen"})


def _show_once(hostd: Hostd) -> int:
    before = _fetch(hostd)
    pause(_REFRESH_SECONDS)
    after = _fetch(hostd)
    cells = rows(before, after)
    console = Console()
    console.print(_table(cells))
    console.print("\nWhat the guests had to tell (hostd events)", highlight=False)
    for line in as_table(newest(hostd.history, limit=10)):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"\n{_addresses(hostd)}", highlight=False, soft_wrap=True)
    good = _all_reported(after) and _complete(cells)
    tell("both guests reported" if good else "hostd's page does not say all of both guests")
    return 0 if good else 1


def _show_on(hostd: Hostd) -> int:
    console = Console()
    console.print(_addresses(hostd), highlight=False)
    page = _fetch(hostd)
    with Live(console=console, auto_refresh=False) as live:
        while hostd.service.running:
            pause(_REFRESH_SECONDS)
            before, page = page, _fetch(hostd)
            live.update(_table(rows(before, page)), refresh=True)
    tell(f"hostd has ended\n{hostd.evidence()}")
    return 1


def rows(before: Page, after: Page) -> list[tuple[str, ...]]:
    """Read what two pages say of each domain; what they do not say is a dash."""
    domains = sorted({each.labels["domain"] for each in after.samples if each.name == "libvirt_domain_info"})
    return [
        (
            domain,
            after.label("libvirt_domain_state", "state", domain=domain) or _UNKNOWN,
            _vcpu_use(before, after, domain),
            _memory_used(after, domain),
            after.label("guest_agent_info", "version", domain=domain) or _UNKNOWN,
            _report_age(after, domain),
            _events(after, domain),
        )
        for domain in domains
    ]


def _table(cells: Sequence[tuple[str, ...]]) -> Table:
    drawn = Table(*_HEADS, title="What hostd says of the guests")
    for row in cells:
        drawn.add_row(*row)
    return drawn


def _complete(cells: Sequence[tuple[str, ...]]) -> bool:
    """Whether the table is of our guests and leaves nothing unsaid."""
    return [row[0] for row in cells] == [spec.name for spec in GUESTS] and not any(_UNKNOWN in row for row in cells)


def _vcpu_use(before: Page, after: Page, domain: str) -> str:
    first = before.value(_CPU_TIME, domain=domain)
    last = after.value(_CPU_TIME, domain=domain)
    vcpus = after.value("libvirt_domain_vcpu_current", domain=domain)
    if first is None or last is None or vcpus is None:
        return _UNKNOWN
    return f"{100 * (last - first) / (after.at - before.at):.0f} % of {vcpus:.0f}"


def _memory_used(page: Page, domain: str) -> str:
    total = page.value("guest_memory_total_bytes", domain=domain)
    available = page.value("guest_memory_available_bytes", domain=domain)
    if total is None or available is None:
        return _UNKNOWN
    return f"{(total - available) / _MIB:.0f} of {total / _MIB:.0f} MiB"


def _report_age(page: Page, domain: str) -> str:
    age = page.value("guest_report_age_seconds", domain=domain)
    return _UNKNOWN if age is None else f"{age:.1f} s ago"


def _events(page: Page, domain: str) -> str:
    counts = [
        each.value for each in page.samples if each.name == "guest_events_total" and each.labels["domain"] == domain
    ]
    return f"{sum(counts):.0f}" if counts else _UNKNOWN


def _fetch(hostd: Hostd) -> Page:
    return Page(samples=hostd.samples(), at=time.monotonic())


def _all_reported(page: Page) -> bool:
    return all(page.reported(spec.name) for spec in GUESTS)


def _addresses(hostd: Hostd) -> str:
    return f"metrics {hostd.url}/metrics   landing page {hostd.url}/   health {hostd.url}/healthz"


def _evidence(hostd: Hostd, guests: Sequence[Guest]) -> str:
    logs = [guest.shell("cat /var/log/guestagent.log", check=False).stdout for guest in guests]
    return "\n".join([hostd.evidence(), *(f"--- {g.name} ---\n{log}" for g, log in zip(guests, logs, strict=True))])


def _stop(_number: int, _frame: object) -> None:
    sys.exit(128 + signal.SIGTERM)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
