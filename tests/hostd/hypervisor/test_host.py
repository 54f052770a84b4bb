"""The machine, as libvirt's test driver tells of it, and as a host does that has everything."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import libvirt
import pytest

from hostd import telemetry
from hostd.hypervisor import process
from hostd.hypervisor.host import CAPABILITIES_SECONDS, Machine
from hostd.hypervisor.support import Support
from hostd.model.host import Capabilities, Cpu, Ksm, NumaCell, Pages, Topology
from hostd.model.stats import Pressure
from tests.hostd.hypervisor.test_capabilities import KNOWN, QEMU

Binding: TypeAlias = Any  # libvirt's own has no types

PSI = "some avg10=0.10 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n"


def failing(code: int) -> Callable[..., None]:
    """A call of libvirt's that ends in that error."""

    def fail(*_: object) -> None:
        error = libvirt.libvirtError("no")
        error.err = (code, 0, "no", 0, "", "", "", 0, 0)
        raise error

    return fail


class QemuHost:
    """What libvirt's QEMU driver says of a host with two NUMA cells (recorded, then made to differ)."""

    def __init__(self) -> None:
        self.capabilities = QEMU
        self.asked: list[str] = []
        self.is_alive = True

    def isAlive(self) -> bool:  # noqa: N802 - the binding's
        return self.is_alive

    def getInfo(self) -> list[Any]:  # noqa: N802
        return ["x86_64", 64274, 3, 2445, 2, 1, 4, 2]

    def getCapabilities(self) -> str:  # noqa: N802
        self.asked.append("capabilities")
        return self.capabilities

    def getMemoryStats(self, _cell: int) -> dict[str, int]:  # noqa: N802
        return {"total": 65816636, "free": 19184576, "buffers": 6124, "cached": 441436, "available": 20000000}

    def getFreeMemory(self) -> int:  # noqa: N802
        return 7 << 30

    def getCPUMap(self) -> tuple[int, list[bool], int]:  # noqa: N802
        return 3, [True, False, True], 2

    def getCPUStats(self, number: int) -> dict[str, int]:  # noqa: N802
        return {"kernel": 419 * 10**9 + number, "user": 863 * 10**9, "idle": 4375 * 10**9, "iowait": 1450 * 10**6}

    def getCellsFreeMemory(self, start: int, most: int) -> list[int]:  # noqa: N802
        assert (start, most) in {(0, 1), (2, 1)}, "there is no cell 1"
        return [(start + 1) << 30]

    def getFreePages(self, sizes: list[int], start: int, most: int) -> dict[int, dict[int, int]]:  # noqa: N802
        assert (sizes, most) == ([4, 2048, 1048576], 1)
        return {start: {4: 940610 + start, 2048: 17, 1048576: 0}}

    def getMemoryParameters(self) -> dict[str, int]:  # noqa: N802
        return {
            "shm_pages_to_scan": 100,
            "shm_sleep_millisecs": 20,
            "shm_pages_shared": 1,
            "shm_pages_sharing": 2,
            "shm_pages_unshared": 3,
            "shm_pages_volatile": 4,
            "shm_full_scans": 5,
            "shm_merge_across_nodes": 1,
        }

    def getMaxVcpus(self, kind: str | None) -> int:  # noqa: N802
        return {"kvm": 710, None: 16}[kind]


