"""Bodies: every rule holds in both directions, and nothing that arrives can do worse than be refused."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import schema
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.messages import MESSAGES, Hello, Report, Row
from protocol.schema import Blob, Choice, Flag, Integer, Mismatch, Number, Record, Rule, Several, Text, Token, wire
from tests.protocol.values import any_message

if TYPE_CHECKING:
    from protocol.connection import Message

RECORDS = {row.message: Record(row.message) for row in MESSAGES}
ROWS = st.sampled_from(MESSAGES)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=8))
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=60,
)


@dataclass(frozen=True)
class Pair:
    """A message of an early version."""

    first: int = wire(Integer(0, 9))
    second: str | None = wire(Text(4), default=None)


@dataclass(frozen=True)
class Triple:
    """The same message after it has grown."""

    first: int = wire(Integer(0, 9))
    second: str | None = wire(Text(4), default=None)
    third: float | None = wire(Number(), default=None)


def refusal(rule: Rule, value: object) -> str:
    with pytest.raises(Mismatch) as caught:
        rule.decode(value)
    return str(caught.value)


def take(row: Row, body: bytes) -> None:
    """The body is either a whole message or the peer's error; a message can be sent on as it is."""
    record = RECORDS[row.message]
    with contextlib.suppress(RemoteProtocolError):
        message = schema.unpack(record, body)
        assert schema.unpack(record, schema.pack(record, message)) == message


@given(any_message())
def test_every_message_comes_back_as_it_was_packed(message: Message) -> None:
    record = RECORDS[type(message)]
    assert schema.unpack(record, schema.pack(record, message)) == message


@given(ROWS, st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_right(row: Row, body: bytes) -> None:
    take(row, body)


@given(ROWS, ANYTHING)
def test_arbitrary_values_are_refused_or_right(row: Row, value: object) -> None:
    take(row, msgpack.packb(value))


@given(any_message(), st.data())
def test_a_message_with_one_field_replaced_is_refused_or_right(message: Message, data: st.DataObject) -> None:
    row = next(row for row in MESSAGES if row.message is type(message))
    fields = msgpack.unpackb(schema.pack(RECORDS[row.message], message))
    at = data.draw(st.integers(0, len(fields)))
    fields[at : at + 1] = [data.draw(ANYTHING)]
    take(row, msgpack.packb(fields))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdc\xff\xff" + b"\xc0" * 0xFFFF,
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x00",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\x91\xa1\xff",
        b"\x91\xa3\xed\xa0\x80",
        b"\x90\x90",
        b"\x80",
        msgpack.packb(["a" * (schema.MAX_TEXT_BYTES + 1)]),
        msgpack.packb([None] * (schema.MAX_ITEMS + 1)),
    ],
)
def test_a_hostile_body_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        schema.unpack(RECORDS[Hello], body)


