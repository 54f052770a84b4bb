"""Debian's prometheus-libvirt-exporter as a process, to be measured beside hostd in the same run.

It asks libvirt anew at each scrape, domain by domain, and has no time-out of its own.
"""

from pathlib import Path

from tests.lab.loopback import answers, free_port
from tests.lab.processes import Argument, Service
from tests.lab.programs import unpacked
from tests.lab.waiting import wait_for

PACKAGE = "prometheus-libvirt-exporter"


def program() -> Path:
    """Give the exporter, from the cache or newly fetched."""
    return unpacked(PACKAGE, [PACKAGE]) / PACKAGE


class LibvirtExporter:
    """One running exporter; libvirt need not answer."""

    def __init__(self, uri: str, folder: Path) -> None:
        """Start it and wait until it serves its landing page, which asks nothing of libvirt."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command: list[Argument] = [
            program(),
            f"--libvirt.uri={uri}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self.service = Service(command, log=folder / f"exporter-{self.port}.log")
        wait_for("the exporter serves", self._serves, deadline=60, evidence=self.service.log_tail)

    def stop(self) -> None:
        """End it, also from within a scrape that hangs."""
        self.service.stop()

    def _serves(self) -> bool:
        if not self.service.running:
            raise RuntimeError(f"the exporter ended at once\n{self.service.log_tail()}")
        return answers(self.url)
