"""Labels that the operator chooses: what a domain's metadata holds, and what of it goes on all its series.

Names and values that are hard to write are test_exposition's, on its page of nasty names.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from hostd.exposition import Exposition
from hostd.metrics import DOMAIN_SCOPES
from hostd.model.domain import Domain
from tests.support.builders import OTHER_UUID, UUID, full_domain, world
from tests.support.pages import NOW, page_of, samples_of, value_of

Pairs = tuple[tuple[str, str], ...]

BOTH = pytest.mark.parametrize("openmetrics", [False, True])
OWN = sorted({label for scope in DOMAIN_SCOPES for label in scope.labels or ()} - {"le"})
"""All labels that tables have; `le` is taken and cannot be a rule's."""

any_value = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def labelled(promoted: Pairs = (), metadata: Pairs = (), uuid: str = UUID) -> Domain:
    """A domain that has everything, and of these labels only what is given."""
    domain = full_domain(uuid)
    return replace(domain, facts=replace(domain.facts, metadata=metadata, promoted=promoted))


def lines_of(page: str, uuid: str = UUID) -> list[str]:
    """The lines of one domain, as they are."""
    return [line for line in page.splitlines() if f'uuid="{uuid}"' in line]


def names_in(line: str) -> list[str]:
    """The names of a line's labels, whose values have no quotes in them."""
    return re.findall(r'[{,]([a-z0-9_]+)="', line)


def without(lines: Iterable[str], label: str) -> list[str]:
    """The lines, had that label never been promoted."""
    return [re.sub(f',{label}="[^"]*"', "", line, count=1) for line in lines]


PLAIN, PROMOTED = labelled(), labelled((("project", "shop"),))


@BOTH
def test_what_is_promoted_is_on_every_series_of_the_domain_and_on_no_other(*, openmetrics: bool) -> None:
    page = page_of(world(PROMOTED), openmetrics=openmetrics)
    found = [(name, dict(labels)) for name, labels in samples_of(page, openmetrics=openmetrics)]
    having = {name for name, labels in found if labels.get("project") == "shop"}
    assert having == {name for name, labels in found if "uuid" in labels and labels["uuid"] == UUID}
    assert not having & {name for name, labels in found if "project" not in labels}
    assert having > {
        "libvirt_domain_info",
        "libvirt_domain_block_latency_seconds_bucket",
        "guest_report_age_seconds",
        "guest_filesystem_size_bytes",
        "hostd_domain_sample_age_seconds",
        "hostd_domain_series_left_out",
    }
    assert "libvirt_up" not in having


@BOTH
def test_it_stands_behind_the_domains_name_and_uuid_and_changes_nothing_else(*, openmetrics: bool) -> None:
    two = labelled((("project", "shop"), ("team", "blue")))
    lines = lines_of(page_of(world(two), openmetrics=openmetrics))
    assert all(f'{{domain="alpha",uuid="{UUID}",project="shop",team="blue"' in line for line in lines)
    plain = lines_of(page_of(world(PLAIN), openmetrics=openmetrics))
    assert without(without(lines, "project"), "team") == plain


def test_a_domain_without_that_metadata_has_no_such_label_at_all() -> None:
    page = page_of(world(PROMOTED, labelled(uuid=OTHER_UUID)))
    alone = page_of(world(labelled(uuid=OTHER_UUID)))
    assert lines_of(page, OTHER_UUID) == lines_of(alone, OTHER_UUID)
    assert "project" not in {name for line in lines_of(page, OTHER_UUID) for name in names_in(line)}


@pytest.mark.parametrize(
    ("family", "label", "own"),
    [
        ("libvirt_domain_openstack_info", "project_name", {"shop"}),
        ("libvirt_domain_state_reason_info", "state", {"running"}),
        ("libvirt_domain_vcpu_state", "state", {"running", "blocked", "offline"}),
        ("libvirt_domain_metadata_info", "note", {"its own"}),
    ],
)
def test_a_label_that_a_table_has_itself_wins(family: str, label: str, own: set[str]) -> None:
    domain = labelled(((label, "promoted"),), (("note", "its own"),))
    found = [(name, dict(labels)) for name, labels in samples_of(page_of(world(domain)))]
    assert {labels[label] for name, labels in found if name == family} == own
    assert {labels[label] for name, labels in found if name == "libvirt_domain_vcpu_current"} == {"promoted"}


