"""hostd as a user runs it: a process of its own with a configuration file, looked at through its pages."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.lab.loopback import answers, fetch, free_port
from tests.lab.processes import Exit, Service
from tests.lab.waiting import wait_for

_CONFIG = """
{connections}
[http]
listen = "127.0.0.1:{port}"
[sampling]
interval_seconds = {interval_seconds}
{sampling}
[storage]
interval_seconds = 1.0
{storage}
[history]
path = "{history}"
[guests]
report_interval_seconds = {interval_seconds}
{guests}
{more}
"""


class Hostd:
    """One hostd, which may be started again after its end: same configuration, same port."""

    def __init__(
        self,
        uri: str | Mapping[str, str],
        folder: Path,
        *,
        port: int | None = None,
        interval_seconds: float = 1.0,
        sampling: str = "",
        storage: str = "",
        guests: str = "",
        more: str = "",
    ) -> None:
        """Write its configuration: one connection without a name, or several by their names.

        ``interval_seconds`` is its own and the guests'; ``sampling``, ``storage`` and ``guests`` add to the sections
        of that name, ``more`` adds sections.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self.config = folder / f"hostd-{self.port}.toml"
        self.history = folder / f"history-{self.port}.sqlite"
        files = {"connections": _connections(uri), "history": self.history}
        added = {"sampling": sampling, "storage": storage, "guests": guests, "more": more}
        settings = {**files, "port": self.port, "interval_seconds": interval_seconds, **added}
        self.config.write_text(_CONFIG.format(**settings))
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

    def wait_until_sampled(self, *, deadline: float = 60, **labels: str) -> None:
        """Wait until every domain with these labels (there is one) has given numbers later than this call began."""
        begun = time.time()

        def sampled() -> bool:
            asked = time.time()
            ages = _values(self.samples(), "hostd_domain_sample_age_seconds", labels)
            return bool(ages) and asked - max(ages) > begun

        wait_for(f"new numbers of domains with {labels}", sampled, deadline=deadline, evidence=self.evidence)

    def wait_for_events(self, domain: str, *kinds: tuple[str, str]) -> None:
        """Wait until each event, with its detail, has been counted: for the domain and, over all of them, for good."""
        for event, detail in kinds:
            kind = {"event": event, "detail": detail}
            self.wait_for_sample("libvirt_domain_events_total", {"domain": domain, **kind}, lambda count: count >= 1)
            assert self.value("libvirt_domain_last_event_timestamp_seconds", domain=domain, event=event)
            assert (self.value("libvirt_events_total", object="domain", **kind) or 0.0) >= 1

    @property
    def threads(self) -> int:
        """How many threads its process has."""
        status = Path(f"/proc/{self.service.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))

    def stop(self) -> Exit:
        """End it in order (SIGTERM) and tell how that went; one that has ended is fine, too."""
        return self.service.stop()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self.service.kill()

    def evidence(self) -> str:
        """Give the end of its log, for the message of a failure."""
        return self.service.log_tail()


def _connections(uri: str | Mapping[str, str]) -> str:
    named = {"": uri} if isinstance(uri, str) else uri
    return "".join(f'[[connection]]\nname = "{name}"\nuri = "{its}"\n' for name, its in named.items())


def parse_samples(page: str) -> list[Sample]:
    """Read a metrics page as Prometheus would; a series that is there twice fails whatever test looks."""
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    counts = Counter((sample.name, frozenset(sample.labels.items())) for sample in samples)
    if twice := [series for series, count in counts.items() if count > 1]:
        raise AssertionError(f"on the page more than once: {twice[:5]}")
    return samples


def find_value(samples: Iterable[Sample], name: str, labels: Mapping[str, str]) -> float | None:
    """Find one sample by its name and some of its labels; None if it is not there."""
    found = _values(samples, name, labels)
    if len(found) > 1:
        raise LookupError(f"{len(found)} samples named {name} with {dict(labels)}: say more labels")
    return found[0] if found else None


def _values(samples: Iterable[Sample], name: str, labels: Mapping[str, str]) -> list[float]:
    return [float(each.value) for each in samples if each.name == name and labels.items() <= each.labels.items()]
