"""Channels that are opened again at once, and limits that no test runs into unless it says so."""

import pytest

from hostd.vhostmd import asker, server
from tests.hostd.guests.conftest import QuickBackoff


@pytest.fixture(autouse=True)
def _quick_to_retry_slow_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "Backoff", QuickBackoff)
    monkeypatch.setattr(asker, "PACE_SECONDS", 0.0)
    monkeypatch.setattr(asker, "TAKEN_SECONDS", 3600.0)
    monkeypatch.setattr(asker, "FORGET_SECONDS", 3600.0)
    monkeypatch.setattr(asker, "QUIET_SECONDS", 3600.0)
    monkeypatch.setattr(asker, "READS_RESERVE", 1e9)
