"""vhostmd's text: the metrics document, as each kind of host writes it, and the one request a guest may make.

Written is always well-formed XML in UTF-8 (vhostmd's own need not be), without an empty line before the end, which is
how a guest knows the end. Read is whatever any host sends: either quotes, CDATA, entities or none, an `&` that should
have been escaped, attributes in any order, newlines in values; a part that is no metric is passed over.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CHANNEL = "org.github.vhostmd.1"
REQUEST = b"GET /metrics/XML\n\n"
INVALID = b"INVALID REQUEST\n\n"
END = b"\n\n"
MAX_REQUEST_BYTES = 512
"""What vhostmd has room for. There, a request that fills it is never answered and the next byte costs a whole CPU."""

TYPES = ("int32", "uint32", "int64", "uint64", "real32", "real64", "string")
"""What a value may be said to be. It is a label: nobody checks the value against it."""
EMPTY_VALUE = "-"
"""Stands where a value is empty: libmetrics crashes its caller on one."""

_REQUESTS = frozenset({REQUEST, b"GET /metrics/XML\r\n\r\n"})
_TERMINATOR = re.compile(rb"\n\n|\r\n\r\n")


class Metric(NamedTuple):
    """One metric: of the host, or, with the domain's id and UUID, of a domain. KubeVirt's have neither."""

    name: str
    value: str
    type: str = "string"
    context: str = "host"  # or "vm"
    unit: str = ""
    id: str = ""
    uuid: str = ""


class Style(enum.Enum):
    """How a document is written."""

    VHOSTMD = "vhostmd"  # single quotes, entities
    KUBEVIRT = "kubevirt"  # double quotes, CDATA, and whose metric it is goes unsaid
    XENSTORE = "xenstore"  # double quotes, tabs, and no newline at the end


class Verdict(enum.Enum):
    """What a guest's bytes came to."""

    ASKED = "asked"
    INVALID = "invalid"
    OVERLONG = "overlong"


class Requests:
    """A guest's bytes, put together to requests. What comes with one in the same piece makes it another, invalid one.

    As vhostmd has it (a C string): NULs before a request are passed over, and so is what follows one within it.
    """

    def __init__(self) -> None:
        self._held = b""

    def receive(self, data: bytes) -> Verdict | None:
        """What the bytes so far come to; None while there is more to come. After anything else all is forgotten."""
        held = (self._held + data).lstrip(b"\0").partition(b"\0")[0]
        self._held = b""
        end = _TERMINATOR.search(held)
        if end and end.end() < MAX_REQUEST_BYTES:
            return Verdict.ASKED if held in _REQUESTS else Verdict.INVALID
        if end or len(held) >= MAX_REQUEST_BYTES:
            return Verdict.OVERLONG
        self._held = held
        return None

    def forget(self) -> bool:
        """Forget the beginning of a request that came and was not gone on with; whether there was any."""
        had, self._held = bool(self._held), b""
        return had


def document(metrics: Iterable[Metric], style: Style = Style.VHOSTMD) -> bytes:
    """The document with these metrics in this order. As an answer over virtio it needs another newline at its end."""
    return document_of((part(metrics, style),), style)


def part(metrics: Iterable[Metric], style: Style = Style.VHOSTMD) -> str:
    """What these metrics make of a document, to be put together with others' by `document_of`."""
    write, _ = _STYLES[style]
    return "".join(map(write, metrics))


def document_of(parts: Iterable[str], style: Style = Style.VHOSTMD) -> bytes:
    """The document of these parts, in this order."""
    _, end = _STYLES[style]
    return ("<metrics>\n" + "".join(parts) + "</metrics>" + end).encode()


def metrics_in(text: str) -> list[Metric]:
    """The metrics in a document, whoever wrote it; names and values without white space at their ends.

    NULs, which some vhostmd left behind units, do not count. It takes time in proportion to the text, whatever that is.
    """
    return list(_found(text.replace("\0", "")))


def own(metrics: Iterable[Metric], uuid: str | None) -> list[Metric]:
    """Without other domains' metrics: a metrics disk may have all of the host's. Case and dashes do not count.

    Where our UUID is not known (None), those of a single domain are ours, and those of several nobody's. So are those
    that do not say whose they are, unless there are several domains' beside them.
    """
    found = list(metrics)
    uuids = {_bare(metric.uuid) for metric in found if metric.context == "vm" and metric.uuid}
    known = set() if uuid is None else {_bare(uuid)}
    ours = known if len(uuids) > 1 else (known or uuids) | {""}
    return [metric for metric in found if metric.context != "vm" or _bare(metric.uuid) in ours]


def plain(text: str) -> str:
    """The text without what XML cannot hold (control characters, lone surrogates), each sign of it as U+FFFD."""
    return _UNSPEAKABLE.sub("\ufffd", text)


_UNSPEAKABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_EMPTY_LINES = re.compile(r"\r|\n(?=[^\S\n]*\n)")  # an empty line is the end of an answer; \r\n could make one
_needs_nothing = re.compile("[A-Za-z0-9 _.:/%+-]*").fullmatch  # nearly all there is, and five times as fast
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;"})
_TEXT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def _text(text: str) -> str:
    return text if _needs_nothing(text) else _lines(text).translate(_TEXT_ESCAPES)


def _attribute(text: str) -> str:
    return text if _needs_nothing(text) else _lines(text).replace("\n", " ").translate(_ESCAPES)


def _lines(text: str) -> str:
    return text if _needs_nothing(text) else _EMPTY_LINES.sub(" ", plain(text))


def _value(metric: Metric) -> str:
    value = metric.value
    return value if (value if _needs_nothing(value) else plain(value)).strip() else EMPTY_VALUE


