"""Hypothesis strategies for every message, made from the rules its fields declare: a new field is tested at once."""

from __future__ import annotations

import dataclasses
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from protocol import schema
from protocol.messages import MESSAGES

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

PRINTABLE = st.characters(codec="utf-8").filter(str.isprintable)


@singledispatch
def values_of(rule: object) -> SearchStrategy[Any]:
    """Every value that `rule` allows."""
    raise NotImplementedError(rule)  # a rule of the schema that has no row below


@values_of.register(schema.Integer)
def _(rule: schema.Integer) -> SearchStrategy[Any]:
    return st.integers(rule.low, rule.high)


@values_of.register(schema.Number)
def _(rule: schema.Number) -> SearchStrategy[Any]:
    return st.floats(min_value=rule.low, allow_nan=False, allow_infinity=False)


@values_of.register(schema.Text)
def _(rule: schema.Text) -> SearchStrategy[Any]:
    return st.text(PRINTABLE, max_size=rule.limit)


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
    return st.sampled_from(MESSAGES).flatmap(lambda row: messages_of(row.message))


def _field(field: dataclasses.Field[Any]) -> SearchStrategy[Any]:
    values = values_of(field.metadata[schema._RULE])
    return st.none() | values if field.default is None else values
