"""The tables of metrics: every row well-formed, and every number in the model told by some row."""

import dataclasses
import re
import types
from collections.abc import Iterator
from typing import Any, TypeAlias, get_args, get_type_hints

import pytest

from hostd import telemetry
from hostd.exposition.known import LEFT_OUT
from hostd.labels import PRESETS, TAKEN
from hostd.metrics import CONNECTION_LABEL, DOMAIN_LABELS, DOMAIN_SCOPES, WORLD_SCOPES
from hostd.metrics.event import ALERTED, ALERTED_OBJECTS
from hostd.metrics.facts import MANAGERS
from hostd.metrics.row import Kind, Metric, Scope
from hostd.model.details import NO_JOB
from hostd.model.domain import Domain
from hostd.model.world import GAP, World
from tests.support.builders import UUID, facts, full_domain, world
from tests.support.pages import NOW, page_of, samples_of, value_of
from tests.support.particulars import DETAILS

Value: TypeAlias = Any  # of a field of the model, whichever
Path = tuple[str | int, ...]

SCOPES: tuple[Scope[Any, Any, Any], ...] = (*WORLD_SCOPES, *DOMAIN_SCOPES, LEFT_OUT)
METRICS: tuple[Metric[Any], ...] = tuple(metric for scope in SCOPES for metric in scope.metrics)

NOT_EXPORTED = {
    "id": "another at every start; says nothing but that the domain is active, and its state does",
    "number": "the label `vcpu`, `cpu`, `cell`, `iothread`, `bank`, `node` or `package`",
    "page_bytes": "the label of that name",
    "until_seconds": "the label `le`",
    "interval_seconds": "the label `interval_seconds`",
    "index": "part of the label `target_device`, for an interface without a name",
    "memory_maximum_bytes": "told to the guest; the balloon's maximum is on the page",
    "version_min": "the handshake's business",
    "version_max": "the handshake's business",
    "nonce": "the handshake's business",
    "instance": "the handshake's business",
    "window": "the handshake's business",
    "vsock_cid": "where its guest comes from, for hostd alone",
    "journal": "part of an event's identity",
    "events_acknowledged": "the handshake's business",
    "events_written": "the handshake's business",
    "time_seconds": "a guest's clock is never exported; how far it is off is",
    "read_at": "a moment by a clock of hostd's own, for rates",
    "vcpus": "told to guests; the virtual CPUs that statistics count are on the page",
    "at": "of a notice, which is told to its guest",
}


