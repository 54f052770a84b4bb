"""The documents that guests are told. Golden ones: `UPDATE_GOLDEN=1 pytest tests/hostd/vhostmd/test_documents.py`."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd import telemetry
from hostd.config import ConfigError
from hostd.model.domain import Domain
from hostd.model.host import Connection, ConnectionFacts
from hostd.model.stats import BalloonStats, CpuStats, DomainStats
from hostd.model.world import World
from hostd.settings import VhostmdMetric, VhostmdSettings, VhostmdVariable
from hostd.vhostmd.documents import Documents
from hostd.vhostmd.printed import Printed
from protocol.vhostmd import Metric, metrics_in, plain
from tests.support.builders import OTHER_UUID, UUID, facts, full_domain, shut_off, unconnected, world
from tests.support.hosts import CONNECTION_FACTS, HOST
from tests.support.pages import NOW

GOLDEN = Path(__file__).parent / "golden"
SETS = ("sap", "kubevirt", "vhostmd", "none")
OFF_UUID = "33333333-3333-4333-8333-333333333333"

BETA = Domain(
    facts=facts(OTHER_UUID, "beta", id=12, memory_maximum_bytes=4 << 30, vcpus=8), is_responsive=False
)  # one that does not answer
EXAMPLE = world(full_domain(), BETA, Domain(facts=shut_off(OFF_UUID, "off")))

HOSTILE = [
    "a;touch X",
    "$(id)",
    "`id`",
    "\"'",
    "two\nlines",
    "\n\n",
    "\r\n\r\n",
    "]]>",
    "<a>&b;</a>",
    "\0\x01",
    "\ud800",
]


def documents(chosen: str = "sap", printed: Printed | None = None, **others: Any) -> Documents:  # noqa: ANN401 - settings
    settings = VhostmdSettings(**{"set": chosen, "vendor": "ACME", **others})
    return Documents(settings, Printed() if printed is None else printed)


def with_rates(subject: Documents) -> Documents:
    """It has seen a sample four seconds before the example's."""
    kernel = HOST.kernel
    assert kernel is not None
    earlier = replace(
        kernel,
        read_at=kernel.read_at - 4.0,
        paged_in_bytes=(kernel.paged_in_bytes or 0) - (10 << 10),
        paged_out_bytes=(kernel.paged_out_bytes or 0) - (2 << 10),
    )
    subject.of_domain(replace(EXAMPLE, host=replace(HOST, kernel=earlier)), UUID, NOW)
    return subject


def told(document: bytes) -> list[tuple[str, str, str]]:
    """Context, name and value of what is in it, which has to be XML."""
    tree = ET.fromstring(document.decode())
    return [(each.get("context", ""), each.findtext("name", ""), each.findtext("value", "")) for each in tree]


def value(document: bytes, name: str, context: str = "host") -> str | None:
    values = [its for where, called, its in told(document) if (where, called) == (context, name)]
    assert len(values) <= 1
    return values[0] if values else None


def is_golden(document: bytes, name: str) -> bool:
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / name).write_bytes(document)
    return document == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("chosen", SETS[:3])
def test_the_documents_of_a_known_world_are_the_golden_ones(chosen: str) -> None:
    subject = with_rates(documents(chosen))
    assert is_golden(subject.answer(EXAMPLE, UUID, NOW), f"{chosen}.virtio.xml")
    assert is_golden(subject.of_all([EXAMPLE], NOW), f"{chosen}.disk.xml")


def test_with_newlines_in_values_the_document_is_vhostmds_byte_for_byte() -> None:
    subject = with_rates(documents("vhostmd", newline_in_values=True))
    assert is_golden(subject.answer(EXAMPLE, UUID, NOW), "vhostmd.newline.xml")


def test_kubevirts_values_never_end_in_a_newline() -> None:
    for text in (
        documents("kubevirt", newline_in_values=setting).answer(EXAMPLE, UUID, NOW) for setting in (True, False)
    ):
        assert text == documents("kubevirt").answer(EXAMPLE, UUID, NOW)


def test_what_the_golden_documents_say_is_what_a_reader_finds() -> None:
    found = metrics_in((GOLDEN / "sap.disk.xml").read_text())
    assert [metric.name for metric in found[:2]] == ["TotalCPUTime", "PagedOutMemory"]
    assert found[12].name == "HostName"
    assert [(metric.name, metric.value) for metric in found if metric.uuid == OTHER_UUID] == [
        ("ResourceMemoryLimit", "4096"),
        ("ResourceProcessorLimit", "8"),
    ]
    assert {metric.id for metric in found} == {"", "1", "12"}


