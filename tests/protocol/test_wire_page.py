"""`docs/wire.md`: as fresh as the tables, and with everything that travels."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from protocol import chunks, framing, messages, schema
from protocol.connection import State
from protocol.errors import DropReason
from protocol.messages import MESSAGES

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_wire_page", ROOT / "packaging" / "write_wire_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_as_fresh_as_the_tables() -> None:
    fresh = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8") == program().text()
    assert fresh, "docs/wire.md is older than the tables: run make docs"


def test_every_message_field_state_and_reason_is_on_the_page() -> None:
    page = program().text()
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
    assert {name for name, _, _ in program().LIMITS} == limits - unsaid