def _vhostmd(metric: Metric) -> str:
    whose = f" id='{_attribute(metric.id)}' uuid='{_attribute(metric.uuid)}'" if metric.uuid else ""
    unit = f" unit='{_attribute(metric.unit)}'" if metric.unit else ""
    return (
        f"  <metric type='{_attribute(metric.type)}' context='{_attribute(metric.context)}'{whose}{unit}>\n"
        f"    <name>{_text(metric.name)}</name>\n    <value>{_text(_value(metric))}</value>\n  </metric>\n"
    )


def _kubevirt(metric: Metric) -> str:
    unit = f' unit="{_attribute(metric.unit)}"' if metric.unit else ""
    value = _lines(_value(metric)).replace("]]>", "]]]]><![CDATA[>")
    return (
        f'  <metric type="{_attribute(metric.type)}" context="{_attribute(metric.context)}"{unit}>\n'
        f"    <name>{_text(metric.name)}</name>\n    <value><![CDATA[{value}]]></value>\n  </metric>\n"
    )


def _xenstore(metric: Metric) -> str:
    whose = f' id="{_attribute(metric.id)}" uuid="{_attribute(metric.uuid)}"' if metric.uuid else ""
    unit = f' unit="{_attribute(metric.unit)}"' if metric.unit else ""
    return (
        f'\t<metric type="{_attribute(metric.type)}" context="{_attribute(metric.context)}"{whose}{unit}>\n'
        f"\t\t<name>{_text(metric.name)}</name>\n\t\t<value>{_text(_value(metric))}</value>\n\t</metric>\n"
    )


_STYLES = {
    Style.VHOSTMD: (_vhostmd, "\n"),
    Style.KUBEVIRT: (_kubevirt, "\n"),
    Style.XENSTORE: (_xenstore, ""),
}

_CLOSES = {"<!--": "-->", "<![CDATA[": "]]>"}
_MARK = re.compile(r"<!--|<!\[CDATA\[")
_TAG = re.compile(
    r"<!--|<!\[CDATA\[|</metric\s*>"
    r"|<metric(?=[\s>])(?P<attributes>(?:[^<>'\"]|'[^<']*'|\"[^<\"]*\")*|[^<>]*)>"  # ends before the next tag at most
)
_ATTRIBUTE = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]*)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")")
_ENTITY = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_LAST_CHARACTER = 0x10FFFF


def _found(text: str) -> Iterator[Metric]:
    for attributes, body in _elements(text):
        name, value = _within(body, "name", str.find), _within(body, "value", str.rfind)
        if name is None or value is None:
            continue
        told = {key: _unescaped(one or other) for key, one, other in _ATTRIBUTE.findall(attributes)}
        yield Metric(
            name=name,
            value=value,
            type=told.get("type", "string").strip().lower(),
            context=told.get("context", "host").strip().lower(),
            unit=told.get("unit", "").strip(),
            id=told.get("id", "").strip(),
            uuid=told.get("uuid", "").strip(),
        )


def _elements(text: str) -> Iterator[tuple[str, str]]:
    """Each metric's attributes and what is in it. One that has not ended where the next begins is none.

    A comment counts between metrics only: within one `<!--` may be a value that nobody has escaped.
    """
    attributes, begun, at = None, 0, 0
    ends = _Ends(text)
    while tag := _TAG.search(text, at):
        at = tag.end()
        if tag[0] in _CLOSES:
            if attributes is None or tag[0] != "<!--":
                at = ends.after(tag[0], at)
        elif tag["attributes"] is None:
            if attributes is not None:
                yield attributes, text[begun : tag.start()]
            attributes = None
        else:
            attributes, begun = tag["attributes"], at


class _Ends:
    """Where comments and CDATA end in a text. Those that do not are text, and are looked for once, not once each."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._missing: set[str] = set()

    def after(self, opened: str, at: int) -> int:
        """The place behind what was opened just before `at`; `at` itself if it has no end."""
        close = -1 if opened in self._missing else self._text.find(_CLOSES[opened], at)
        if close < 0:
            self._missing.add(opened)
            return at
        return close + len(_CLOSES[opened])


def _within(body: str, tag: str, find_end: Callable[[str, str], int]) -> str | None:
    """The text of the element; CDATA as it stands, the rest without comments and with its entities replaced."""
    opened = re.search(rf"<{tag}(?=[\s/>])[^<>]*>", body)
    if opened is None:
        return None
    if opened[0].endswith("/>"):
        return ""
    rest = body[opened.end() :]
    end = find_end(rest, f"</{tag}")
    return None if end < 0 else "".join(_texts(rest[:end])).strip()


def _texts(inner: str) -> Iterator[str]:
    ends, begun, at = _Ends(inner), 0, 0
    while mark := _MARK.search(inner, at):
        at = ends.after(mark[0], mark.end())
        if at > mark.end():
            yield _unescaped(inner[begun : mark.start()])
            if mark[0] != "<!--":
                yield inner[mark.end() : at - len(_CLOSES[mark[0]])]
            begun = at
    yield _unescaped(inner[begun:])


def _unescaped(text: str) -> str:
    """XML's five entities and numbers of characters; any other `&` is one that should have been escaped."""
    return _ENTITY.sub(_character, text)


def _character(entity: re.Match[str]) -> str:
    name, decimal, hexadecimal = entity.groups()
    if name:
        return _ENTITIES[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    character = chr(number) if 0 < number <= _LAST_CHARACTER else "\ufffd"
    return plain(character)


def _bare(uuid: str) -> str:
    return uuid.replace("-", "").lower()