@pytest.mark.parametrize("chosen", SETS)
def test_an_answer_ends_in_the_one_empty_line_that_it_has(chosen: str) -> None:
    for newline in (True, False):
        subject = documents(chosen, newline_in_values=newline)
        for known, uuid in ((EXAMPLE, UUID), (EXAMPLE, "nobody"), (unconnected(), UUID)):
            answer = subject.answer(known, uuid, NOW)
            assert answer.index(b"\n\n") == len(answer) - 2
            assert answer == subject.of_domain(known, uuid, NOW) + b"\n"


@pytest.mark.parametrize("chosen", SETS)
def test_a_domain_is_told_of_no_other(chosen: str) -> None:
    for text in (documents(chosen).answer(EXAMPLE, UUID, NOW), documents(chosen).for_xenstore(EXAMPLE, UUID, NOW)):
        assert OTHER_UUID.encode() not in text
        assert {metric.uuid for metric in metrics_in(text.decode())} <= {"", UUID}


@pytest.mark.parametrize("chosen", SETS)
@pytest.mark.parametrize("uuid", ["", "nobody", OFF_UUID])
def test_a_domain_that_is_not_known_or_does_not_run_is_told_of_the_host_alone(chosen: str, uuid: str) -> None:
    assert {context for context, _, _ in told(documents(chosen).answer(EXAMPLE, uuid, NOW))} <= {"host"}


@pytest.mark.parametrize("chosen", SETS)
def test_without_libvirt_there_is_a_document_all_the_same(chosen: str) -> None:
    subject = documents(chosen)
    for text in (subject.answer(unconnected(), UUID, NOW), subject.of_all([unconnected()], NOW), subject.of_all([], 0)):
        told(text)
    assert value(documents("sap").answer(unconnected(), UUID, NOW), "HostName") is None
    assert value(documents("sap").answer(unconnected(), UUID, NOW), "Time") == str(int(NOW))


def test_all_domains_of_all_connections_are_on_the_disk_and_the_host_once_by_one_that_is_up() -> None:
    far = replace(unconnected(), connection=Connection(uri="qemu:///session", name="far"))
    other = world(Domain(facts=facts(OTHER_UUID, "beta")), connection=replace(EXAMPLE.connection, name="near"))
    found = told(documents().of_all([far, other, world(full_domain())], NOW))
    assert [context for context, _, _ in found] == sorted(context for context, _, _ in found)  # the host's are first
    assert [name for context, name, _ in found if context == "host"].count("HostName") == 1
    assert [its for context, name, its in found if name == "ResourceMemoryLimit"] == ["2048", "2048"]


def test_the_operator_may_hide_the_hosts_name_and_the_vendor() -> None:
    text = documents("sap", host_name="cloud.example", vendor="Cloud & Co").answer(EXAMPLE, UUID, NOW)
    assert value(text, "HostName") == "cloud.example"
    assert value(text, "HostSystemInfo") == "cloud"
    assert value(text, "VirtualizationVendor") == "Cloud & Co"
    assert b"host1" not in text


def test_kubevirts_vendor_is_kubevirt_unless_the_operator_says_otherwise() -> None:
    assert value(documents("kubevirt", vendor="").answer(EXAMPLE, UUID, NOW), "VirtualizationVendor") == "kubevirt.io"
    assert value(documents("kubevirt", vendor="X").answer(EXAMPLE, UUID, NOW), "VirtualizationVendor") == "X"


def test_rates_are_told_from_the_second_sample_of_a_connection_on() -> None:
    subject = documents("vhostmd")
    assert value(subject.answer(EXAMPLE, UUID, NOW), "PageInRate") is None
    assert value(subject.answer(EXAMPLE, OTHER_UUID, NOW + 1), "PageInRate") is None  # the same sample again
    kernel = HOST.kernel
    assert kernel is not None
    for rounds in (1, 2):
        later = replace(
            kernel,
            read_at=kernel.read_at + 10 * rounds,
            paged_in_bytes=(kernel.paged_in_bytes or 0) + (rounds * rounds * 100 << 10),
        )
        known = replace(EXAMPLE, host=replace(HOST, kernel=later))
        for _ in range(3):
            assert value(subject.answer(known, UUID, NOW), "PageInRate") == f"{[10, 30][rounds - 1]}.000000"
    gone = replace(EXAMPLE, host=replace(HOST, kernel=None))
    assert value(subject.answer(gone, UUID, NOW), "PageInRate") is None
    elsewhere = replace(EXAMPLE, connection=replace(EXAMPLE.connection, name="other"))
    assert value(subject.answer(elsewhere, UUID, NOW), "PageInRate") is None


