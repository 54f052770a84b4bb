"""A domain's metadata to labels, by the rules: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from hostd.labels import MOST_CHARACTERS, PRESETS, Rule, Rules, names_of, split


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the rules found."""

    metadata: tuple[tuple[str, str], ...] = ()  # for all labels of the rules; empty where there is nothing
    promoted: tuple[tuple[str, str], ...] = ()  # the same, for those that go on every series
    managers: Mapping[str, tuple[str, ...]]  # the values of each preset that finds something
    cut: int = 0  # values that were too long


def labels_of(domain: ET.Element, rules: Rules) -> Labels:
    """The labels of the domain; none at all where no rule finds anything."""
    metadata = domain.find("metadata")
    if metadata is None:
        return Labels(managers={})
    wanted, cut = _limited(_found(metadata, rules.metadata))
    managers = {}
    for name, preset in PRESETS.items():
        found, _ = _limited(_found(metadata, preset))
        if found:
            managers[name] = tuple(found.get(label, "") for label in names_of(preset))
    return Labels(
        metadata=tuple((label, wanted.get(label, "")) for label in names_of(rules.metadata)) if wanted else (),
        promoted=tuple((label, wanted[label]) for label in rules.promote if label in wanted),
        managers=managers,
        cut=cut,
    )


def limited(text: str) -> str:
    """Text that somebody wrote, no longer than a label's value may be."""
    return text[:MOST_CHARACTERS]


def _found(metadata: ET.Element, rules: Sequence[Rule]) -> dict[str, str]:
    found: dict[str, str] = {}
    for rule in rules:
        if rule.label not in found and (value := _value(metadata, rule.path)):
            found[rule.label] = value
    return found


def _value(metadata: ET.Element, path: str) -> str:
    way, attribute = split(path)
    element = metadata.find(way)
    if element is None:
        return ""
    text = "".join(element.itertext()) if attribute is None else element.get(attribute)
    return (text or "").strip()


def _limited(found: Mapping[str, str]) -> tuple[dict[str, str], int]:
    short = {label: limited(value) for label, value in found.items()}
    return short, sum(short[label] != value for label, value in found.items())
