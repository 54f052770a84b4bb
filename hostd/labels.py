"""What of a domain's metadata becomes labels: the rules that an operator writes, and presets that stand for several.

Who manages a host's domains (OpenStack, oVirt, virt-manager) writes what they are for into the domains' metadata, each
in a namespace of its own. Pure: `hypervisor.metadata` follows the rules, `config` checks them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

MOST_LABELS = 32  # each is told of every domain
MOST_CHARACTERS = 256  # of a value; what an operator or a tenant writes there has no limit of its own

TAKEN = frozenset({"connection", "domain", "uuid", "instance", "job", "le", "quantile"})
"""Labels that say whose a series is, ours and Prometheus's."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where a label's value is. `path` begins below `<metadata>`; one that ends in `/@name` is an attribute's."""

    label: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that is wanted: of several rules for one label the first that finds something wins."""

    metadata: tuple[Rule, ...] = ()
    promote: tuple[str, ...] = ()  # labels, of those above, for every series of the domain


def _nova(label: str, path: str) -> tuple[Rule, ...]:
    """Nova's namespace has had two versions, with the same in both of what is read here."""
    uri = "http://openstack.org/xmlns/libvirt/nova/1.{}"
    return tuple(Rule(label, re.sub("nova:", f"{{{uri.format(minor)}}}", path)) for minor in (1, 0))


_OVIRT = "{http://ovirt.org/vm/1.0}"
_LIBOSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}"

PRESETS: Mapping[str, tuple[Rule, ...]] = {
    "nova": (
        *_nova("instance_name", "nova:instance/nova:name"),
        *_nova("flavor_name", "nova:instance/nova:flavor/@name"),
        *_nova("user_name", "nova:instance/nova:owner/nova:user"),
        *_nova("user_id", "nova:instance/nova:owner/nova:user/@uuid"),
        *_nova("project_name", "nova:instance/nova:owner/nova:project"),
        *_nova("project_id", "nova:instance/nova:owner/nova:project/@uuid"),
        *_nova("root_type", "nova:instance/nova:root/@type"),
        *_nova("root_id", "nova:instance/nova:root/@uuid"),
    ),
    "ovirt": (
        Rule("cluster_version", f"{_OVIRT}vm/{_OVIRT}clusterVersion"),
        Rule("resume_behavior", f"{_OVIRT}vm/{_OVIRT}resumeBehavior"),
    ),
    "libosinfo": (Rule("os_id", f"{_LIBOSINFO}libosinfo/{_LIBOSINFO}os/@id"),),
}


def names_of(rules: Sequence[Rule]) -> tuple[str, ...]:
    """The labels that the rules make, each once, in order."""
    return tuple(dict.fromkeys(rule.label for rule in rules))


def split(path: str) -> tuple[str, str | None]:
    """The way to the element, and the attribute's name if it is one that is meant."""
    way, slash_at, attribute = path.rpartition("/@")
    return (way, attribute) if slash_at else (path, None)


def problem_of(rule: Rule) -> str | None:
    """Why the rule cannot be followed, or None if it can."""
    if not re.fullmatch("[a-z][a-z0-9_]{0,63}", rule.label) or "__" in rule.label:
        return f"{rule.label!r} is not a label: small letters, digits and single underscores, a letter first"
    if rule.label in TAKEN:
        return f"the label {rule.label!r} is taken: it says whose a series is"
    way, attribute = split(rule.path)
    if not way or attribute == "":
        return f"{rule.path!r} leads nowhere; write {{namespace}}tag/{{namespace}}tag, and /@name for an attribute"
    try:
        next(ET.Element("metadata").iterfind(way), None)  # `find` takes a bare name as it is, prefix and all
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError) as error:
        return f"{rule.path!r} is not a path: {error}; write {{namespace}}tag/{{namespace}}tag"
    return None
