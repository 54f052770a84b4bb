"""Message bodies: frozen dataclasses to msgpack arrays and back, with a limit on everything.

A body is one array of the fields in the order they are declared, `nil` for a value that is not known. There are no maps
and so no keys: a peer cannot make us intern strings. Growing is appending: a decoder ignores fields it does not know
and takes missing ones as unknown, so a field's place never changes (tests/protocol/test_messages.py holds the places).

Every field states its rule beside its type with `wire(...)`. Decoding trusts nothing: type, range, length, and for
text no control characters, so that what comes out may be logged, compared and put into a label.
"""

from __future__ import annotations

import dataclasses
import operator
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgpack

from protocol.errors import DropReason, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

MAX_ITEMS = 256
"""The longest array any body may hold: bounds what a hostile header can make the decoder allocate."""

MAX_TEXT_BYTES = 2048
"""The longest text that is even decoded; each field's own limit is in characters, and lower."""

MAX_BLOB_BYTES = 32 * 1024
"""The longest piece of raw bytes that is even decoded."""

MAX_TEXT_SHOWN = 64
"""So much of a wrong word is repeated in the message about it."""

_RULE = "protocol.schema.rule"
_NOT_YET_KNOWN = ("Cn", "Co")  # to this Python's Unicode, while the other end's may be newer: no reason to refuse
_TOKEN = re.compile(r"[a-z][a-z0-9_.-]*")


class Mismatch(Exception):  # noqa: N818 - an answer between rules, which nobody else sees
    """A value that breaks its rule; where it is is put together on the way out, and costs nothing where all is well."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self._why = why
        self._path = ""

    def within(self, place: str) -> Mismatch:
        """The same, seen from what the value is a part of."""
        self._path = place + self._path
        return self

    def __str__(self) -> str:
        return f"{self._path}: {self._why}"


class Rule(Protocol):
    """What a field's value must be. Both directions work on msgpack's own types."""

    def decode(self, value: object) -> Any:  # noqa: ANN401 - the one place where types are found out
        """The value, checked.

        Raises:
            Mismatch: it is not right.

        """

    def encode(self, value: Any) -> object:  # noqa: ANN401
        """The value as msgpack knows it."""


@dataclass(frozen=True)
class Integer:
    """A whole number, both ends included; a flag is not a number."""

    low: int
    high: int

    def decode(self, value: object) -> int:
        if type(value) is not int:
            raise _wrong("an integer", value)
        if not self.low <= value <= self.high:
            raise Mismatch(f"{value} is not within {self.low} to {self.high}")
        return value

    def encode(self, value: int) -> object:
        return value


@dataclass(frozen=True)
class Number:
    """A finite number, both ends included; whole numbers are taken as well.

    The highest by default is where a float no longer counts by ones: sums and clocks made of it stay finite.
    """

    low: float = 0.0
    high: float = 2.0**53

    def decode(self, value: object) -> float:
        if type(value) is not float and type(value) is not int:
            raise _wrong("a number", value)
        if not self.low <= value <= self.high:  # which is false for NaN
            raise Mismatch(f"{value} is not within {self.low:g} to {self.high:g}")
        return float(value)

    def encode(self, value: float) -> object:
        return value


@dataclass(frozen=True)
class Text:
    """Printable text of at most `limit` characters."""

    limit: int

    def decode(self, value: object) -> str:
        if not isinstance(value, str):
            raise _wrong("text", value)
        if len(value) > self.limit:
            raise Mismatch(f"{len(value)} characters are over {self.limit}")
        if value.isprintable():
            return value
        if not all(c.isprintable() or unicodedata.category(c) in _NOT_YET_KNOWN for c in value):
            raise Mismatch(f"{value[:MAX_TEXT_SHOWN]!a} holds control characters")
        return _printable(value)

    def encode(self, value: str) -> object:
        """Cut to the limit, anything unprintable as `?`: a sender's odd disk name must not cost it its report."""
        kept = value[: self.limit]
        return kept if kept.isprintable() else _printable(kept)


@dataclass(frozen=True)
class Token:
    """A name in small ASCII letters, digits and `_.-`, beginning with a letter: what may name a kind of thing."""

    limit: int

    def decode(self, value: object) -> str:
        if not isinstance(value, str):
            raise _wrong("a name", value)
        if len(value) > self.limit or not _TOKEN.fullmatch(value):
            raise Mismatch(f"{value[:MAX_TEXT_SHOWN]!a} is not a name of at most {self.limit} of a-z 0-9 _ . -")
        return value

    def encode(self, value: str) -> object:
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def decode(self, value: object) -> str:
        if not isinstance(value, str):
            raise _wrong("a word", value)
        if value not in self.words:
            raise Mismatch(f"{value[:MAX_TEXT_SHOWN]!a} is none of {', '.join(self.words)}")
        return value

    def encode(self, value: str) -> object:
        return value


