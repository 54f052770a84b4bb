"""The sets: which metrics there are, and what each is. The lists are what readers were written against."""

from dataclasses import replace
from typing import Any

import pytest

from hostd.model.domain import Domain
from hostd.model.host import Host, Topology
from hostd.model.stats import DomainStats
from hostd.vhostmd.sets import SETS, Machine, Row
from hostd.vhostmd.vendor import os_release, vendor_of
from protocol.vhostmd import TYPES
from tests.support.builders import facts, full_domain
from tests.support.hosts import CONNECTION_FACTS, HOST

Name = tuple[str, str]  # the context and the name

SAP = [
    ("host", "HostName", "string", ""),
    ("host", "Time", "uint64", ""),
    ("host", "VirtualizationVendor", "string", ""),
    ("host", "VirtProductInfo", "string", ""),
    ("host", "HostSystemInfo", "string", ""),
    ("host", "NumberOfPhysicalCPUs", "uint32", ""),
    ("host", "MemoryAllocatedToVirtualServers", "uint64", ""),
    ("host", "FreePhysicalMemory", "uint64", ""),
    ("host", "FreeVirtualMemory", "uint64", ""),
    ("host", "UsedVirtualMemory", "uint64", ""),
    ("host", "PagedInMemory", "uint64", ""),
    ("host", "PagedOutMemory", "uint64", ""),
    ("host", "TotalCPUTime", "real64", ""),
    ("vm", "TotalCPUTime", "real64", ""),
    ("vm", "ResourceProcessorLimit", "uint32", ""),
    ("vm", "ResourceMemoryLimit", "uint64", ""),
    ("vm", "PhysicalMemoryAllocatedToVirtualSystem", "uint64", ""),
]
KUBEVIRT = [
    ("host", "HostName", "string", ""),
    ("host", "HostSystemInfo", "string", ""),
    ("host", "VirtualizationVendor", "string", ""),
    ("host", "VirtProductInfo", "string", ""),
    ("vm", "TotalCPUTime", "real64", "s"),
    ("vm", "ResourceProcessorLimit", "uint64", ""),
    ("vm", "PhysicalMemoryAllocatedToVirtualSystem", "uint64", "KiB"),
    ("vm", "ResourceMemoryLimit", "uint64", "KiB"),
    ("host", "NumberOfPhysicalCPUs", "int64", ""),
    ("host", "TotalCPUTime", "real64", "s"),
    ("host", "FreePhysicalMemory", "uint64", "KiB"),
    ("host", "FreeVirtualMemory", "uint64", "KiB"),
    ("host", "MemoryAllocatedToVirtualServers", "uint64", "KiB"),
    ("host", "UsedVirtualMemory", "uint64", "KiB"),
    ("host", "PagedInMemory", "uint64", "KiB"),
    ("host", "PagedOutMemory", "uint64", "KiB"),
    ("host", "Time", "int64", "s"),
]
VHOSTMD = [
    ("host", "HostName", "string", ""),
    ("host", "VirtualizationVendor", "string", ""),
    ("host", "VirtualizationProductInfo", "string", ""),
    ("host", "TotalPhyCPUs", "uint32", ""),
    ("host", "NumCPUs", "uint32", ""),
    ("host", "TotalPhyMem", "uint64", "MiB"),
    ("host", "UsedMem", "uint64", ""),
    ("host", "FreeMem", "uint64", ""),
    ("host", "PagedInMemory", "uint64", ""),
    ("host", "PagedOutMemory", "uint64", ""),
    ("host", "PageFaultRate", "uint64", ""),  # before the other, which it follows in a document
    ("host", "PageInRate", "uint64", ""),
    ("host", "TotalCPUTime", "real64", "s"),
    ("vm", "TotalCPUTime", "real64", "s"),
]
LISTS = {"sap": SAP, "kubevirt": KUBEVIRT, "vhostmd": VHOSTMD, "none": []}

MACHINE = Machine(
    host=HOST,
    facts=CONNECTION_FACTS,
    now=1_700_000_110.75,
    host_name="host1.example",
    vendor="ACME",
    before=HOST.kernel
    and replace(
        HOST.kernel,
        read_at=HOST.kernel.read_at - 4.0,
        paged_in_bytes=(HOST.kernel.paged_in_bytes or 0) - (10 << 10),
        paged_out_bytes=(HOST.kernel.paged_out_bytes or 0) - (2 << 10),
    ),
)


