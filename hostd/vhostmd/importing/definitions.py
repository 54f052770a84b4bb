"""The metrics of a vhostmd.conf, each as it is meant, and what vhostmd would have had against it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from hostd.settings import MetricType
from hostd.vhostmd.importing.reading import Element
from hostd.vhostmd.importing.remark import REFUSES, SILENT, WARNS, Remark, shown

TYPES: tuple[str, ...] = get_args(MetricType)
CONTEXTS = ("host", "vm")
MOST_NAME = 256  # characters, as in `settings`
MOST_UNIT = 32


@dataclass(frozen=True, slots=True)
class Variable:
    """One value of a group."""

    name: str
    type: str
    unit: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric."""

    line: int
    name: str
    action: str
    type: str
    context: str
    unit: str
    variables: tuple[Variable, ...]
    is_told: bool  # what vhostmd itself never tells is not told here, either
    remarks: tuple[Remark, ...]

    @property
    def key(self) -> str:
        """What its remarks are put beside."""
        return f"metric {self.line}"

    @property
    def names(self) -> tuple[str, ...]:
        """What guests see."""
        return tuple(variable.name for variable in self.variables) if self.type == "group" else (self.name,)


def read(root: Element) -> tuple[Definition, ...]:
    """All that there are, in their order."""
    return tuple(_definition(metric) for metrics in root.all("metrics") for metric in metrics.all("metric"))


def _definition(metric: Element) -> Definition:
    texts: list[str] = []
    name, action = (metric.first(tag) or Element(tag, metric.line) for tag in ("name", "action"))
    kind = _word(metric, "type", (*TYPES, "group", "xml"), "string", texts)
    context = _word(metric, "context", CONTEXTS, "host", texts)
    unit = _unit(metric, texts)
    if "cnt" in metric.attributes:
        texts.append("cnt means nothing to vhostmd, whatever it is, and is left out")
    variables = _variables(metric, kind, unit, texts)
    reasons = list(_why_not(name, action, kind, variables))
    return Definition(
        line=metric.line,
        name=name.text,
        action=action.text,
        type=kind,
        context=context,
        unit=unit,
        variables=variables,
        is_told=not reasons,
        remarks=tuple(
            Remark(metric.line, f"{shown(name.text)}: {text}", f"metric {metric.line}") for text in (*texts, *reasons)
        ),
    )


def _word(element: Element, attribute: str, words: tuple[str, ...], default: str, texts: list[str]) -> str:
    """An attribute that has to be one of `words`. Without its DTD vhostmd sees the blanks that the DTD had allowed."""
    given = element.attributes.get(attribute, "")
    if given in words:
        return given
    bare = given.strip()
    if bare in words:
        texts.append(f"{WARNS}: the {attribute} {shown(given)} has blanks; it is {bare}")
        return bare
    meant = bare.lower() if bare.lower() in words else default
    texts.append(f"{REFUSES}: the {attribute} {shown(given)} is none of {', '.join(words)}; {meant} is taken")
    return meant


def _unit(element: Element, texts: list[str]) -> str:
    unit = element.attributes.get("unit", "")
    if len(unit) <= MOST_UNIT:
        return unit
    texts.append(f"the unit {shown(unit)} is longer than {MOST_UNIT} characters, the most there may be; it is left out")
    return ""


def _variables(metric: Element, kind: str, unit: str, texts: list[str]) -> tuple[Variable, ...]:
    elements = metric.all("variable")
    if kind != "group":
        if elements:
            texts.append(f"{SILENT} of variables of what is no group; they are left out")
        return ()
    return tuple(_variable(element, at, unit, texts) for at, element in enumerate(elements, 1))


def _variable(element: Element, at: int, unit: str, texts: list[str]) -> Variable:
    """A unit of the group is its variables', unless they have their own."""
    name = element.attributes.get("name", "")
    if not 1 <= len(name) <= MOST_NAME:
        texts.append(f"variable {at} has no name of 1 to {MOST_NAME} characters; it keeps its place as variable-{at}")
        name = f"variable-{at}"
    kind = _word(element, "type", TYPES, "string", texts)
    return Variable(name, kind, _unit(element, texts) or unit)


def _why_not(name: Element, action: Element, kind: str, variables: tuple[Variable, ...]) -> Iterator[str]:
    for element in (name, action):
        if not element.text:
            yield f"{WARNS}: its {element.tag} is empty; so is it here"
        if element.missing:
            entity = f"&{element.missing[0]};"
            yield f"left out: its {element.tag} lacks the text of {entity}, write it there and import again"
    if len(name.text) > MOST_NAME:
        yield f"left out: its name is longer than {MOST_NAME} characters (vhostmd itself hangs on one of 1,000)"
    if kind == "group" and not variables:
        yield f"{SILENT} of a group without variables, and tells nothing; it is left out"
