"""The XML of a vhostmd.conf as a tree that knows its lines. Nothing but the file itself is read.

The entities that it declares itself are expanded. A DTD that it names is not fetched: an entity declared only there is
noted as missing from the text. A file that expands beyond bounds is refused: by expat (since its version 2.4.1) where
entities multiply, and here by what they come to.
"""

from dataclasses import dataclass, field
from xml.parsers import expat

MAX_BYTES = 1 << 20  # vhostmd's own file has some 10 kB
MAX_TEXT = 4 << 20  # once entities are expanded
MAX_ELEMENTS = 20_000
ROOT = "vhostmd"


class NotVhostmdError(Exception):
    """The file is no configuration of vhostmd; the message says where and why."""


@dataclass(slots=True)
class Element:
    """One element. `text` is its own, without that of its children."""

    tag: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    text: str = ""
    missing: list[str] = field(default_factory=list)  # entities whose text is not known

    def first(self, tag: str) -> "Element | None":
        """Its first child of that name."""
        return next(iter(self.all(tag)), None)

    def all(self, tag: str) -> list["Element"]:
        """Its children of that name."""
        return [child for child in self.children if child.tag == tag]


@dataclass(frozen=True, slots=True)
class Doctype:
    """What a file says of its DTD."""

    line: int
    system_id: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read."""

    root: Element
    doctype: Doctype | None


def parse(data: bytes, where: str) -> Source:
    """The tree of `data`.

    Raises:
        NotVhostmdError: it is not well-formed, expands beyond bounds, or is about something else; begins with `where`.

    """
    if len(data) > MAX_BYTES:
        raise NotVhostmdError(f"{where}: {len(data)} bytes are more than {MAX_BYTES}: is it a vhostmd.conf?")
    builder = _Builder(where)
    try:
        builder.parser.Parse(data, True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise NotVhostmdError(f"{where}:{error.lineno}: not well-formed XML: {why}; mend it and try again") from error
    except (LookupError, ValueError) as error:  # of an encoding
        raise NotVhostmdError(f"{where}: cannot be decoded: {error}; write it in UTF-8") from error
    root = builder.top.children[0]
    if root.tag != ROOT:
        raise NotVhostmdError(f"{where}:{root.line}: begins with <{root.tag}>, not <{ROOT}>: is it a vhostmd.conf?")
    return Source(root, builder.doctype)


class _Builder:
    """Expat's listener."""

    def __init__(self, where: str) -> None:
        self.top = Element("", 0)
        self.doctype: Doctype | None = None
        self._where = where
        self._open = [self.top]
        self._elements = self._characters = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._start_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.SkippedEntityHandler = self._skipped

    def _start_doctype(self, _name: str, system_id: str | None, _public_id: str | None, _has_subset: int) -> None:
        self.doctype = Doctype(self.parser.CurrentLineNumber, system_id)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        self._check(self._elements <= MAX_ELEMENTS)
        element = Element(tag, self.parser.CurrentLineNumber, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, _tag: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._characters += len(text)
        self._check(self._characters <= MAX_TEXT)
        self._open[-1].text += text

    def _skipped(self, name: str, is_parameter: int) -> None:
        if not is_parameter:
            self._open[-1].missing.append(name)

    def _check(self, is_within: bool) -> None:
        if not is_within:
            line = self.parser.CurrentLineNumber
            raise NotVhostmdError(
                f"{self._where}:{line}: its entities come to more than a configuration has; write them out"
            )
