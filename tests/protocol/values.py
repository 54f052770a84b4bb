"""Hypothesis strategies for every message, made from the rules its fields declare: a new field is tested at once."""

from __future__ import annotations

import dataclasses
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from protocol import schema
from protocol.connection import TRANSITIONS, State
from protocol.messages import MESSAGES, Chunk, Role, Welcome

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

PRINTABLE = st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" ")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@singledispatch
def values_of(rule: object) -> SearchStrategy[Any]:
    """Every value that `rule` allows."""
    raise NotImplementedError(rule)  # a rule of the schema that has no row below


@values_of.register(schema.Integer)
def _(rule: schema.Integer) -> SearchStrategy[Any]:
    return st.integers(rule.low, rule.high)


@values_of.register(schema.Number)
def _(rule: schema.Number) -> SearchStrategy[Any]:
    return st.floats(min_value=rule.low, max_value=rule.high)


@values_of.register(schema.Text)
def _(rule: schema.Text) -> SearchStrategy[Any]:
    return st.text(PRINTABLE, max_size=rule.limit)


@values_of.register(schema.Token)
def _(rule: schema.Token) -> SearchStrategy[Any]:
    rest = st.text(LETTERS + "0123456789_.-", max_size=rule.limit - 1)
    return st.builds(str.__add__, st.sampled_from(LETTERS), rest)


@values_of.register(schema.Choice)
def _(rule: schema.Choice) -> SearchStrategy[Any]:
    return st.sampled_from(rule.words)


@values_of.register(schema.Blob)
def _(rule: schema.Blob) -> SearchStrategy[Any]:
    return st.binary(max_size=min(rule.limit, 100))


@values_of.register(schema.Flag)
def _(rule: schema.Flag) -> SearchStrategy[Any]:
    return st.booleans()


@values_of.register(schema.Several)
def _(rule: schema.Several) -> SearchStrategy[Any]:
    return st.lists(values_of(rule.rule), max_size=min(rule.limit, 4)).map(tuple)


@values_of.register(schema.Record)
def _(rule: schema.Record[Any]) -> SearchStrategy[Any]:
    return messages_of(rule.cls)


def messages_of(cls: type[Any]) -> SearchStrategy[Any]:
    """Every value of a class whose fields are declared with `wire`."""
    fields = {field.name: _field(field) for field in dataclasses.fields(cls)}
    return st.builds(cls, **fields)


def any_message() -> SearchStrategy[Any]:
    """Every value of every message."""
    return st.one_of([messages_of(row.message) for row in MESSAGES])


def any_message_of(role: Role) -> SearchStrategy[Any]:
    """Every value of every message that a caller at that end may say in a session that goes on."""
    going_on = {message for (_, message), state in TRANSITIONS.items() if state is State.OPEN} - {Chunk, Welcome}
    rows = [row for row in MESSAGES if role in row.senders and row.message in going_on]
    return st.one_of([messages_of(row.message) for row in rows])


def _field(field: dataclasses.Field[Any]) -> SearchStrategy[Any]:
    values = values_of(field.metadata[schema._RULE])
    return st.none() | values if field.default is None else values
