"""The corpus is replayed, and a few hundred new inputs are tried; `make fuzz` searches for as long as one likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import schema
from protocol.connection import Connection, Dropped, Received
from protocol.errors import DropReason
from protocol.messages import MESSAGES, Role
from tests.fuzz import contract, target
from tests.protocol.values import any_message_of
from tests.support import hostile_bytes

if TYPE_CHECKING:
    from protocol.connection import Message

ROOT = Path(__file__).parents[2]
CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
TRIES = settings(max_examples=300)
A_FEW_TRIES = settings(max_examples=100)  # where an example takes long to think of
ROLES = st.sampled_from(Role)
NUMBERS = [row.number for row in MESSAGES]

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9) | st.binary()
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=8), max_leaves=12)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0, 1, 40, 5000]), st.binary(max_size=40)), max_size=4)


def test_the_search_without_atheris_starts_from_the_corpus() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--blind", "--seconds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.endswith("nothing found\n"), done.stdout + done.stderr


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_nothing_in_the_corpus_breaks_the_contract(path: Path) -> None:
    target.run(path.read_bytes())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", hostile_bytes.streams())
def test_a_hostile_stream_before_any_greeting_costs_only_itself(role: Role, name: str) -> None:
    stream = hostile_bytes.streams()[name]
    for end in (Connection(role), contract.in_session(role)[0]):
        contract.take(end, [stream])
    contract.take(Connection(role), (stream[at : at + 3] for at in range(0, len(stream), 3)))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", hostile_bytes.session_streams(Connection(Role.HOST)))
def test_a_hostile_stream_within_a_session_costs_only_itself(role: Role, name: str) -> None:
    end, peer = contract.in_session(role)
    stream = hostile_bytes.session_streams(peer)[name]
    taken = contract.take(end, [stream])
    assert any(isinstance(piece, Dropped) for piece in taken)


def test_every_reason_to_drop_something_is_met_by_the_hostile_streams() -> None:
    reasons = set()
    for role in Role:
        end, peer = contract.in_session(role)
        streams = [*hostile_bytes.session_streams(peer).values(), *hostile_bytes.streams().values()]
        for stream in streams:
            end, peer = contract.in_session(role)
            reasons |= {piece.reason for piece in end.receive(stream) if isinstance(piece, Dropped)}
    assert reasons == set(DropReason)


@given(st.binary(max_size=600))
@TRIES
def test_any_bytes_at_all_keep_the_contract(data: bytes) -> None:
    target.run(data)


@given(ROLES, st.lists(st.tuples(st.sampled_from(NUMBERS) | st.integers(0, 255), st.binary(max_size=60)), max_size=12))
@TRIES
def test_any_bodies_in_sound_frames_keep_the_contract(role: Role, told: list[tuple[int, bytes]]) -> None:
    mode = target.Mode.SCRIPT | target.Mode.SESSION | (target.Mode.GUEST if role is Role.GUEST else 0)
    target.run(bytes([mode]) + target.script(*told))


@given(ROLES, st.data())
@A_FEW_TRIES
def test_valid_messages_with_parts_replaced_keep_the_contract(role: Role, data: st.DataObject) -> None:
    end, peer = contract.in_session(role)
    reads = []
    for sequence, message in enumerate(data.draw(st.lists(any_message_of(peer.role), max_size=6)), 1):
        body = schema.pack(schema.Record(type(message)), message)
        changed = msgpack.packb(replaced(data, msgpack.unpackb(body)))
        kind = hostile_bytes.NUMBERS[type(message)]
        if data.draw(st.booleans()):
            reads.append(hostile_bytes.forged(peer, kind, changed, sequence=2 * sequence))
        else:
            size = data.draw(st.integers(max(1, len(changed) // 3), len(changed)))
            reads += hostile_bytes.chunked(peer, kind, changed, chunk_bytes=size, first=20 * sequence)
    contract.take(end, reads)


def replaced(data: st.DataObject, value: Any) -> Any:  # noqa: ANN401 - what msgpack has
    """The same with one of its parts, however deep, become anything."""
    if not isinstance(value, list) or not value or data.draw(st.integers(0, 3)) == 0:
        return data.draw(ANYTHING)
    at = data.draw(st.integers(0, len(value) - 1))
    return [*value[:at], replaced(data, value[at]), *value[at + 1 :]]


@given(ROLES, st.data(), EDITS)
@A_FEW_TRIES
def test_a_valid_stream_with_bytes_changed_yields_only_what_was_said(
    role: Role, data: st.DataObject, edits: list[tuple[float, int, bytes]]
) -> None:
    end, peer = contract.in_session(role)
    said: list[Message] = data.draw(st.lists(any_message_of(peer.role), max_size=3))
    stream = bytearray(b"".join(frame for message in said for frame in peer.send(message)))
    for where, length, instead in edits:
        at = int(where * len(stream))
        stream[at : at + length] = instead
    heard = [piece.message for piece in contract.take(end, [bytes(stream)]) if isinstance(piece, Received)]
    rest = iter(said)
    assert all(message in rest for message in heard)
