"""hostd as a user runs it: a process of its own with a configuration file, looked at through its pages."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.lab.loopback import answers, fetch, free_port
from tests.lab.processes import Exit, Service
from tests.lab.waiting import wait_for

_CONFIG = """
[connection]
uri = "{uri}"
[http]
listen = "127.0.0.1:{port}"
[sampling]
interval_seconds = 1.0
[guests]
report_interval_seconds = 1.0
{guests}
{more}
"""


class Hostd:
    """One hostd, which may be started again after its end: same configuration, same port."""

    def __init__(self, uri: str, folder: Path, *, port: int | None = None, guests: str = "", more: str = "") -> None:
        """Write its configuration: ``guests`` adds lines to that section, ``more`` adds sections (TOML)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self.config = folder / f"hostd-{self.port}.toml"
        self.config.write_text(_CONFIG.format(uri=uri, port=self.port, guests=guests, more=more))
        self.log = folder / f"hostd-{self.port}.log"
        self.log.touch()
        self._service: Service | None = None

    @property
    def service(self) -> Service:
        """Its process, running or ended."""
        if self._service is None:
            raise RuntimeError("hostd was not started")
        return self._service

    def start(self) -> None:
        """Start it and wait until it serves pages; libvirt may still be away."""
        service = self._service = Service([sys.executable, "-m", "hostd", "run", "--config", self.config], log=self.log)

        def serves() -> bool:
            if not service.running:
                raise RuntimeError(f"hostd ended with status {service.process.returncode}\n{service.log_tail()}")
            return answers(f"{self.url}/healthz")

        wait_for("hostd serves /healthz", serves, deadline=60, evidence=self.evidence)

    def page(self, path: str = "/metrics", *, accept: str = "text/plain") -> str:
        """Get one of its pages."""
        return fetch(self.url + path, headers={"Accept": accept})

    def samples(self) -> list[Sample]:
        """Get every sample of the metrics page."""
        return parse_samples(self.page())

    def value(self, name: str, **labels: str) -> float | None:
        """Look up one sample by its name and some of its labels; None if it is not there."""
        return find_value(self.samples(), name, labels)

    def wait_for_sample(
        self,
        name: str,
        labels: Mapping[str, str],
        predicate: Callable[[float], bool] = lambda _value: True,
        *,
        deadline: float = 60,
    ) -> float:
        """Wait until a sample is there and as wanted, and give its value; hostd may be away meanwhile."""

        def look() -> list[float]:
            try:
                value = self.value(name, **labels)
            except OSError:
                return []
            return [value] if value is not None and predicate(value) else []

        what = f"{name}{dict(labels)} on {self.url}/metrics"
        (value,) = wait_for(what, look, deadline=deadline, interval=0.1, evidence=self.evidence)
        return value

    def stop(self) -> Exit:
        """End it in order (SIGTERM) and tell how that went; one that has ended is fine, too."""
        return self.service.stop()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self.service.kill()

    def evidence(self) -> str:
        """Give the end of its log, for the message of a failure."""
        return self.service.log_tail()


def parse_samples(page: str) -> list[Sample]:
    """Read a metrics page as Prometheus would."""
    return [sample for family in text_string_to_metric_families(page) for sample in family.samples]


def find_value(samples: Iterable[Sample], name: str, labels: Mapping[str, str]) -> float | None:
    """Find one sample by its name and some of its labels; None if it is not there."""
    found = [each for each in samples if each.name == name and labels.items() <= each.labels.items()]
    if len(found) > 1:
        raise LookupError(f"{len(found)} samples named {name} with {dict(labels)}: say more labels")
    return float(found[0].value) if found else None