CUSTOM = (
    VhostmdMetric(name="Load", type="real64", metric="libvirt_host_load1"),
    VhostmdMetric(name="Disk", type="group", exec=("/bin/disk",), variables=(VhostmdVariable(name="a"),)),
    VhostmdMetric(name="Vcpus", context="vm", type="uint32", unit="n", metric="libvirt_domain_vcpu_maximum"),
    VhostmdMetric(name="Tier", context="vm", exec=("/bin/tier",)),
)


def programs() -> Printed:
    """What the programs of `CUSTOM` printed, for the example's first domain and its host."""
    printed = Printed()
    printed.put("", None, 1, (Metric("Read", "1\n", "uint64", unit="B"), Metric("Write", "2", "uint64")))
    printed.put("", UUID, 3, (Metric("Tier", "gold"),))
    printed.put("", OTHER_UUID, 3, (Metric("Tier", "lead"),))
    printed.put("elsewhere", UUID, 3, (Metric("Tier", "tin"),))
    return printed


def test_the_operators_metrics_stand_where_vhostmd_would_have_them_the_last_first() -> None:
    found = metrics_in(documents("none", programs(), metric=CUSTOM).answer(EXAMPLE, UUID, NOW).decode())
    assert found == [
        Metric("Read", "1", "uint64", "host", "B"),
        Metric("Write", "2", "uint64"),
        Metric("Load", "0.500000", "real64"),
        Metric("Tier", "gold", "string", "vm", "", "1", UUID),
        Metric("Vcpus", "4", "uint32", "vm", "n", "1", UUID),
    ]
    after = [name for _, name, _ in told(documents("sap", programs(), metric=CUSTOM).answer(EXAMPLE, UUID, NOW))]
    assert after[:4] == ["Read", "Write", "Load", "TotalCPUTime"]
    assert after[-6:-3] == ["Tier", "Vcpus", "PhysicalMemoryAllocatedToVirtualSystem"]


@pytest.mark.parametrize(
    "own",
    [
        VhostmdMetric(name="HostName", metric="libvirt_host_load1"),
        VhostmdMetric(name="names", exec=("/bin/a",), type="group", variables=(VhostmdVariable(name="HostName"),)),
    ],
    ids=["a metric", "a group's variable"],
)
def test_a_metric_of_the_operators_stands_for_the_one_of_the_set_with_its_name(own: VhostmdMetric) -> None:
    printed = Printed()
    printed.put("", None, 0, (Metric("HostName", "0.5"),))
    found = metrics_in(documents(printed=printed, metric=(own,)).answer(EXAMPLE, UUID, NOW).decode())
    of_the_set = metrics_in(documents().answer(EXAMPLE, UUID, NOW).decode())
    assert [metric.value for metric in found if metric.name == "HostName"] == ["0.5"]
    assert sorted(metric.name for metric in found) == sorted(metric.name for metric in of_the_set)


def test_what_changes_within_a_second_is_told_at_once() -> None:
    printed = Printed()
    subject = documents(printed=printed, metric=(VhostmdMetric(name="Load", exec=("/bin/a",)),))

    def values(known: World, now: float = NOW) -> dict[str, str]:
        return {metric.name: metric.value for metric in metrics_in(subject.answer(known, UUID, now).decode())}

    before = values(EXAMPLE)
    printed.put("", None, 0, (Metric("Load", "0.5"),))
    assert values(EXAMPLE) == {**before, "Load": "0.5"}
    busier = replace(EXAMPLE, host=replace(HOST, cpus=77))
    assert values(busier) == {**before, "Load": "0.5", "NumberOfPhysicalCPUs": "77"}
    assert values(busier, NOW + 1)["Time"] == str(int(NOW) + 1)


def test_a_metric_of_the_operators_of_another_context_stands_beside() -> None:
    own = VhostmdMetric(name="HostName", context="vm", metric="libvirt_domain_vcpu_maximum")
    found = metrics_in(documents(metric=(own,)).answer(EXAMPLE, UUID, NOW).decode())
    assert [metric.context for metric in found if metric.name == "HostName"] == ["host", "vm"]


def test_beside_kubevirts_metrics_they_come_after_them_in_their_order() -> None:
    found = told(documents("kubevirt", programs(), metric=CUSTOM).answer(EXAMPLE, UUID, NOW))
    assert [name for _, name, _ in found[17:]] == ["Load", "Read", "Write", "Vcpus", "Tier"]


def test_on_the_disk_each_domain_has_what_its_own_program_printed() -> None:
    found = metrics_in(documents("none", programs(), metric=CUSTOM).of_all([EXAMPLE], NOW).decode())
    assert [(m.id, m.value) for m in found if m.name == "Tier"] == [("1", "gold"), ("12", "lead")]
    assert [m.name for m in found if m.context == "host"] == ["Read", "Write", "Load"]


def test_what_no_program_has_printed_is_absent() -> None:
    found = told(documents("none", Printed(), metric=CUSTOM).answer(EXAMPLE, OTHER_UUID, NOW))
    assert found == [("host", "Load", "0.500000")]