def values(chosen: str, machine: Machine = MACHINE, domain: Domain | None = None) -> dict[Name, Any]:
    """What the set comes to."""
    subjects = {"host": machine, "vm": domain or full_domain()}
    return {(row.context, row.name): row.value(subjects[row.context]) for row in SETS[chosen]}


def without(**parts: Any) -> Machine:  # noqa: ANN401 - fields of Host
    return replace(MACHINE, host=replace(MACHINE.host, **parts))


@pytest.mark.parametrize("chosen", SETS)
def test_a_set_has_exactly_its_names_types_and_units(chosen: str) -> None:
    assert [(row.context, row.name, row.type, row.unit) for row in SETS[chosen]] == LISTS[chosen]


def test_what_sap_asks_for_are_17_in_either_form() -> None:
    assert len(SETS["sap"]) == len(SETS["kubevirt"]) == 17
    names = [{(row.context, row.name) for row in SETS[chosen]} for chosen in ("sap", "kubevirt")]
    assert names[0] == names[1]


@pytest.mark.parametrize("row", [row for rows in SETS.values() for row in rows], ids=lambda row: row.name)
def test_types_are_those_that_readers_know(row: Row) -> None:
    assert row.type in TYPES


def test_saps_memory_is_in_mib() -> None:
    assert values("sap") == {
        ("host", "HostName"): "host1.example",
        ("host", "Time"): 1_700_000_110,
        ("host", "VirtualizationVendor"): "ACME",
        ("host", "VirtProductInfo"): "QEMU 9.1.0",
        ("host", "HostSystemInfo"): "host1",
        ("host", "NumberOfPhysicalCPUs"): 16,
        ("host", "MemoryAllocatedToVirtualServers"): (64 - 48 - 1 - 8 - 2) << 10,
        ("host", "FreePhysicalMemory"): 48 << 10,
        ("host", "FreeVirtualMemory"): (48 + 5) << 10,
        ("host", "UsedVirtualMemory"): ((5 + 1) << 10) - 1,
        ("host", "PagedInMemory"): 70,
        ("host", "PagedOutMemory"): 150,
        ("host", "TotalCPUTime"): 131_868.25,
        ("vm", "TotalCPUTime"): 100.5,
        ("vm", "ResourceProcessorLimit"): 2,
        ("vm", "ResourceMemoryLimit"): 2 << 10,
        ("vm", "PhysicalMemoryAllocatedToVirtualSystem"): 1 << 10,
    }


def test_kubevirts_memory_is_in_kib_and_counted_as_it_counts() -> None:
    assert values("kubevirt") == {
        ("host", "HostName"): "host1.example",
        ("host", "HostSystemInfo"): "linux",
        ("host", "VirtualizationVendor"): "ACME",
        ("host", "VirtProductInfo"): "QEMU 7.2.0",
        ("vm", "TotalCPUTime"): 50.5,
        ("vm", "ResourceProcessorLimit"): 2,
        ("vm", "PhysicalMemoryAllocatedToVirtualSystem"): 1 << 20,
        ("vm", "ResourceMemoryLimit"): 2 << 20,
        ("host", "NumberOfPhysicalCPUs"): 2,
        ("host", "TotalCPUTime"): 131_868.25,
        ("host", "FreePhysicalMemory"): 48 << 20,
        ("host", "FreeVirtualMemory"): (53 << 20) + 4,
        ("host", "MemoryAllocatedToVirtualServers"): (64 - 48 - 1 - 8) << 20,
        ("host", "UsedVirtualMemory"): ((7 + 6) << 20) - (3 << 10),
        ("host", "PagedInMemory"): 70 << 10,
        ("host", "PagedOutMemory"): 150 << 10,
        ("host", "Time"): 1_700_000_110,
    }


