"""HTTP and ports on this machine alone: no proxy is asked, no other address is bound."""

import socket
import urllib.request
from collections.abc import Mapping

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """Name a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def taken(port: int) -> bool:
    """Whether somebody listens on a port, or else holds it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def fetch(url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10) -> str:
    """Get a page; a status of 400 or more raises ``urllib.error.HTTPError``, which is an OSError."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - built by the lab
    with _opener.open(request, timeout=timeout) as response:
        text: str = response.read().decode()
        return text


def answers(url: str) -> bool:
    """Whether a page is served with a good status."""
    try:
        fetch(url, timeout=2)
    except OSError:
        return False
    return True
