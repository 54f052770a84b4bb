"""vhostmd's names and ours: each value as each kind of host writes it."""

from __future__ import annotations

import dataclasses

import pytest

from guestagent.vhostmd import values, whose
from protocol import messages
from protocol.vhostmd import TYPES, Metric
from tests.guestagent.vhostmd.places import UUID, Machine


def vm(name: str, value: str, unit: str = "") -> Metric:
    return Metric(name, value, context="vm", unit=unit)


def test_the_names_are_those_of_the_message_and_mean_the_same() -> None:
    fields = dataclasses.fields(messages.Metrics)
    assert [(row.ours, row.about) for row in values.ROWS] == [(each.name, each.metadata["about"]) for each in fields]
    assert {row.type for row in values.ROWS if row.theirs} <= set(TYPES)


@pytest.mark.parametrize(
    ("metric", "ours", "value"),
    [
        (Metric("NumberOfPhysicalCPUs", "16"), "host_cpus", 16),
        (Metric("NumCPUs", "16.000000"), "host_cpus", 16),
        (Metric("TotalPhyCPUs", "16"), "host_cpus", 16),
        (Metric("TotalPhyMem", "3072"), "host_memory_total_bytes", 3072 << 20),
        (Metric("TotalPhyMem", "3072", unit="MiB"), "host_memory_total_bytes", 3072 << 20),
        (Metric("FreePhysicalMemory", "3072", unit="KiB"), "host_memory_free_bytes", 3072 << 10),
        (Metric("FreePhysicalMemory", "3072", unit="bytes"), "host_memory_free_bytes", 3072),
        (Metric("FreePhysicalMemory", "0"), "host_memory_free_bytes", 0),
        (Metric("Time", "1790000000", unit="s"), "host_time_seconds", 1790000000.0),
        (Metric("HostName", "h & co"), "host_name", "h & co"),
        (Metric("HostName", "a;touch X\n$(id)"), "host_name", "a;touch X $(id)"),
        (vm("TotalCPUTime", "1795400156.8", "s"), "domain_cpu_time_seconds_total", 1795400156.8),
        (vm("TotalCPUTime", "1500", "ms"), "domain_cpu_time_seconds_total", 1.5),
        (vm("ResourceMemoryLimit", "1048576", "KiB"), "domain_memory_limit_bytes", 1 << 30),
        (vm("ResourceMemoryLimit", "1024"), "domain_memory_limit_bytes", 1 << 30),
        (vm("ResourceMemoryLimit", "1.5", "gib"), "domain_memory_limit_bytes", 3 << 29),
    ],
)
def test_what_a_host_tells_is_ours_by_another_name(metric: Metric, ours: str, value: object) -> None:
    assert {name: known for name, known in values.ours([metric]).items() if known is not None} == {ours: value}
    messages.Metrics(**{ours: value})  # type: ignore[arg-type] # and may be one of ours


@pytest.mark.parametrize(
    "metric",
    [
        *(
            Metric("NumCPUs", value)
            for value in (
                "",
                "-",
                "-1",
                "many",
                "0x10",
                "1_000",
                "٣",
                "nan",
                "inf",
                "1e999",
                "1 2",
                "9" * 30,
                "9" * 5000,
            )
        ),
        Metric("TotalPhyMem", "1", unit="parsec"),
        Metric("TotalPhyMem", "9223372036854775807"),
        Metric("Time", "7", unit="MiB"),
        Metric("HostName", ""),
        Metric("HostName", "h" * 256),
        Metric("HostName", "\x1b[2J"),
        Metric("TotalCPUTime", "1"),  # the host's, which is not the domain's
        vm("NumCPUs", "1"),
        Metric("FreeMem", "1"),
        Metric("host_cpus", "1"),
    ],
)
def test_what_cannot_be_read_or_is_something_else_is_unknown(metric: Metric) -> None:
    assert set(values.ours([metric]).values()) == {None}


def test_the_better_name_counts_and_the_next_where_it_cannot_be_read() -> None:
    assert values.ours([Metric("NumCPUs", "2"), Metric("NumberOfPhysicalCPUs", "4")])["host_cpus"] == 4
    assert values.ours([Metric("NumCPUs", "2"), Metric("NumberOfPhysicalCPUs", "?")])["host_cpus"] == 2
    assert values.ours([Metric("NumCPUs", "?"), Metric("NumCPUs", "2")])["host_cpus"] == 2


def test_our_values_in_the_words_of_saps_set() -> None:
    known = {
        "host_cpus": 4,
        "host_memory_total_bytes": (3 << 30) + 1,
        "host_load1": 0.5,
        "host_time_seconds": 1790000000.75,
        "domain_cpu_time_seconds_total": 1.25,
        "domain_memory_limit_bytes": 1 << 30,
        "host_name": None,
    }
    assert values.theirs(known) == [
        Metric("NumberOfPhysicalCPUs", "4", type="uint32"),
        Metric("TotalPhyMem", "3072", type="uint64"),
        Metric("Time", "1790000000", type="uint64"),
        Metric("TotalCPUTime", "1.250000", type="real64", context="vm"),
        Metric("ResourceMemoryLimit", "1024", type="uint64", context="vm"),
    ]


def test_what_is_not_told_in_seconds_or_mebibytes_comes_back_as_it_was() -> None:
    known = {"host_cpus": 4, "host_memory_free_bytes": 7 << 20, "host_time_seconds": 7.0, "host_name": "h"}
    back = values.ours(values.theirs(known))
    assert {name: value for name, value in back.items() if value is not None} == known


@pytest.mark.parametrize(
    ("place", "told", "uuid"),
    [
        ("class/dmi/id/product_uuid", UUID.upper() + "\n", UUID),
        ("firmware/devicetree/base/vm,uuid", UUID + "\0", UUID),
        ("hypervisor/uuid", UUID + "\n", UUID),
        ("class/dmi/id/product_uuid", "Not Settable\n", None),
        ("class/dmi/id/product_uuid", "", None),
        ("elsewhere/uuid", UUID, None),
    ],
)
def test_who_we_are_is_what_the_hypervisor_shows(machine: Machine, place: str, told: str, uuid: str | None) -> None:
    path = machine.sys / place
    path.parent.mkdir(parents=True)
    path.write_text(told)
    assert whose.uuid(str(machine.sys)) == uuid
