"""What may be an event: checked here, where whoever hands one in can still be told what is wrong with it.

The host refuses a whole frame for one value that breaks the wire's rules, so nothing that does may enter the journal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocol.messages import Detail, Event

if TYPE_CHECKING:
    from collections.abc import Sequence

SEVERITIES = ("info", "warning", "critical")

MAX_TEXT_CHARACTERS = 512
MAX_TEXT_BYTES = 1024
"""The wire decodes no text that is longer, whatever its characters."""

MAX_DETAILS = 16
MAX_VALUE_CHARACTERS = 256

_KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

_EVENT_BYTES = 96
_DETAIL_BYTES = 16
"""What the wire adds to an event's and a detail's texts, at most."""


class BadEvent(ValueError):  # noqa: N818 - named for what is so
    """It cannot be an event; the message says where and what is allowed."""


def event(number: int, kind: str, severity: str, text: str, details: Sequence[tuple[str, str]]) -> Event:
    """The event, with nothing in it that the host would refuse.

    Raises:
        BadEvent: it breaks a rule.

    """
    if not _KIND.fullmatch(kind):
        raise BadEvent(f"kind {kind[:64]!a}: write a small letter, then up to 63 of a-z, 0-9, '_', '.' and '-'")
    if severity not in SEVERITIES:
        raise BadEvent(f"severity {severity[:64]!a}: write one of {', '.join(SEVERITIES)}")
    _check("text", text, MAX_TEXT_CHARACTERS)
    if len(details) > MAX_DETAILS:
        raise BadEvent(f"details: {len(details)} are more than {MAX_DETAILS}; leave some out")
    names = [name for name, _ in details]
    for name, value in details:
        if names.count(name) > 1:
            raise BadEvent(f"detail {name[:64]!a}: it is there twice; each name may be there once")
        if not name:
            raise BadEvent("details: one has no name; write NAME=VALUE")
        if not _KIND.fullmatch(name):
            raise BadEvent(f"detail {name[:64]!a}: begin its name with a small letter, then up to 63 as in a kind")
        _check(f"detail {name!a}", value, MAX_VALUE_CHARACTERS)
    return Event(
        number=number,
        kind=kind,
        severity=severity,
        text=text,
        details=tuple(Detail(name=name, value=value) for name, value in details),
    )


def size_bytes(given: Event) -> int:
    """The most that it takes on the wire."""
    texts = [given.kind, given.severity, given.text]
    texts += [text for detail in given.details for text in (detail.name, detail.value)]
    return _EVENT_BYTES + _DETAIL_BYTES * len(given.details) + sum(len(text.encode()) for text in texts)


def _check(where: str, text: str, most_characters: int) -> None:
    if len(text) > most_characters:
        raise BadEvent(f"{where}: {len(text)} characters are more than {most_characters}; shorten it")
    if not text.isprintable():  # which a lone surrogate, from bytes that are not UTF-8, is not either
        raise BadEvent(f"{where}: {text!a} holds control characters or is not UTF-8; take them out")
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise BadEvent(f"{where}: {len(text.encode())} bytes are more than {MAX_TEXT_BYTES}; shorten it")
