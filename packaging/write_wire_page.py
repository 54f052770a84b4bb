# ruff: noqa: INP001 - a program, not a package
"""Writes ``docs/wire.md``: how host and guest speak, from the tables that both speak by.

Only the rules in words below are written by hand; states, messages, fields, limits and reasons to drop are the
program's own, and a test makes the page anew and compares.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from protocol import chunks, framing, messages, schema
from protocol.connection import TRANSITIONS, State
from protocol.errors import DropReason
from protocol.messages import MESSAGES, Row

TARGET = Path(__file__).resolve().parents[1] / "docs" / "wire.md"

INTRODUCTION = """\
# The wire

What hostd and the guest agent say to each other over one byte stream. Written by `make docs` from the tables in
`protocol/`: change it there, not here. Both ends drive the same `protocol.connection.Connection`, which does no I/O.

```
 0x00 │ COBS( layout u8 │ type u8 │ session u32 │ sequence u32 │ body │ CRC-32 ) │ 0x00     ≤ 32 KiB, big-endian
```

The stream beneath loses bytes in the middle, starts in the middle, repeats a former connection's tail and may carry a
login prompt. So a frame stands between two zeros, has none inside (COBS), and is given to the port in one write. What
is not a sound frame is dropped alone and counted by reason; nothing that is dropped is ever answered.

A body is one msgpack array of the message's fields in their order, `nil` for what is not known. A field that the
receiver does not know is ignored, one that is missing is unknown: a class grows at its end.

## The conversation

- **A session begins with a Hello and its Welcome**, which carries the hello's nonce back and gives a number. Hello and
  HelloRequest at any time end the session before. HelloRequest is all that a host says to a guest that has not greeted.
- **The session's number is in every frame, and CRC-32 begins from a seed**: the CRC-32 of nonce (u64) and number (u32),
  0 for greetings. Clones of one snapshot that happen to have the same number do not understand each other.
- **Frames are numbered from 1 in each direction.** A number that is not higher than the last is dropped; a gap is a
  loss, which nobody asks back.
- **Credit.** The guest grants a window in its Hello. So many messages that cost credit may be on their way to it; an
  Ack says that all up to that number have come or never will. A host without credit keeps the newest and waits.
- **Only the newest counts** of Report, Metrics, Ping and Refresh: none is ever sent again. One that is lost is
  replaced by the next.
- **Events are sent until they are taken.** `(domain, journal, number)` names an event for ever; the guest keeps those
  that no EventsTaken has covered, and sends them again in the next session, from what Welcome says was taken. The host
  counts each number once. A gap is what the guest had no room for, and is told as lost.
- **A guest that is set back to a snapshot finds out by itself.** A host that has taken more than the guest ever told,
  or an event of another token under the last number, has met a future that is no more: the guest begins another
  journal and tells there what it still has. The host takes nothing of an Events in which the last event it has is
  another one.
- **A guest that moves may tell both hosts of an event**: one that the first host has taken, and whose EventsTaken did
  not reach the guest before it stood still there. It is the same `(domain, journal, number)` at both, so whoever joins
  the histories of hosts counts by that. Neither host can know better: the one would have to ask the other, which it may
  not be able to reach, and an event that neither takes would be lost.
- **A Notice is told until it is answered**, under one number, and may so be heard twice.
- **A body over 30 KiB goes in chunks**: consecutive frames, nothing between them, each with the message's kind, its
  index and how many there are. Whatever comes instead of the next one ends the message, and what there was of it is
  dropped. Greetings and chunks never come in chunks.