def test_values_of_the_table_end_in_a_newline_where_all_do_and_a_programs_are_left_as_they_are() -> None:
    text = documents("none", programs(), metric=CUSTOM, newline_in_values=True).answer(EXAMPLE, UUID, NOW)
    assert [its for _, _, its in told(text)] == ["1\n", "2", "0.500000\n", "gold", "4\n"]


def test_a_metric_that_is_not_there_is_refused_when_documents_are_made() -> None:
    with pytest.raises(ConfigError, match=r"^vhostmd\.metric\[4\]\.metric: 'nope' "):
        documents(metric=(*CUSTOM, VhostmdMetric(name="X", metric="nope")))


def test_xenstore_has_its_own_form() -> None:
    text = documents("none", metric=CUSTOM[2:3]).for_xenstore(EXAMPLE, UUID, NOW).decode()
    assert text == (
        f'<metrics>\n\t<metric type="uint32" context="vm" id="1" uuid="{UUID}" unit="n">\n'
        "\t\t<name>Vcpus</name>\n\t\t<value>4</value>\n\t</metric>\n</metrics>"
    )


def everywhere(name: str) -> tuple[World, VhostmdSettings, Printed]:
    """A World in which whatever may have a name has this one."""
    host = ConnectionFacts(
        driver=name, libvirt_version=name, library_version=name, hypervisor_version=name, hostname=name
    )
    known = replace(EXAMPLE, connection=replace(EXAMPLE.connection, name=name, facts=host))
    known = replace(known, domains={UUID: replace(full_domain(), facts=facts(UUID, name))})
    metrics = (
        VhostmdMetric(name=name or "x", unit=name, context="vm", metric="libvirt_domain_vcpu_maximum"),
        VhostmdMetric(name="Name", context="vm", exec=("/bin/echo",)),
    )
    printed = Printed()
    printed.put(name, UUID, 1, (Metric("Name", name, unit=name),))
    return known, VhostmdSettings(set="sap", vendor=name or "-", metric=metrics), printed


def words(text: str) -> Sequence[str]:
    return text.split()


def check_data(name: str) -> None:
    known, settings, printed = everywhere(name)
    for chosen in ("sap", "kubevirt", "vhostmd"):
        subject = Documents(VhostmdSettings(**{**_fields(settings), "set": chosen}), printed)
        answer = subject.answer(known, UUID, NOW)
        assert answer.index(b"\n\n") == len(answer) - 2
        for text in (answer, subject.of_all([known], NOW), subject.for_xenstore(known, UUID, NOW)):
            found = told(text)
            assert words(value(text, "Name", "vm") or "") == (words(plain(name)) or ["-"])
            assert words(value(text, "HostName") or "") == (words(plain(name)) or ["-"])
            assert len(found) == len(told(subject.answer(known, UUID, NOW)))


def _fields(settings: VhostmdSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_data(name: str) -> None:
    check_data(name)


@given(st.text(st.characters(), max_size=30) | st.text("]>&;<'\"\r\n\t \0\ud800", max_size=30))
def test_any_name_at_all_is_data(name: str) -> None:
    check_data(name)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats() | st.integers() | st.text() | st.none()))
def test_whatever_libvirt_counts_costs_no_more_than_its_own_metric(told_by_it: dict[str, Any]) -> None:
    stats = DomainStats(
        cpu=CpuStats(time_seconds=told_by_it.get("a")),
        balloon=BalloonStats(current_bytes=told_by_it.get("b")),
        vcpus_current=told_by_it.get("c"),
    )
    known = world(replace(full_domain(), stats=stats))
    for chosen in SETS:
        names = {name for _, name, _ in told(documents(chosen).answer(known, UUID, NOW))}
        assert chosen not in {"sap", "kubevirt"} or {"HostName", "ResourceMemoryLimit"} <= names


def test_a_value_that_cannot_be_told_is_left_out_and_counted() -> None:
    before = telemetry.REGISTRY.get_sample_value("hostd_vhostmd_metrics_untellable_total") or 0
    stats = DomainStats(cpu=CpuStats(time_seconds=math.nan), vcpus_current=2)
    text = documents().answer(world(replace(full_domain(), stats=stats)), UUID, NOW)
    assert value(text, "TotalCPUTime", "vm") is None
    assert value(text, "ResourceProcessorLimit", "vm") == "2"
    assert telemetry.REGISTRY.get_sample_value("hostd_vhostmd_metrics_untellable_total") == before + 1


def test_the_hosts_name_is_the_connections() -> None:
    assert value(documents().answer(EXAMPLE, UUID, NOW), "HostName") == CONNECTION_FACTS.hostname