@pytest.mark.parametrize("item", [b"\x90", b"\x91\xc0", b"\x91\x90", b"\xa1a", b"\xcb" + b"\1" * 8, b"\xc4\0"])
def test_a_body_takes_at_most_forty_times_its_length_while_it_is_decoded(item: bytes) -> None:
    """In a field that this version does not know, where only the decoder's own limits hold."""
    group = msgpack.packb([None] * 250).replace(b"\xc0", item)
    body = b"\xdc\0\xff" + b"\xc0" * 11 + group * 244
    tracemalloc.start()
    try:
        schema.unpack(RECORDS[Report], body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * len(body)


@pytest.mark.parametrize("value", [None, True, False, 1.0, "1", b"1", -1, 10, 2**64, [1]])
def test_an_integer_is_whole_and_within_its_bounds(value: object) -> None:
    refusal(Integer(0, 9), value)


@pytest.mark.parametrize("value", [None, True, "1", math.nan, math.inf, -math.inf, -0.1, -1, 1e300])
def test_a_number_is_finite_and_within_its_bounds(value: object) -> None:
    refusal(Number(), value)


def test_a_number_is_at_most_what_a_float_counts_by_ones() -> None:
    assert Number().decode(2**53) == 2.0**53
    refusal(Number(), 2**53 + 1)
    refusal(Number(high=7), 7.5)


def test_a_whole_number_is_a_number() -> None:
    assert Number().decode(3) == 3.0
    assert isinstance(Number().decode(3), float)


@pytest.mark.parametrize("value", [None, 1, b"a", "abcde", "a\n", "\0", "\x1b[2J", "\u202e", "\udc80", "\x85"])
def test_text_is_short_and_printable(value: object) -> None:
    assert refusal(Text(4), value).isprintable()


@pytest.mark.parametrize("character", ["\U0003fffd", "\ue000"])  # of no Unicode so far, and of nobody's
def test_a_character_that_is_not_known_here_costs_itself_and_not_the_message(character: str) -> None:
    assert Text(4).decode(f"a{character}b") == "a?b"
    refusal(Text(4), f"{character}\u202e")


@pytest.mark.parametrize("value", [None, 1, b"a", "", "abcde", "A", "1a", "_a", "a b", "a\n", "ä", "a" * 99])
def test_a_token_is_a_short_plain_name(value: object) -> None:
    assert refusal(Token(4), value).isprintable()


@pytest.mark.parametrize("value", ["a", "a-b", "a.1", "a__9"])
def test_what_a_token_may_be(value: str) -> None:
    assert Token(4).decode(value) == value


@pytest.mark.parametrize("value", [None, 1, b"yes", "Yes", "", "yes ", "n\n", "y" * 2000])
def test_a_choice_is_one_of_its_words(value: object) -> None:
    detail = refusal(Choice(("yes", "no")), value)
    assert detail.isprintable()
    assert len(detail) < 200


@pytest.mark.parametrize("value", [None, 1, "a", [1], b"abcd"])
def test_a_blob_is_raw_bytes_and_short(value: object) -> None:
    refusal(Blob(3), value)
    assert Blob(3).decode(b"\0\xff\n") == b"\0\xff\n"


@pytest.mark.parametrize("text", ["a\n" * 1024, "\u202e" * 500, "\x1b[31m" * 400])
def test_what_is_told_of_a_wrong_value_is_short_and_plain(text: str) -> None:
    for rule in (Text(4), Text(2048), Token(64), Choice(("yes",)), Integer(0, 9), Flag(), Blob(3)):
        detail = refusal(rule, text)
        assert len(detail) < 1000
        assert detail.isascii()
        assert detail.isprintable()


@pytest.mark.parametrize("value", [None, 0, 1, "true"])
def test_a_flag_is_true_or_false(value: object) -> None:
    refusal(Flag(), value)


@pytest.mark.parametrize("value", [None, 1, "ab", {}, [1, 2, 3, 4], [1, "2"]])
def test_an_array_is_short_and_each_item_right(value: object) -> None:
    refusal(Several(Integer(0, 9), 3), value)


def test_what_is_wrong_is_told_with_its_place() -> None:
    with pytest.raises(RemoteProtocolError, match=r"^schema: Pair\.second: expected text, not int$"):
        schema.unpack(Record(Pair), msgpack.packb([1, 2]))
    rule = Several(Record(Pair), 3)
    assert refusal(rule, [[1], [2, 3]]) == "[1].second: expected text, not int"
    assert refusal(rule, [[1], [None]]) == "[1].first: missing"
    assert refusal(rule, [7]) == "[0]: expected an array, not int"


@given(st.text(st.characters(), max_size=40))
def test_whatever_text_a_sender_has_the_receiver_takes(text: str) -> None:
    rule = Text(20)
    assert len(rule.decode(rule.encode(text))) == min(len(text), 20)


def test_a_sender_with_too_many_items_sends_the_first() -> None:
    assert Several(Integer(0, 9), 2).encode((1, 2, 3)) == [1, 2]


def test_a_missing_field_is_not_known_and_an_extra_one_is_ignored() -> None:
    early, late = Record(Pair), Record(Triple)
    assert schema.unpack(late, schema.pack(early, Pair(1, "a"))) == Triple(1, "a", None)
    assert schema.unpack(early, schema.pack(late, Triple(1, None, 2.0))) == Pair(1, None)
    assert schema.unpack(late, msgpack.packb([1])) == Triple(1, None, None)


def test_a_missing_field_that_is_needed_is_an_error() -> None:
    with pytest.raises(RemoteProtocolError, match=r"Pair\.first: missing"):
        schema.unpack(Record(Pair), msgpack.packb([]))


def test_a_value_that_msgpack_does_not_know_is_our_bug() -> None:
    for report in (Report(cpus=2**64), Report(cpus=object()), Report(filesystems=(None,))):  # type: ignore[arg-type]
        with pytest.raises(LocalProtocolError, match="Report: cannot be packed"):
            schema.pack(RECORDS[Report], report)


def test_a_report_of_nothing_is_a_report() -> None:
    assert schema.unpack(RECORDS[Report], b"\x90") == Report()


def test_a_body_with_more_fields_than_any_version_could_have_is_refused() -> None:
    assert schema.unpack(RECORDS[Report], msgpack.packb([None] * schema.MAX_ITEMS)) == Report()
    with pytest.raises(RemoteProtocolError, match="not msgpack within limits"):
        schema.unpack(RECORDS[Report], msgpack.packb([None] * (schema.MAX_ITEMS + 1)))


def test_every_text_that_a_field_allows_is_short_enough_to_be_decoded() -> None:
    def texts(rule: object) -> list[int]:
        if isinstance(rule, Text | Token):
            return [rule.limit]
        if isinstance(rule, Several):
            return texts(rule.rule)
        if isinstance(rule, Record):
            return [limit for field in dataclasses.fields(rule.cls) for limit in texts(field.metadata[schema._RULE])]
        return []

    longest_utf8 = 4
    assert max(limit for record in RECORDS.values() for limit in texts(record)) * longest_utf8 <= schema.MAX_TEXT_BYTES