"""

STATES: Mapping[State, str] = {
    State.SILENT: "the guest has not greeted",
    State.GREETING: "the guest has greeted, the host has not answered",
    State.OPEN: "both speak in one session",
}

LIMITS: tuple[tuple[str, int, str], ...] = (
    ("MAX_FRAME_BYTES", framing.MAX_FRAME_BYTES, "a frame, both zeros included: what a Linux port takes in one write"),
    ("MAX_CHUNK_BYTES", messages.MAX_CHUNK_BYTES, "a body in one frame, or one chunk of it"),
    ("MAX_CHUNKS", messages.MAX_CHUNKS, "chunks of a message"),
    ("MAX_MESSAGE_BYTES", chunks.MAX_MESSAGE_BYTES, "a body in chunks"),
    ("MAX_WINDOW", messages.MAX_WINDOW, "messages on their way to a guest, whatever it grants"),
    ("MAX_ITEMS", schema.MAX_ITEMS, "items of any array in a body"),
    ("MAX_TEXT_BYTES", schema.MAX_TEXT_BYTES, "a text in a body, before its field's own limit"),
    ("MAX_BLOB_BYTES", schema.MAX_BLOB_BYTES, "raw bytes in a body, before their field's own limit"),
    ("MAX_FILESYSTEMS", messages.MAX_FILESYSTEMS, "filesystems in a Report"),
    ("MAX_EVENTS", messages.MAX_EVENTS, "events in one message"),
    ("MAX_DETAILS", messages.MAX_DETAILS, "details of an event or a notice"),
)

RULES: Mapping[type[Any], Callable[[Any], str]] = {
    schema.Integer: lambda rule: f"integer, {_bound(rule.low)} to {_bound(rule.high)}",
    schema.Number: lambda rule: f"number, {_bound(rule.low)} to {_bound(rule.high)}",
    schema.Text: lambda rule: f"printable text, at most {rule.limit} characters",
    schema.Token: lambda rule: f"name of at most {rule.limit} of a-z 0-9 _ . -",
    schema.Choice: lambda rule: " or ".join(f"`{word}`" for word in rule.words),
    schema.Blob: lambda rule: f"raw bytes, at most {rule.limit}",
    schema.Flag: lambda _: "true or false",
    schema.Several: lambda rule: f"at most {rule.limit}: {_rule(rule.rule)}",
    schema.Record: lambda rule: rule.cls.__name__,
}


def main() -> None:
    """Write the page, unless it is already what it would become."""
    page = text()
    if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page:
        TARGET.write_text(page, encoding="utf-8")
        sys.stdout.write(f"{TARGET.name}: {len(page) / 1000:.0f} kB\n")


def text() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *_states(), *_messages(), *_fields(), *_limits(), *_drops()]
    return "\n".join(parts)


def _states() -> Iterator[str]:
    yield "## States\n"
    yield from (f"- `{state.value}`: {about}." for state, about in STATES.items())
    yield "\nWhere each message has its place, and what it leads to; anywhere else it is dropped.\n"
    yield _line("message", *(f"while {state.value}" for state in STATES))
    yield _line(*["---"] * (len(STATES) + 1))
    for row in MESSAGES:
        following = (TRANSITIONS.get((state, row.message)) for state in STATES)
        yield _line(row.message.__name__, *(state.value if state else "" for state in following))
    yield ""


def _messages() -> Iterator[str]:
    yield "## Messages\n"
    yield _line("type", "message", "from", "", "what it says")
    yield _line(*["---"] * 5)
    for row in MESSAGES:
        senders = " and ".join(role.value for role in row.senders)
        about = _first_line(row.message).removeprefix("Guest: ").removeprefix("Host: ")
        yield _line(
            f"`0x{row.number:02x}`",
            f"[{_name(row)}](#{_name(row).lower()})",
            senders,
            _manner(row),
            about[0].upper() + about[1:],
        )
    yield ""


def _manner(row: Row) -> str:
    return "greeting" if row.is_greeting else "costs credit" if row.costs_credit else ""


def _fields() -> Iterator[str]:
    yield "## Fields\n"
    yield "In the order in which they travel. One with `?` may be unknown.\n"
    for cls in _classes():
        fields = dataclasses.fields(cls)
        yield f"### {cls.__name__}\n"
        yield from () if any(row.message is cls for row in MESSAGES) else (f"{_first_line(cls)}\n",)
        if not fields:
            yield "Nothing.\n"
            continue
        yield _line("field", "rule", "")
        yield _line(*["---"] * 3)
        for field in fields:
            optional = "" if field.default is dataclasses.MISSING else "?"
            yield _line(f"`{field.name}`{optional}", _rule(field.metadata[schema._RULE]), field.metadata["about"])  # noqa: SLF001
        yield ""


def _classes() -> list[type[Any]]:
    """Every class that travels: the messages, and after the first that has it what is within."""
    classes: list[type[Any]] = []

    def add(cls: type[Any]) -> None:
        if cls in classes:
            return
        classes.append(cls)
        for field in dataclasses.fields(cls):
            rule = field.metadata[schema._RULE]  # noqa: SLF001
            inner = rule.rule if isinstance(rule, schema.Several) else rule
            if isinstance(inner, schema.Record):
                add(inner.cls)

    for row in MESSAGES:
        add(row.message)
    return classes


def _limits() -> Iterator[str]:
    yield "## Limits\n"
    yield _line("limit", "", "of what")
    yield _line(*["---"] * 3)
    yield from (_line(f"`{name}`", str(value), about) for name, value, about in LIMITS)
    yield ""


def _drops() -> Iterator[str]:
    yield "## Why something is dropped\n"
    yield "The label `reason` of both sides' counters.\n"
    yield _line("reason", "")
    yield _line(*["---"] * 2)
    yield from (_line(f"`{reason.value}`", reason.about) for reason in DropReason)
    yield ""


def _rule(rule: object) -> str:
    return RULES[type(rule)](rule)


def _bound(value: float) -> str:
    """A number as people read it: powers of two as such."""
    exponent = int(value + 1).bit_length() - 1
    if exponent > 31 and value in (2**exponent - 1, 2**exponent):  # noqa: PLR2004 - shorter ones are read as they are
        return f"2^{exponent}" + (" - 1" if value == 2**exponent - 1 else "")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name(row: Row) -> str:
    return str(row.message.__name__)


def _first_line(cls: type[Any]) -> str:
    return (cls.__doc__ or "").partition("\n")[0]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
