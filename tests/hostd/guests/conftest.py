"""Sessions that try again at once and have all the time in the world, unless a test says otherwise."""

import pytest

from hostd.guests import dialogue, patience, session
from hostd.guests.labels import Allowance
from hostd.guests.session import History, Post
from hostd.settings import GuestSettings
from hostd.store import Store
from protocol.backoff import Backoff


def post(store: Store, settings: GuestSettings, history: History | None = None) -> Post:
    """What a session needs."""
    return Post(store=store, settings=settings, allowance=Allowance(settings.max_series), history=history)


class QuickBackoff(Backoff):
    """Waits that a test does not notice."""

    def __init__(self, *, first_seconds: float, most_seconds: float) -> None:
        super().__init__(first_seconds=first_seconds / 1000, most_seconds=most_seconds / 1000)


@pytest.fixture(autouse=True)
def _quick_to_retry_slow_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "Backoff", QuickBackoff)
    monkeypatch.setattr(dialogue, "Backoff", QuickBackoff)
    monkeypatch.setattr(dialogue, "REQUEST_SECONDS", 3600.0)
    monkeypatch.setattr(patience, "LEAST_SILENT_SECONDS", 3600.0)
    monkeypatch.setattr(patience, "MOST_SILENT_SECONDS", 3600.0)
    monkeypatch.setattr(patience, "FIRST_GREETING_SECONDS", 3600.0)
    monkeypatch.setattr(patience, "MOST_GREETING_SECONDS", 7200.0)
    monkeypatch.setattr(patience, "MESSAGE_SECONDS", 3600.0)
