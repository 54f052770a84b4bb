"""Message bodies: frozen dataclasses to msgpack arrays and back, with a limit on everything.

A body is one array of the fields in the order they are declared, `nil` for a value that is not known. There are no maps
and so no keys: a peer cannot make us intern strings. Growing is appending: a decoder ignores fields it does not know
and takes missing ones as unknown, so a field's place never changes (tests/protocol/test_messages.py holds the places).

Every field states its rule beside its type with `wire(...)`. Decoding trusts nothing: type, range, length, and for
text no control characters, so that what comes out may be logged, compared and put into a label.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgpack

from protocol.errors import DropReason, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
_TOKEN = re.compile(r"[a-z][a-z0-9_.-]*")


class Rule(Protocol):
    """What a field's value must be. Both directions work on msgpack's own types."""

    def decode(self, value: object, where: str) -> Any:  # noqa: ANN401 - the one place where types are found out
        """The value, checked; `where` begins the message of the `RemoteProtocolError` if it is not right."""

    def encode(self, value: Any) -> object:  # noqa: ANN401
        """The value as msgpack knows it."""


@dataclass(frozen=True)
class Integer:
    """A whole number, both ends included; a flag is not a number."""

    low: int
    high: int

    def decode(self, value: object, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(where, "an integer", value)
        if not self.low <= value <= self.high:
            raise _bad(where, f"{value} is not within {self.low} to {self.high}")
        return value

    def encode(self, value: int) -> object:
        return value


@dataclass(frozen=True)
class Number:
    """A finite number of at least `low`; whole numbers are taken as well."""

    low: float = 0.0

    def decode(self, value: object, where: str) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise _wrong(where, "a number", value)
        number = float(value)  # msgpack's integers are at most 64 bits, so this cannot overflow
        if not math.isfinite(number) or number < self.low:
            raise _bad(where, f"{number} is not a finite number from {self.low:g}")
        return number

    def encode(self, value: float) -> object:
        return value


@dataclass(frozen=True)
class Text:
    """Printable text of at most `limit` characters."""

    limit: int

    def decode(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            raise _wrong(where, "text", value)
        if len(value) > self.limit:
            raise _bad(where, f"{len(value)} characters are over {self.limit}")
        if not value.isprintable():
            raise _bad(where, f"{value[: self.limit]!a} holds control characters")
        return value

    def encode(self, value: str) -> object:
        """Cut to the limit, anything unprintable as `?`: a sender's odd disk name must not cost it its report."""
        kept = value[: self.limit]
        return kept if kept.isprintable() else "".join(c if c.isprintable() else "?" for c in kept)


@dataclass(frozen=True)
class Token:
    """A name in small ASCII letters, digits and `_.-`, beginning with a letter: what may name a kind of thing."""

    limit: int

    def decode(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            raise _wrong(where, "a name", value)
        if len(value) > self.limit or not _TOKEN.fullmatch(value):
            raise _bad(where, f"{value[: self.limit]!a} is not a name of at most {self.limit} of a-z 0-9 _ . -")
        return value

    def encode(self, value: str) -> object:
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def decode(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            raise _wrong(where, "a word", value)
        if value not in self.words:
            raise _bad(where, f"{value[:MAX_TEXT_SHOWN]!a} is none of {', '.join(self.words)}")
        return value

    def encode(self, value: str) -> object:
        return value


@dataclass(frozen=True)
class Blob:
    """Raw bytes, `limit` at most."""

    limit: int

    def decode(self, value: object, where: str) -> bytes:
        if not isinstance(value, bytes):
            raise _wrong(where, "raw bytes", value)
        if len(value) > self.limit:
            raise _bad(where, f"{len(value)} bytes are over {self.limit}")
        return value

    def encode(self, value: bytes) -> object:
        return value


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def decode(self, value: object, where: str) -> bool:
        if not isinstance(value, bool):
            raise _wrong(where, "true or false", value)
        return value

    def encode(self, value: bool) -> object:
        return value


@dataclass(frozen=True)
class Several:
    """Up to `limit` values of one rule."""

    rule: Rule
    limit: int

    def decode(self, value: object, where: str) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise _wrong(where, "an array", value)
        if len(value) > self.limit:
            raise _bad(where, f"{len(value)} items are over {self.limit}")
        return tuple(self.rule.decode(item, f"{where}[{at}]") for at, item in enumerate(value))

    def encode(self, value: Sequence[Any]) -> object:
        return [self.rule.encode(item) for item in value[: self.limit]]


class Record(Generic[T]):
    """A dataclass whose fields are all declared with `wire`."""

    def __init__(self, cls: type[T]) -> None:
        self.cls = cls
        self._fields = tuple((f.name, f.metadata[_RULE], _is_optional(f)) for f in dataclasses.fields(cls))  # type: ignore[arg-type]

    def decode(self, value: object, where: str) -> T:
        if not isinstance(value, (list, tuple)):
            raise _wrong(where, "an array", value)
        known: dict[str, object] = {}
        for (name, rule, is_optional), item in zip(self._fields, [*value, *[None] * len(self._fields)]):
            if item is not None:
                known[name] = rule.decode(item, f"{where}.{name}")
            elif not is_optional:
                raise _bad(f"{where}.{name}", "missing")
        return self.cls(**known)

    def encode(self, value: T) -> object:
        values = ((rule, getattr(value, name)) for name, rule, _ in self._fields)
        return [None if item is None else rule.encode(item) for rule, item in values]


def wire(rule: Rule, *, about: str = "", default: object = dataclasses.MISSING) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A dataclass field that travels under `rule`; with a default it may be missing. `about` is its help text."""
    return dataclasses.field(default=default, metadata={_RULE: rule, "about": about})


def pack(record: Record[T], value: T) -> bytes:
    """The value as a body."""
    packed: bytes = msgpack.packb(record.encode(value))
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
    return record.decode(value, record.cls.__name__)


def _is_optional(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING


def _wrong(where: str, expected: str, value: object) -> RemoteProtocolError:
    return _bad(where, f"expected {expected}, not {type(value).__name__}")


def _bad(where: str, why: str) -> RemoteProtocolError:
    return RemoteProtocolError(DropReason.SCHEMA, f"{where}: {why}")