def test_vhostmds_own_has_what_was_paged_and_how_fast() -> None:
    assert values("vhostmd") == {
        ("host", "HostName"): "host1.example",
        ("host", "VirtualizationVendor"): "ACME",
        ("host", "VirtualizationProductInfo"): "QEMU 7.2.0",
        ("host", "TotalPhyCPUs"): 16,
        ("host", "NumCPUs"): 16,
        ("host", "TotalPhyMem"): 64 << 10,
        ("host", "UsedMem"): 5 << 10,
        ("host", "FreeMem"): 56 << 10,
        ("host", "PagedInMemory"): 8_267_573,
        ("host", "PagedOutMemory"): 6_268_124,
        ("host", "PageFaultRate"): 0.5,
        ("host", "PageInRate"): 2.5,
        ("host", "TotalCPUTime"): 131_868.25,
        ("vm", "TotalCPUTime"): 100.5,
    }


def test_what_is_available_is_the_kernels_word_where_libvirt_does_not_tell() -> None:
    assert values("vhostmd", without(memory_available_bytes=None))["host", "FreeMem"] == 55 << 10


@pytest.mark.parametrize("chosen", SETS)
def test_of_a_host_and_a_domain_that_nothing_is_known_of_nothing_is_told_but_the_time(chosen: str) -> None:
    nothing = Machine(host=Host(), facts=None, now=5.0, host_name=None, vendor=None, before=None)
    stuck = Domain(facts=facts(memory_maximum_bytes=None, vcpus=None))
    told = {name: value for name, value in values(chosen, nothing, stuck).items() if value is not None}
    constants = {("host", "Time"): 5, ("host", "HostSystemInfo"): "linux"}
    assert told.items() <= constants.items()


@pytest.mark.parametrize("chosen", ["sap", "kubevirt"])
def test_one_number_that_is_not_known_leaves_out_what_is_made_of_it_and_no_more(chosen: str) -> None:
    whole = values(chosen)
    for part, made_of_it in (
        ("memory_free_bytes", {"Free", "FreeVirtual", "AllocatedTo", "UsedVirtual"}),
        ("memory_buffers_bytes", {"AllocatedTo", "UsedVirtual"}),
        ("kernel", {"FreeVirtual", "UsedVirtual", "PagedIn", "PagedOut", "TotalCPU", "AllocatedTo"}),
    ):
        told = values(chosen, without(**{part: None}))
        gone = {name for (_, name), value in told.items() if value is None}
        assert gone <= {name for _, name in whole if any(each in name for each in made_of_it)}
        assert gone
    assert values(chosen, without(topology=Topology(), cpus=None))["host", "NumberOfPhysicalCPUs"] is None


def test_the_limits_of_a_domain_that_does_not_answer_are_known() -> None:
    for stats in (None, DomainStats()):
        told = values("sap", domain=Domain(facts=facts(), stats=stats, is_responsive=False))
        assert told["vm", "ResourceProcessorLimit"] == 2
        assert told["vm", "ResourceMemoryLimit"] == 2 << 10
        assert told["vm", "TotalCPUTime"] is None
        assert told["vm", "PhysicalMemoryAllocatedToVirtualSystem"] is None
        assert values("kubevirt", domain=Domain(facts=facts(), stats=stats))["vm", "TotalCPUTime"] is None


def test_without_two_samples_in_time_there_is_no_rate() -> None:
    kernel = HOST.kernel
    assert kernel is not None
    for before in (None, kernel, replace(kernel, read_at=1.0, paged_in_bytes=None, paged_out_bytes=1 << 60)):
        told = values("vhostmd", replace(MACHINE, before=before))
        assert told["host", "PageInRate"] is None
        assert told["host", "PageFaultRate"] is None


@pytest.mark.parametrize(
    ("release", "vendor"),
    [
        ({"ID": "rhel", "NAME": "Red Hat Enterprise Linux"}, "Red Hat, Inc."),
        ({"ID": "fedora", "NAME": "Fedora Linux", "VENDOR_NAME": "Fedora"}, "Fedora Project"),
        ({"ID": "sles", "NAME": "SLES"}, "SUSE LLC <https://www.suse.com/>"),
        ({"ID": "debian", "NAME": "Debian GNU/Linux"}, "Debian GNU/Linux"),
        ({"ID": "own", "NAME": "Own OS", "VENDOR_NAME": "Own Inc."}, "Own Inc."),
        ({"ID": "own", "NAME": ""}, None),
        ({}, None),
    ],
)
def test_the_vendor_is_whom_the_systems_packages_name(release: dict[str, str], vendor: str | None) -> None:
    assert vendor_of(release) == vendor


def test_this_machines_system_has_a_name() -> None:
    assert vendor_of(os_release())
