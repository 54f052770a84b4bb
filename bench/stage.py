"""What the figures are measured on: a private libvirt with many paused domains, and daemons beside it.

The domains are started at their first use and shared by all figures; a hostd or an exporter is each figure's
own, so that none is measured while another runs that it did not ask for.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from bench.scraping import PLAIN, scraping
from tests.lab.daemon import Hostd
from tests.lab.libvirtd import PrivateLibvirt, private_libvirt
from tests.lab.many import start_paused
from tests.lab.peer import LibvirtExporter
from tests.lab.progress import step
from tests.lab.waiting import wait_for

T = TypeVar("T")

# All else at its default: the lab's own configuration is in a hurry, and so costs more.
_CONFIG = """
[[connection]]
uri = "{uri}"
[http]
listen = "{address}"
[sampling]
interval_seconds = {interval_seconds}
[history]
path = ""
"""
SAMPLE_AGE = "hostd_domain_sample_age_seconds"
_SECONDS_EACH = 0.2


class Stage:
    """The lab of one run. What it starts is ended by `down`."""

    def __init__(self, down: ExitStack, *, domains: int) -> None:
        self.domains = domains
        self._down = down
        self._remembered: dict[Callable[[Stage], object], object] = {}

    @cached_property
    def libvirtd(self) -> PrivateLibvirt:
        """The private libvirt, its domains started."""
        libvirtd = self._down.enter_context(private_libvirt())
        with step(f"starting {self.domains} paused domains", about_seconds=round(self.domains * _SECONDS_EACH)):
            start_paused(libvirtd, self.domains)
        return libvirtd

    def once(self, run: Callable[["Stage"], T]) -> T:
        """What `run` gives, run at its first use only: several figures may be read from one run."""
        if run not in self._remembered:
            self._remembered[run] = run(self)
        return self._remembered[run]  # type: ignore[return-value]  # what this very function gave

    @contextmanager
    def hostd(self, *, interval_seconds: float) -> Iterator[Hostd]:
        """A hostd of one's own beside the private libvirt, which has collected all domains once."""
        libvirtd = self.libvirtd
        with running_hostd(libvirtd.uri, libvirtd.folder, self.domains, interval_seconds=interval_seconds) as hostd:
            yield hostd

    @contextmanager
    def exporter(self) -> Iterator[LibvirtExporter]:
        """Debian's exporter beside the private libvirt."""
        exporter = LibvirtExporter(self.libvirtd.uri, self.libvirtd.folder / "exporter")
        try:
            yield exporter
        finally:
            exporter.stop()


@contextmanager
def running_hostd(uri: str, folder: Path, domains: int, *, interval_seconds: float) -> Iterator[Hostd]:
    """A hostd that has collected `domains` once."""
    hostd = Hostd(uri, folder / "hostd")
    hostd.config.write_text(_CONFIG.format(uri=uri, address=hostd.address, interval_seconds=interval_seconds))
    with ExitStack() as down:
        down.callback(hostd.stop)
        hostd.start()
        scraper = down.enter_context(scraping(hostd.port, headers=PLAIN))

        def has_all() -> bool:
            return len(scraper.scrape().page.values(SAMPLE_AGE)) == domains

        wait_for(f"{domains} domains on hostd's page", has_all, deadline=120, interval=0.2, evidence=hostd.evidence)
        yield hostd
