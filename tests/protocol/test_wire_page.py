"""`docs/wire.md`: as fresh as the tables, and with everything that travels."""

from __future__ import annotations

import dataclasses

from protocol import chunks, framing, messages, schema
from protocol.connection import State
from protocol.errors import DropReason
from protocol.messages import MESSAGES
from tests.support.packaged import is_fresh, program


def test_the_page_is_as_fresh_as_the_tables() -> None:
    assert is_fresh("wire.md", "write_wire_page"), "docs/wire.md is older than the tables: run make docs"


def test_every_message_field_state_and_reason_is_on_the_page() -> None:
    page = program("write_wire_page").text()
    for row in MESSAGES:
        assert f"\n### {row.message.__name__}\n" in page
        assert all(f"| `{field.name}`" in page for field in dataclasses.fields(row.message))
    assert all(f"- `{state.value}`: " in page for state in State)
    assert all(f"| `{reason.value}` | {reason.about} |" in page for reason in DropReason)


def test_every_reason_says_what_it_is_in_a_sentence() -> None:
    assert all(reason.about.endswith(".") and reason.about[0].isupper() for reason in DropReason)
    assert [DropReason(reason.value) for reason in DropReason] == list(DropReason)  # type: ignore[call-arg, unused-ignore]


def test_every_limit_is_on_the_page() -> None:
    limits = {
        name for module in (chunks, framing, messages, schema) for name in vars(module) if name.startswith("MAX_")
    }
    unsaid = {"MAX_TEXT_SHOWN"}  # of a log line, not of the wire
    assert {name for name, _, _ in program("write_wire_page").LIMITS} == limits - unsaid