@dataclass(frozen=True)
class Blob:
    """Raw bytes, `limit` at most."""

    limit: int

    def decode(self, value: object) -> bytes:
        if not isinstance(value, bytes):
            raise _wrong("raw bytes", value)
        if len(value) > self.limit:
            raise Mismatch(f"{len(value)} bytes are over {self.limit}")
        return value

    def encode(self, value: bytes) -> object:
        return value


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def decode(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise _wrong("true or false", value)
        return value

    def encode(self, value: bool) -> object:
        return value


@dataclass(frozen=True)
class Several:
    """Up to `limit` values of one rule."""

    rule: Rule
    limit: int

    def decode(self, value: object) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise _wrong("an array", value)
        if len(value) > self.limit:
            raise Mismatch(f"{len(value)} items are over {self.limit}")
        decode, decoded = self.rule.decode, []
        try:
            for item in value:
                decoded.append(decode(item))  # noqa: PERF401 - how many there are says which one was wrong
        except Mismatch as error:
            raise error.within(f"[{len(decoded)}]") from None
        return tuple(decoded)

    def encode(self, value: Sequence[Any]) -> object:
        return [self.rule.encode(item) for item in value[: self.limit]]


class Record(Generic[T]):
    """A dataclass whose fields are all declared with `wire`."""

    def __init__(self, cls: type[T]) -> None:
        self.cls = cls
        fields: Sequence[dataclasses.Field[Any]] = dataclasses.fields(cls)  # type: ignore[arg-type]
        rules: Sequence[Rule] = [field.metadata[_RULE] for field in fields]
        self._names = tuple(field.name for field in fields)
        self._decoders = tuple(rule.decode for rule in rules)
        self._encoders = tuple(rule.encode for rule in rules)
        self._unknown = tuple(field.default for field in fields)
        self._needed = tuple(field.name for field in fields if not _is_optional(field))  # these come first
        self._values_of: Callable[[T], Sequence[Any]] = _getter(self._names)

    def decode(self, value: object) -> T:
        if not isinstance(value, (list, tuple)):
            raise _wrong("an array", value)
        known: list[object] = []
        try:
            for decode, unknown, item in zip(self._decoders, self._unknown, value):
                known.append(unknown if item is None else decode(item))
        except Mismatch as error:
            raise error.within(f".{self._names[len(known)]}") from None
        known += self._unknown[len(known) :]
        for name, item in zip(self._needed, known):
            if item is dataclasses.MISSING:
                raise Mismatch("missing").within(f".{name}")
        return self.cls(*known)

    def encode(self, value: T) -> object:
        values = zip(self._encoders, self._values_of(value))
        return [None if item is None else encode(item) for encode, item in values]


def wire(rule: Rule, *, about: str = "", default: object = dataclasses.MISSING) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A dataclass field that travels under `rule`; with a default it may be missing. `about` is its help text."""
    return dataclasses.field(default=default, metadata={_RULE: rule, "about": about})


def pack(record: Record[T], value: T) -> bytes:
    """The value as a body.

    Raises:
        LocalProtocolError: a value is not even of a kind that msgpack knows.

    """
    try:
        packed: bytes = msgpack.packb(record.encode(value))
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise LocalProtocolError(f"{record.cls.__name__}: cannot be packed: {error}") from error
    return packed


def unpack(record: Record[T], body: bytes) -> T:
    """The body as a value.

    A whole body, a new decoder and explicit limits each time: msgpack before 1.2.4 can be stalled for seconds by a
    few kB of nested array headers, and before 1.2.1 crashes when a decoder is used again after an error.

    Raises:
        RemoteProtocolError: it is not msgpack, or breaks a rule; the message says which field.

    """
    try:
        value: object = msgpack.unpackb(
            body,
            raw=False,
            use_list=False,  # an empty tuple costs nothing, of which a hostile body may have as many as bytes
            max_array_len=MAX_ITEMS,
            max_map_len=0,
            max_str_len=MAX_TEXT_BYTES,
            max_bin_len=MAX_BLOB_BYTES,
            max_ext_len=0,
        )
    except (
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:  # every msgpack error but overflow is a ValueError
        raise RemoteProtocolError(DropReason.SCHEMA, f"{record.cls.__name__}: not msgpack within limits") from error
    try:
        return record.decode(value)
    except Mismatch as error:
        raise RemoteProtocolError(DropReason.SCHEMA, f"{record.cls.__name__}{error}") from None


def _is_optional(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING


def _getter(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    if len(names) > 1:
        return operator.attrgetter(*names)  # a tuple, at a third of what a loop costs
    return lambda value: [getattr(value, name) for name in names]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _wrong(expected: str, value: object) -> Mismatch:
    return Mismatch(f"expected {expected}, not {type(value).__name__}")