@BOTH
@pytest.mark.parametrize("label", OWN)
def test_no_series_has_a_label_twice_whichever_is_promoted(label: str, *, openmetrics: bool) -> None:
    """Prometheus refuses the whole page for one."""
    page = page_of(world(labelled(((label, "promoted"),), (("note", "a"),))), openmetrics=openmetrics)
    plain = samples_of(page_of(world(labelled((), (("note", "a"),))), openmetrics=openmetrics), openmetrics=openmetrics)
    assert len(samples_of(page, openmetrics=openmetrics)) == len(plain)
    for line in lines_of(page):
        names = names_in(line)
        assert len(set(names)) == len(names)
        assert label in names


def test_a_label_that_is_promoted_twice_is_there_once() -> None:
    assert page_of(world(labelled((("project", "shop"), ("project", "shop"))))) == page_of(world(PROMOTED))


def test_another_value_is_on_all_series_even_of_parts_that_did_not_change() -> None:
    subject = Exposition(CollectorRegistry())
    for promoted in ((), (("project", "shop"),), (("project", "bank"),), (("team", "shop"),), ()):
        now = world(replace(PLAIN, facts=replace(PLAIN.facts, promoted=promoted)))
        subject.update(now)
        assert subject.page(now=NOW, openmetrics=False, gzip=False).decode() == page_of(now)


def test_another_value_costs_other_domains_nothing() -> None:
    subject = Exposition(CollectorRegistry())
    other = labelled((("project", "bank"),), uuid=OTHER_UUID)
    subject.update(world(PROMOTED, other))
    before = dict(subject._known[""].domains)
    subject.update(world(labelled((("project", "bakery"),)), other))
    after = subject._known[""].domains
    assert after[OTHER_UUID] is before[OTHER_UUID]
    assert after[UUID] is not before[UUID]


def test_the_same_value_of_another_object_keeps_the_labels_that_were_made() -> None:
    subject = Exposition(CollectorRegistry())
    subject.update(world(PROMOTED))
    before = subject._known[""].domains[UUID]
    subject.update(world(labelled((("project", "shop"),))))
    assert subject._known[""].domains[UUID].identity is before.identity


@pytest.mark.parametrize("limit", [1, 20, 100])
def test_the_limit_counts_series_and_not_their_labels(limit: int) -> None:
    pages = [page_of(world(domain), max_series_per_domain=limit) for domain in (PLAIN, PROMOTED)]
    assert without(lines_of(pages[1]), "project") == lines_of(pages[0])


@given(any_value, any_value)
def test_any_value_at_all_comes_back_as_it_was_in_both_formats(promoted: str, found: str) -> None:
    known = world(replace(labelled((("project", promoted),), (("note", found),)), stats=None, details=None))
    text = samples_of(page_of(known))
    assert samples_of(page_of(known, openmetrics=True), openmetrics=True) == text
    of_domain = [(name, dict(labels)) for name, labels in text if ("uuid", UUID) in labels]
    assert {labels["project"] for _, labels in of_domain} == {promoted}
    assert [labels["note"] for name, labels in of_domain if name == "libvirt_domain_metadata_info"] == [found]


@BOTH
def test_metadata_is_one_series_with_labels_of_the_operators_names(*, openmetrics: bool) -> None:
    page = page_of(world(labelled((), (("team", "blue"), ("cost_centre", "7")))), openmetrics=openmetrics)
    line = f'libvirt_domain_metadata_info{{domain="alpha",uuid="{UUID}",team="blue",cost_centre="7"}} 1'
    assert [line] == [line for line in page.splitlines() if line.startswith("libvirt_domain_metadata_info")]


def test_without_metadata_there_is_no_series_of_it_not_even_0() -> None:
    page = page_of(world(PLAIN, labelled((), (("team", "blue"),), OTHER_UUID)))
    assert not [line for line in lines_of(page) if "metadata" in line]
    assert value_of(page, "libvirt_domain_metadata_info", uuid=OTHER_UUID) == 1
    assert "libvirt_domain_metadata_info" not in page_of(world(PLAIN))


def test_metadata_with_other_names_and_the_same_values_is_told_anew() -> None:
    subject = Exposition(CollectorRegistry())
    for metadata in ((("team", "blue"),), (("colour", "blue"),), (("colour", "blue"), ("team", "blue")), ()):
        now = world(replace(PLAIN, facts=replace(PLAIN.facts, metadata=metadata)))
        subject.update(now)
        assert subject.page(now=NOW, openmetrics=False, gzip=False).decode() == page_of(now)
