"""What the agent tells the guest's own programs, as plain values: pure, and bounded.

It carries the names' meaning as well, so that the reading side needs neither msgpack nor the message classes and starts
quickly.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from guestagent import __version__
from protocol.messages import Metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guestagent.conversation import Conversation
    from guestagent.notices import KeptNotice

MAX_NOTICES_BYTES = 32 * 1024
"""Of the newest notices, as many as this holds: a document is written to a client's socket at once."""


def document(conversation: Conversation, now: float) -> dict[str, Any]:
    """What the host said last and how old that is (`metrics` is `None` if it never said anything), and how we are."""
    metrics = conversation.metrics
    return {
        "version": __version__,
        "connected": conversation.is_open,
        "age_seconds": _age(conversation.metrics_at, now),
        "metrics": None if metrics is None else dataclasses.asdict(metrics),
        "about": {field.name: field.metadata["about"] for field in dataclasses.fields(Metrics)},
        "status": status(conversation, now),
        "notices": newest(conversation.notices.kept, now),
    }


def status(conversation: Conversation, now: float) -> dict[str, Any]:
    """How the line is, flat: one name, one value."""
    journal = conversation.delivery.journal
    is_open = conversation.is_open
    return {
        "state": state(conversation),
        "reason": None if is_open else conversation.absence or conversation.greeting.refusal,
        "port": conversation.port,
        "heard_age_seconds": _age(conversation.heard_at, now),
        "reported_age_seconds": _age(conversation.reporting.reported_at, now),
        "report_interval_seconds": conversation.reporting.interval_seconds if is_open else None,
        "notices": len(conversation.notices.kept),
        "events_written": None if journal is None else journal.last,
        "events_acknowledged": None if journal is None else journal.acknowledged,
        "events_lost": conversation.delivery.events_lost,
        **conversation.counters.all(),
    }


def state(conversation: Conversation) -> str:
    """In a word: `open`, `away` (no host, or no port), `refused`, or `greeting` (no answer so far)."""
    if conversation.is_open:
        return "open"
    if conversation.absence is not None:
        return "away"
    return "greeting" if conversation.greeting.refusal is None else "refused"


def newest(kept: Sequence[KeptNotice], now: float) -> list[dict[str, Any]]:
    """The newest notices, the oldest of them first."""
    chosen: list[dict[str, Any]] = []
    room = MAX_NOTICES_BYTES
    for one in reversed(kept):
        told = notice(one, now)
        room -= len(json.dumps(told))
        if room < 0:
            break
        chosen.append(told)
    return chosen[::-1]


def notice(kept: KeptNotice, now: float) -> dict[str, Any]:
    """One notice, with how long ago it came and what has become of it."""
    told = dataclasses.asdict(kept.notice)
    told["details"] = {detail.name: detail.value for detail in kept.notice.details}
    return {**told, "age_seconds": _age(kept.arrived_at, now), "status": kept.status, "status_text": kept.text}


def _age(then: float | None, now: float) -> float | None:
    return None if then is None else round(now - then, 3)
