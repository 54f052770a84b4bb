"""A real Prometheus that scrapes one target every second, and its promtool.

The binaries are unpacked from Debian's package, never installed.
"""

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.loopback import answers, fetch, free_port
from tests.lab.processes import Argument, Service, output_of
from tests.lab.programs import unpacked
from tests.lab.waiting import wait_for

_PROGRAMS = ("prometheus", "promtool")


def programs() -> Path:
    """Give the folder with the two programs, from the cache or newly fetched."""
    return unpacked("prometheus", _PROGRAMS)


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """Run promtool; what it finds fault with raises ``CommandFailedError`` with its words."""
    return output_of([programs() / "promtool", *arguments], stdin=stdin)


class Prometheus:
    """One running server with its data in a folder of its own."""

    def __init__(self, target: str, folder: Path, *, scrape: Mapping[str, Any] | None = None) -> None:
        """Start to scrape ``host:port`` and wait until queries are answered. ``scrape`` adds to its job."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        job = {"job_name": "hostd", "static_configs": [{"targets": [target]}], **(scrape or {})}
        every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({"global": every, "scrape_configs": [job]}))  # JSON is YAML, too
        command: list[Argument] = [
            programs() / "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ]
        self.service = Service(command, log=folder / "prometheus.log")
        wait_for("Prometheus is ready", self._ready, deadline=60, evidence=self.service.log_tail)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask for an expression's value now: a list of ``{"metric": labels, "value": [time, text]}``."""
        page = fetch(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        result: list[dict[str, Any]] = json.loads(page)["data"]["result"]
        return result

    def wait_for_value(self, expression: str, *, deadline: float = 60) -> float:
        """Wait until an expression has exactly one series, and give its value."""

        def single() -> Sequence[dict[str, Any]]:
            found = self.query(expression)
            return found if len(found) == 1 else []

        (series,) = wait_for(f"one series for {expression}", single, deadline=deadline, interval=0.2)
        return float(series["value"][1])

    def stop(self) -> None:
        """End the server; its data stay in the folder."""
        self.service.stop()

    def _ready(self) -> bool:
        if not self.service.running:
            raise RuntimeError(f"Prometheus ended at once\n{self.service.log_tail()}")
        return answers(f"{self.url}/-/ready")