def leaves(value: Value, path: Path = ()) -> Iterator[tuple[Path, Value]]:
    """Every field of the model that holds no further fields, with the way to it."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        yield from leaves(value[0], (*path, 0))  # the first of several stands for all
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def changed(value: Value, path: Path, new: Value) -> Value:
    """The same value with what is at `path` changed to `new`."""
    if not path:
        return new
    step, *rest = path
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{str(step): changed(getattr(value, str(step)), tuple(rest), new)})
    if isinstance(value, tuple):
        return (changed(value[0], tuple(rest), new), *value[1:])
    return {**value, step: changed(value[step], tuple(rest), new)}


FULL = world(full_domain())
NUMBERS = [
    path
    for path, value in leaves(FULL)
    if isinstance(value, int | float) and not isinstance(value, bool) and path[-1] not in NOT_EXPORTED
]


def test_no_family_and_no_sample_has_a_name_twice_over_all_tables_and_hostds_own_registry() -> None:
    """OpenMetrics names a counter's family without the suffix, and a histogram's samples with several."""
    families = [metric.name.removesuffix("_total").removesuffix("_bucket") for metric in METRICS]
    families += [family.name for family in telemetry.REGISTRY.collect()]
    assert sorted(set(families)) == sorted(families)
    samples = [metric.name for metric in METRICS]
    samples += {sample.name for family in telemetry.REGISTRY.collect() for sample in family.samples}
    assert sorted(set(samples)) == sorted(samples)
    histograms = {family.name for family in telemetry.REGISTRY.collect() if family.type == "histogram"}
    histograms |= {metric.name.removesuffix("_bucket") for metric in METRICS if metric.kind is Kind.HISTOGRAM}
    suffixes = ("sum", "count", "bucket")
    assert not set(samples) & {f"{family}_{suffix}" for family in {*families} - histograms for suffix in suffixes}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_row_is_well_formed(metric: Metric[Any]) -> None:
    assert re.fullmatch(r"(libvirt|guest|hostd)(_[a-z0-9]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_bucket") == (metric.kind is Kind.HISTOGRAM)
    assert not metric.is_age or metric.name.endswith("_age_seconds")
    assert metric.help[0].isupper() or metric.help[0].isdigit()
    assert metric.help.endswith(".")
    assert metric.help.isprintable()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_units_are_base_units(metric: Metric[Any]) -> None:
    assert not re.search(
        r"_(ms|us|ns|milliseconds|minutes|hours|kib|kb|mb|mib|percent|ratio_percent)(_|$)", metric.name
    )


def test_help_texts_do_not_repeat() -> None:
    texts = [metric.help for metric in METRICS]
    assert sorted(set(texts)) == sorted(texts)


def test_labels_are_legal_and_never_hide_whose_they_are() -> None:
    for scope in SCOPES:
        labels = scope.labels or ()  # the operator's own are checked with the settings
        assert len(set(labels)) == len(labels)
        for label in labels:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", label)
            assert label not in {CONNECTION_LABEL, *DOMAIN_LABELS, "quantile", "job", "instance"}
        assert ("le" in labels) == any(metric.kind is Kind.HISTOGRAM for metric in scope.metrics)


def at_path(kind: Any, path: str) -> Any:  # noqa: ANN401 - whatever the model is declared to hold there
    """The type that is declared at the end of the path, from the type where it begins."""
    for step in filter(None, path.split(".")):
        member = getattr(kind, step, None)
        getter = member.fget if isinstance(member, property) else None
        kind = get_type_hints(getter)["return"] if getter else get_type_hints(kind)[step]
    return kind


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.metrics[0].name)
def test_every_path_of_every_row_leads_to_a_number(scope: Scope[Any, Any, Any]) -> None:
    owner = 0 if scope is LEFT_OUT else FULL if scope in WORLD_SCOPES else FULL.domains[UUID]
    _, item = next(iter(scope.items(scope.part(owner))))
    for metric in scope.metrics:
        declared = at_path(type(item), metric.path)
        assert set(get_args(declared) or (declared,)) <= {int, float, bool, types.NoneType}


def test_no_metadata_can_hide_whose_a_series_is() -> None:
    assert {CONNECTION_LABEL, *DOMAIN_LABELS} < TAKEN


def test_every_preset_has_a_family() -> None:
    assert {preset for preset, _ in MANAGERS} == set(PRESETS)
    page = samples_of(page_of(FULL))
    labels = {name: dict(labels) for name, labels in page}
    assert labels["libvirt_domain_openstack_info"]["project_name"] == "shop"
    assert labels["libvirt_domain_ovirt_info"]["cluster_version"] == "4.7"
    assert labels["libvirt_domain_libosinfo_info"]["os_id"] == "http://debian.org/debian/12"


def test_what_a_device_is_joins_with_its_numbers() -> None:
    page = samples_of(page_of(FULL))
    for info, number in (
        ("libvirt_domain_interface_stats_info", "libvirt_domain_interface_stats_receive_bytes_total"),
        ("libvirt_domain_block_stats_info", "libvirt_domain_block_stats_read_bytes_total"),
    ):
        devices = [
            {dict(labels)["target_device"] for name, labels in page if name == wanted} for wanted in (info, number)
        ]
        assert devices[0] == devices[1] != set()


@pytest.mark.parametrize(
    ("field", "name"), [("is_autostarted", "autostart"), ("has_managed_save", "managed_save_image")]
)
def test_a_detail_that_is_so_or_not_or_not_known_is_1_or_0_or_absent(field: str, name: str) -> None:
    for value in (True, False, None):
        altered = changed(FULL, ("domains", UUID, "details", field), value)
        assert value_of(page_of(altered), f"libvirt_domain_{name}") == value


def test_disks_without_errors_are_0_and_ones_not_known_are_absent() -> None:
    for errors, count in ((DETAILS.disk_errors, 1), ((), 0), (None, None)):
        altered = changed(FULL, ("domains", UUID, "details", "disk_errors"), errors)
        assert value_of(page_of(altered), "libvirt_domain_disk_errors") == count


def test_messages_are_counted_by_kind_also_where_there_are_none() -> None:
    page = page_of(FULL)
    assert value_of(page, "libvirt_domain_messages", kind="tainting") == 1
    assert value_of(page, "libvirt_domain_messages", kind="deprecation") == 0
    assert value_of(page, "libvirt_domain_messages", kind="ioerror") is None


def test_without_a_job_there_are_no_series_of_one() -> None:
    for job in (NO_JOB, None):
        idle = changed(FULL, ("domains", UUID, "details", "job"), job)
        assert not [name for name, _ in samples_of(page_of(idle)) if name.startswith("libvirt_domain_job")]


def test_the_example_leaves_no_field_of_the_model_empty() -> None:
    empty = {"/".join(map(str, path)) for path, value in leaves(FULL) if value is None or value in ((), {})}
    assert empty == {"domains/" + UUID + "/guest/hello/" + name for name in ("capabilities", "window")}


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_every_number_of_the_model_is_on_the_page(path: Path) -> None:
    recognisable = 123_456_789
    altered: World = changed(FULL, path, recognisable)
    shown = set(samples_of(page_of(altered)).values())
    assert {recognisable, NOW - recognisable} & shown
    assert not {recognisable, NOW - recognisable} & set(samples_of(page_of(FULL)).values())


@pytest.mark.parametrize("is_so", [True, False])
def test_what_is_so_or_not_is_1_or_0(*, is_so: bool) -> None:
    read_only = changed(FULL, ("domains", UUID, "guest", "report", "filesystems", 0, "is_read_only"), is_so)
    assert value_of(page_of(read_only), "guest_filesystem_readonly") == is_so
    greeted = FULL if is_so else changed(FULL, ("domains", UUID, "guest", "hello"), None)
    assert value_of(page_of(greeted), "guest_agent_connected") == is_so
    answering = FULL if is_so else changed(FULL, ("connection", "facts"), None)
    assert value_of(page_of(answering), "libvirt_up") == is_so
    halted = changed(FULL, ("domains", UUID, "stats", "vcpus", 0, "is_halted"), is_so)
    assert value_of(page_of(halted), "libvirt_domain_vcpu_halted") == is_so


def test_exactly_one_state_of_a_domain_is_1() -> None:
    page = samples_of(page_of(FULL))
    states = {dict(labels)["state"]: value for (name, labels), value in page.items() if name == "libvirt_domain_state"}
    assert [state for state, value in states.items() if value] == ["running"]
    assert len(states) == 8


def test_events_that_an_alert_asks_for_are_there_with_0_before_the_first() -> None:
    quiet = page_of(world(Domain(facts=facts()), events={}))
    for event, detail in ALERTED:
        assert value_of(quiet, "libvirt_domain_events_total", event=event, detail=detail) == 0
    for kind, event, detail in ALERTED_OBJECTS:
        assert value_of(quiet, "libvirt_events_total", object=kind, event=event, detail=detail) == 0
    ill = page_of(world(Domain(facts=facts(), events={("stopped", "failed"): 3, ("reboot", ""): 2}), events={GAP: 4}))
    assert value_of(ill, "libvirt_domain_events_total", event="stopped", detail="failed") == 3
    assert value_of(ill, "libvirt_domain_events_total", event="reboot") == 2
    assert value_of(ill, "libvirt_events_total", object="connection") == 4


def test_a_domain_without_our_channel_says_nothing_of_an_agent() -> None:
    silent = changed(FULL, ("domains", UUID, "facts", "channel"), None)
    silent = changed(silent, ("domains", UUID, "guest"), type(full_domain().guest)())
    assert not [name for name, _ in samples_of(page_of(silent)) if name.startswith(("guest_", "hostd_guest_"))]