class Clock:
    """Stands until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def qemu() -> QemuHost:
    return QemuHost()


@pytest.fixture
def connection() -> Iterator[Binding]:
    opened = libvirt.openReadOnly("test:///default")
    yield opened
    opened.close()


def machine_of(connection: Binding, *, is_this_machine: bool = False) -> Machine:
    machine = Machine(Support("west"), is_this_machine=is_this_machine)
    machine.read_capabilities(connection)
    return machine


def told(name: str, call: str) -> float | None:
    return telemetry.REGISTRY.get_sample_value(f"hostd_collector_{name}", {"connection": "west", "collector": call})


def test_a_host_that_has_everything_tells_everything(qemu: QemuHost) -> None:
    host = machine_of(qemu).sample(qemu)
    assert (host.cpus, host.cpus_present, host.vcpus_maximum) == (3, 3, 710)
    assert host.topology == Topology(
        numa_nodes=2, sockets_per_node=1, cores_per_socket=4, threads_per_core=2, frequency_hertz=2_445_000_000
    )
    first = Cpu(number=0, user_seconds=863.0, system_seconds=419.0, idle_seconds=4375.0, iowait_seconds=1.45)
    assert host.each_cpu == (
        first,
        Cpu(number=1, is_online=False),
        replace(first, number=2, system_seconds=419.000000002),
    )
    assert (host.memory_total_bytes, host.memory_free_bytes) == (65816636 << 10, 19184576 << 10)
    assert (host.memory_buffers_bytes, host.memory_cached_bytes) == (6124 << 10, 441436 << 10)
    assert host.memory_available_bytes == 20000000 << 10
    assert host.ksm == Ksm(
        pages_shared=1,
        pages_sharing=2,
        pages_unshared=3,
        pages_volatile=4,
        pages_to_scan=100,
        full_scans=5,
        sleep_seconds=0.02,
        is_across_nodes=True,
    )
    assert host.capabilities == KNOWN.capabilities


def test_what_is_free_is_told_of_each_cell_also_where_their_numbers_have_gaps(qemu: QemuHost) -> None:
    first, second = machine_of(qemu).sample(qemu).cells
    assert (first.number, first.total_bytes, first.free_bytes) == (0, 32797180 << 10, 1 << 30)
    assert (second.number, second.total_bytes, second.free_bytes) == (2, 33019456 << 10, 3 << 30)
    assert second.pages == (
        Pages(page_bytes=4 << 10, total=7206288, free=940612),
        Pages(page_bytes=2 << 20, total=0, free=17),
        Pages(page_bytes=1 << 30, total=4, free=0),
    )


def test_the_test_driver_tells_what_it_has_and_what_it_lacks_is_learnt_once(
    connection: Binding, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    machine = machine_of(connection)
    for _ in range(3):
        host = machine.sample(connection)
        assert (host.cpus, host.cpus_present, host.vcpus_maximum) == (16, 8, 32)
        assert (host.memory_total_bytes, host.memory_free_bytes, host.ksm) == (3 << 30, 3 << 20, None)
        assert [cpu.number for cpu in host.each_cpu if cpu.is_online] == [0, 2, 4]
        assert host.each_cpu[0].user_seconds == 9.7974
        assert [(cell.cpus, cell.total_bytes) for cell in host.cells] == [(8, 2 << 30), (8, 4 << 30)]
        assert host.capabilities == Capabilities(
            architecture="i686",
            has_iommu=False,
            can_migrate_live=False,
            security_models=("testSecurity",),
            domain_types=("test",),
        )
    assert [message.split(":")[1] for message in caplog.messages] == [" host_memory_stats", " host_ksm"]
    assert [told("unsupported", call) for call in ("host_memory_stats", "host_ksm")] == [1, 1]


CALLS = {
    "getMemoryStats": "host_memory_stats",
    "getCPUMap": "host_cpu_map",
    "getCPUStats": "host_cpu_stats",
    "getCellsFreeMemory": "host_numa_free",
    "getFreePages": "host_free_pages",
    "getMemoryParameters": "host_ksm",
    "getMaxVcpus": "host_max_vcpus",
}


@pytest.mark.parametrize("code", [libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INTERNAL_ERROR])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_is_not_there_or_fails_costs_its_own_numbers(
    qemu: QemuHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str, code: int
) -> None:
    caplog.set_level(logging.INFO)
    machine = machine_of(qemu)
    well = machine.sample(qemu)
    with monkeypatch.context() as patch:
        patch.setattr(qemu, call, failing(code))
        for _ in range(3):
            ill = machine.sample(qemu)
    differing = {name for name in type(well).__slots__ if getattr(well, name) != getattr(ill, name)}
    assert (
        differing
        == {
            "getMemoryStats": {f"memory_{what}_bytes" for what in ("free", "available", "buffers", "cached", "total")},
            "getCPUMap": {"cpus_present", "each_cpu"},
            "getCPUStats": {"each_cpu"},
            "getCellsFreeMemory": {"cells"},
            "getFreePages": {"cells"},
            "getMemoryParameters": {"ksm"},
            "getMaxVcpus": {"vcpus_maximum"},
        }[call]
    )
    assert [message.split(":")[1] for message in caplog.messages] == [f" {CALLS[call]}"]
    assert told("success", CALLS[call]) == 0
    is_learnt = code == libvirt.VIR_ERR_NO_SUPPORT
    assert (machine.sample(qemu) == well) is not is_learnt
    assert told("success", CALLS[call]) == (0 if is_learnt else 1)


def test_without_their_times_it_is_still_known_which_cpus_are_online(
    qemu: QemuHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu, "getCPUStats", failing(libvirt.VIR_ERR_NO_SUPPORT))
    assert [cpu.is_online for cpu in machine_of(qemu).sample(qemu).each_cpu] == [True, False, True]


def test_a_connection_that_breaks_ends_the_sample(qemu: QemuHost, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = machine_of(qemu)
    qemu.is_alive = False
    monkeypatch.setattr(qemu, "getMemoryParameters", failing(libvirt.VIR_ERR_RPC))
    with pytest.raises(libvirt.libvirtError):
        machine.sample(qemu)


def test_a_driver_without_memory_statistics_still_tells_what_is_free(
    qemu: QemuHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu, "getMemoryStats", failing(libvirt.VIR_ERR_NO_SUPPORT))
    host = machine_of(qemu).sample(qemu)
    assert (host.memory_total_bytes, host.memory_free_bytes) == (64274 << 20, 7 << 30)
    monkeypatch.setattr(qemu, "getFreeMemory", failing(libvirt.VIR_ERR_NO_SUPPORT))
    assert machine_of(qemu).sample(qemu).memory_free_bytes is None


def test_capabilities_are_read_once_a_connection_and_again_after_ten_minutes(qemu: QemuHost) -> None:
    clock = Clock()
    machine = Machine(Support(""), is_this_machine=False, clock=clock)
    assert machine.wants_capabilities
    machine.read_capabilities(qemu)
    clock.now += CAPABILITIES_SECONDS - 1
    assert not machine.wants_capabilities
    clock.now += 1
    assert machine.wants_capabilities
    machine.read_capabilities(qemu)
    assert not machine.wants_capabilities
    machine.forget()
    assert machine.wants_capabilities


def test_of_a_host_whose_capabilities_are_not_known_the_rest_is(qemu: QemuHost) -> None:
    host = Machine(Support(""), is_this_machine=False).sample(qemu)
    assert (host.cells, host.capabilities) == ((), Capabilities(architecture="x86_64"))
    assert host.ksm is not None


def test_capabilities_that_cannot_be_read_leave_those_that_were_known(
    qemu: QemuHost, caplog: pytest.LogCaptureFixture
) -> None:
    machine = machine_of(qemu)
    qemu.capabilities = "<capabilities"
    machine.read_capabilities(qemu)
    assert machine.sample(qemu).capabilities == KNOWN.capabilities
    assert caplog.messages[0].startswith("capabilities: ")


def test_a_driver_without_capabilities_is_asked_no_more(qemu: QemuHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "getCapabilities", failing(libvirt.VIR_ERR_NO_SUPPORT))
    machine = machine_of(qemu)
    assert not machine.wants_capabilities
    assert machine.sample(qemu).cells == ()


@pytest.mark.parametrize(("kinds", "expected"), [(("kvm", "qemu"), 710), (("qemu",), None), (("xen",), 16)])
def test_the_most_vcpus_are_kvms_or_the_drivers_own_but_not_what_qemu_makes_up(
    qemu: QemuHost, kinds: tuple[str, ...], expected: int | None
) -> None:
    domains = "".join(f"<domain type='{kind}'/>" for kind in kinds)
    qemu.capabilities = f"<capabilities><guest><arch>{domains}</arch></guest></capabilities>"
    assert machine_of(qemu).sample(qemu).vcpus_maximum == expected


def test_a_frequency_of_0_is_not_known(qemu: QemuHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "getInfo", lambda: ["aarch64", 1, 1, 0, 1, 1, 1, 1])
    assert machine_of(qemu).sample(qemu).topology.frequency_hertz is None


@pytest.mark.parametrize("parameters", [{}, {"shm_full_scans": 3}])
def test_a_kernel_that_tells_less_of_its_merging_of_pages_tells_no_0(
    qemu: QemuHost, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, int]
) -> None:
    monkeypatch.setattr(qemu, "getMemoryParameters", lambda: parameters)
    assert machine_of(qemu).sample(qemu).ksm == (Ksm(full_scans=3) if parameters else None)


@pytest.mark.parametrize("is_this_machine", [True, False])
def test_load_and_what_the_kernel_counts_are_told_of_this_machine_alone(
    qemu: QemuHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_this_machine: bool
) -> None:
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "io").write_text(PSI)
    monkeypatch.setattr(process, "PROC", tmp_path)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.25, 0.125))
    host = machine_of(qemu, is_this_machine=is_this_machine).sample(qemu)
    assert (host.load1, host.load5, host.load15) == ((0.5, 0.25, 0.125) if is_this_machine else (None, None, None))
    expected = (Pressure(resource="io", waiting_seconds=2.5, stalled_seconds=0.5),)
    assert host.pressures == (expected if is_this_machine else ())
    assert (host.kernel is not None) == is_this_machine


def test_cells_that_have_no_pages_are_not_asked_for_any(qemu: QemuHost, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu.capabilities = "<c><host><topology><cells><cell id='0'/></cells></topology></host></c>"
    monkeypatch.setattr(qemu, "getFreePages", failing(libvirt.VIR_ERR_INVALID_ARG))
    assert machine_of(qemu).sample(qemu).cells == (NumaCell(number=0, free_bytes=1 << 30),)
