"""What vhostmd's DTDs would have to say of a file: every break of their rules, and which releases read it.

The rules are those of all four DTDs taken together; where they differ is in `GENERATIONS`. Nothing is refused here:
what is in the wrong place still says what is meant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hostd.vhostmd.importing.reading import Element
from hostd.vhostmd.importing.remark import REFUSES, Remark, shown

ONCE, ANY, SOME, MAYBE = "once", "any", "some", "maybe"


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be within an element, in this order and so often, and which attributes it has to have and may have."""

    children: tuple[tuple[str, str], ...] = ()
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


RULES: Mapping[str, Rule] = {
    "vhostmd": Rule((("globals", ONCE), ("metrics", ONCE))),
    "globals": Rule((("disk", ONCE), ("virtio", ANY), ("update_period", ONCE), ("path", ONCE), ("transport", SOME))),
    "disk": Rule((("name", ONCE), ("path", ONCE), ("size", ONCE))),
    "size": Rule(required=("unit",)),
    "virtio": Rule((("channel_path", MAYBE), ("max_channels", ONCE), ("expiration_time", ONCE))),
    "metrics": Rule((("metric", ANY),)),
    "metric": Rule(
        (("name", ONCE), ("action", ONCE), ("variable", ANY)), required=("type", "context"), optional=("cnt", "unit")
    ),
    "variable": Rule(required=("name", "type")),
}
_TEXT = Rule()  # of all others
_OWNER_OF_TEXT = frozenset({"variable"})  # which may have text that nobody reads

KEYS: Mapping[str, str] = {
    "disk": "disk_path",
    "path": "program_path",
    "size": "disk_size_bytes",
    "transport": "virtio",
    "update_period": "period_seconds",
    "virtio": "virtio",
}
"""The setting that is beside what is said of an element."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What one DTD has of its own."""

    name: str
    least_virtio: int
    most_virtio: int
    has_channel_path: bool
    has_unit: bool


_MANY = 1 << 30
GENERATIONS = (
    Generation("0.5 and before", 0, 0, has_channel_path=False, has_unit=False),
    Generation("1.0 and 1.1", 1, 1, has_channel_path=False, has_unit=False),
    Generation("1.2", 0, _MANY, has_channel_path=False, has_unit=True),
    Generation("after 1.2, and SUSE's 1.2", 0, _MANY, has_channel_path=True, has_unit=True),
)


def breaks(element: Element, key: str = "") -> Iterator[Remark]:
    """Every break of the rules within `element`, itself included, that no DTD of vhostmd's allows."""
    rule = RULES.get(element.tag, _TEXT)
    key = KEYS.get(element.tag, key)
    key = f"metric {element.line}" if element.tag == "metric" else key
    found = (*_of_attributes(element, rule), *_of_order(element, rule), *_of_counts(element, rule))
    for line, what in (*found, *_of_text(element, rule)):
        yield Remark(line, f"{REFUSES}: {what}", key)
    allowed = {tag for tag, _ in rule.children}
    for child in element.children:
        if child.tag in allowed:
            yield from breaks(child, key)


def generations(root: Element) -> Iterator[tuple[Generation, list[Remark]]]:
    """The releases, each with why it does not read the file; no reason if it does, by what is known of its DTD."""
    for generation in GENERATIONS:
        yield generation, list(_drift(root, generation))


def _of_attributes(element: Element, rule: Rule) -> Iterator[tuple[int, str]]:
    for name in element.attributes:
        if name not in {*rule.required, *rule.optional}:
            # vhostmd's code looks for a variable's unit, which its DTD has no word for
            meaning = "it is taken" if (element.tag, name) == ("variable", "unit") else "nothing is made of it"
            yield element.line, f"<{element.tag}> has an attribute {shown(name)} that its DTD does not have; {meaning}"
    for name in rule.required:
        if name not in element.attributes:
            yield element.line, f"<{element.tag}> has no attribute {name}; it is taken for empty"


def _of_order(element: Element, rule: Rule) -> Iterator[tuple[int, str]]:
    places = {tag: place for place, (tag, _) in enumerate(rule.children)}
    last = -1
    for child in element.children:
        place = places.get(child.tag)
        if place is None:
            yield child.line, f"<{element.tag}> has no <{child.tag}> in vhostmd's DTD; nothing is made of it"
        elif place < last:
            yield child.line, f"<{child.tag}> has to be before <{rule.children[last][0]}>; here it need not be"
        last = last if place is None else max(last, place)


def _of_counts(element: Element, rule: Rule) -> Iterator[tuple[int, str]]:
    for tag, often in rule.children:
        found = element.all(tag)
        if not found and often in {ONCE, SOME}:
            yield element.line, f"<{element.tag}> has no <{tag}>; it is taken for empty"
        if often in {ONCE, MAYBE}:
            for more in found[1:]:
                yield more.line, f"<{element.tag}> has another <{tag}>; the first one counts"


def _of_text(element: Element, rule: Rule) -> Iterator[tuple[int, str]]:
    if rule.children and element.text.strip():
        yield element.line, f"<{element.tag}> has text of its own, {shown(element.text.strip())}; nothing is made of it"
    for name in element.missing:
        is_read = not rule.children and element.tag not in _OWNER_OF_TEXT
        why = "its text is missing" if is_read else "nothing is made of it"
        yield element.line, f"unless its DTD declares &{name};, which is not read here: {why}"


def _drift(root: Element, generation: Generation) -> Iterator[Remark]:
    for owner in root.all("globals"):
        virtio = owner.all("virtio")
        if len(virtio) < generation.least_virtio:
            yield Remark(owner.line, "<globals> has no <virtio>")
        for one in virtio[generation.most_virtio :]:
            yield Remark(one.line, "<virtio> is one too many" if generation.most_virtio else "<virtio> is not known")
        for one in virtio:
            has = bool(one.all("channel_path"))
            if has != generation.has_channel_path:
                yield Remark(one.line, "<channel_path> is not known" if has else "<virtio> has no <channel_path>")
    if not generation.has_unit:
        with_unit = [metric for owner in root.all("metrics") for metric in owner.all("metric")]
        for metric in [metric for metric in with_unit if "unit" in metric.attributes][:1]:
            yield Remark(metric.line, "a metric has a unit")
