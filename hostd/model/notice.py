"""What a guest should be told of, and whether it has been: it was paused, it has moved, it was set back.

A guest cannot see these things: its clocks stand still with it. They are told through the World, so that whoever holds
the line at the time tells them, also over another connection than the one that was there when it happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

MOST_NOTICES = 16  # of one domain; the oldest is forgotten first
LIFETIME_SECONDS = 3600.0  # a guest that greets later than this is not told any more
SHORTEST_PAUSE_SECONDS = 1.0  # snapshots and saves stop a guest for less than it could notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell; `number` is its identity, also on other hosts."""

    number: int  # microseconds since 1970, made unique
    kind: str
    text: str
    at: float  # seconds since 1970, by this host's clock
    severity: str = "info"
    details: tuple[tuple[str, str], ...] = ()
    answer: str | None = None  # what the guest said became of it


KINDS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("started", "migrated"): ("moved", "this guest has been migrated to another host"),
    ("started", "restored"): ("restored", "this guest has been restored from a saved state"),
    ("started", "from_snapshot"): ("reverted", "this guest has been set back to a snapshot"),
    ("resumed", "unpaused"): ("resumed", "this guest had been paused"),
}
"""By lifecycle event and detail, what a guest has to know of it."""


def after_event(
    notices: tuple[Notice, ...], event: str, detail: str, at: float, paused_at: float | None
) -> tuple[Notice, ...]:
    """The notices after a lifecycle event; `paused_at` is when the domain was suspended, if that is known."""
    if (event, detail) == ("started", "booted"):
        return ()  # what was before is nothing to this guest
    kind, text = KINDS.get((event, detail), ("", ""))
    if not kind:
        return notices
    details: tuple[tuple[str, str], ...] = ()
    if kind == "resumed":
        paused_seconds = at - paused_at if paused_at is not None else 0.0
        if paused_seconds < SHORTEST_PAUSE_SECONDS:
            return notices
        details = (("paused_seconds", f"{paused_seconds:.1f}"),)
    return added(notices, Notice(number=_number(notices, at), kind=kind, text=text, at=at, details=details))


def added(notices: tuple[Notice, ...], notice: Notice) -> tuple[Notice, ...]:
    """With one more, and not too many."""
    return (*notices, notice)[-MOST_NOTICES:]


def answered(notices: tuple[Notice, ...], number: int, answer: str) -> tuple[Notice, ...]:
    """With the guest's answer to one of them."""
    return tuple(replace(n, answer=answer) if n.number == number else n for n in notices)


def pending(notices: tuple[Notice, ...], now: float) -> tuple[Notice, ...]:
    """Those that the guest has yet to answer, oldest first; `now` in seconds since 1970."""
    return tuple(n for n in notices if n.answer is None and now - n.at < LIFETIME_SECONDS)


def _number(notices: tuple[Notice, ...], at: float) -> int:
    return max([int(at * 1e6), *(n.number + 1 for n in notices)])
