"""Scrapes as Prometheus makes them: over one connection that is kept, asking for gzip, timed to the last byte.

Unpacking and reading the page is the scraper's own work and not timed.
"""

import gzip
import http.client
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

PROMETHEUS = MappingProxyType(
    {
        "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "Accept-Encoding": "gzip",
    }
)
PLAIN = MappingProxyType({"Accept": "text/plain", "Accept-Encoding": "identity"})
TIMEOUT_SECONDS = 60.0


class Page:
    """A metrics page, read only as far as it is asked about: at 1,000 domains a whole parse takes a second."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @property
    def samples(self) -> int:
        """How many samples it has."""
        return sum(1 for line in self._body.splitlines() if line and not line.startswith(b"#"))

    def values(self, name: str) -> Mapping[str, float]:
        """Every sample of a name, by its labels as they are written."""
        found = re.finditer(rb"^%s(?:\{(.*)\})? (\S+)" % name.encode(), self._body, re.MULTILINE)
        return {(match[1] or b"").decode(): float(match[2]) for match in found}

    def matching(self, name: str, *labels: str) -> Sequence[float]:
        """The values of a name's samples that have all these labels, each written as on the page: ``domain="a"``."""
        return [value for written, value in self.values(name).items() if all(label in written for label in labels)]

    def value(self, name: str, *labels: str) -> float:
        """The value of the one sample that has them.

        Raises:
            LookupError: there is none, or more than one.

        """
        found = self.matching(name, *labels)
        if len(found) != 1:
            raise LookupError(f"/metrics: {len(found)} samples of {name} {' '.join(labels)}".rstrip())
        return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """One page and the seconds from the question to its last byte."""

    seconds: float
    page: Page


class Scraper:
    """One kept connection to the `/metrics` of a port on this machine."""

    def __init__(self, port: int, *, headers: Mapping[str, str] = PROMETHEUS, timeout: float = TIMEOUT_SECONDS) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._headers = dict(headers)

    def scrape(self) -> Scrape:
        """Get the page once.

        Raises:
            TimeoutError: there was no answer in time.

        """
        begun = time.perf_counter()
        self._connection.request("GET", "/metrics", headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - begun
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"/metrics: status {response.status}: {body[:200]!r}")
        if response.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return Scrape(seconds=seconds, page=Page(body))

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()


@contextmanager
def scraping(
    port: int, *, headers: Mapping[str, str] = PROMETHEUS, timeout: float = TIMEOUT_SECONDS
) -> Iterator[Scraper]:
    """Keep a connection for as long as the block lasts."""
    scraper = Scraper(port, headers=headers, timeout=timeout)
    try:
        yield scraper
    finally:
        scraper.close()
