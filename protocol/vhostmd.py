"""vhostmd's text: the metrics document, as each kind of host writes it, and the one request a guest may make.

Written is always well-formed XML in UTF-8 (vhostmd's own need not be), without an empty line before the end, which is
how a guest knows the end. Read is whatever any host sends: either quotes, CDATA, entities or none, an `&` that should
have been escaped, attributes in any order, newlines in values; a part that is no metric is passed over.
"""

from __future__ import annotations

import enum
import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


@dataclass(frozen=True)
class Metric:
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
    write, end = _STYLES[style]
    return ("<metrics>\n" + "".join(map(write, metrics)) + "</metrics>" + end).encode()


def metrics_in(text: str) -> list[Metric]:
    """The metrics in a document, whoever wrote it; the values without white space at their ends."""
    return list(_found(text))


def own(metrics: Iterable[Metric], uuid: str | None) -> list[Metric]:
    """Without other domains' metrics: a metrics disk may have all of the host's. Case and dashes do not count.

    Where our UUID is not known (None), those of a single domain are ours, and those of several nobody's.
    """
    found = list(metrics)
    uuids = {_bare(metric.uuid) for metric in found if metric.context == "vm" and metric.uuid}
    ours = uuids if uuid is None and len(uuids) == 1 else {_bare(uuid or "")}
    return [metric for metric in found if metric.context != "vm" or not metric.uuid or _bare(metric.uuid) in ours]


def plain(text: str) -> str:
    """The text without what XML cannot hold (control characters, lone surrogates), each sign of it as U+FFFD."""
    return _UNSPEAKABLE.sub("\ufffd", text)


_UNSPEAKABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_EMPTY_LINES = re.compile(r"\r|\n(?=\s*\n)")  # an empty line is the end of an answer; \r\n could make one
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;"})
_TEXT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def _text(text: str) -> str:
    return _lines(text).translate(_TEXT_ESCAPES)


def _attribute(text: str) -> str:
    return _lines(text).replace("\n", " ").translate(_ESCAPES)


def _lines(text: str) -> str:
    return _EMPTY_LINES.sub(" ", plain(text))


def _value(metric: Metric) -> str:
    return metric.value if metric.value.strip() else EMPTY_VALUE


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

_METRIC = re.compile(r"<!--.*?-->|<metric\b((?:[^>'\"]|'[^']*'|\"[^\"]*\")*)>(.*?)</metric\s*>", re.DOTALL)
_ATTRIBUTE = re.compile(r"([A-Za-z_][\w.-]*)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)


def _found(text: str) -> Iterator[Metric]:
    for match in _METRIC.finditer(text):
        attributes, body = match.groups()
        name, value = (_within(body or "", tag) for tag in ("name", "value"))
        if name is None or value is None:
            continue
        told = {key: html.unescape(one or other) for key, one, other in _ATTRIBUTE.findall(attributes)}
        yield Metric(
            name=name,
            value=value,
            type=told.get("type", "string").strip().lower(),
            context=told.get("context", "host").strip().lower(),
            unit=told.get("unit", "").strip(),
            id=told.get("id", ""),
            uuid=told.get("uuid", ""),
        )


def _within(body: str, tag: str) -> str | None:
    """The text of the element; CDATA as it stands, the rest with its entities replaced."""
    found = re.search(rf"<{tag}\b[^>]*>(.*)</{tag}\s*>", body, re.DOTALL)
    if found is None:
        return "" if re.search(rf"<{tag}\s*/>", body) else None
    pieces = _CDATA.split(found[1])  # what is outside and inside of it by turns
    return "".join(piece if at % 2 else html.unescape(piece) for at, piece in enumerate(pieces)).strip()


def _bare(uuid: str) -> str:
    return uuid.replace("-", "").lower()
