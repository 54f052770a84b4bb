"""Which devices are looked at, over libvirt's own test driver: one that is left out is nowhere, and moves no other."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import libvirt
import pytest

from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.hypervisor.decode import domain_stats, survey
from hostd.hypervisor.progress import disk_errors
from hostd.hypervisor.selection import ALL_DEVICES, Devices, Selection
from hostd.model.block import IoTune
from hostd.model.details import DiskError
from hostd.settings import SamplingSettings
from tests.support.testdriver import DEADLINE, DEFAULT_UUID, adapter_of, ignore

Binding: TypeAlias = Any  # libvirt's own has no types

UUID = "11111111-1111-4111-8111-111111111111"
DISK = "<disk type='file' device='{}'><source file='/{}'/><target dev='{}' bus='{}'/></disk>"
NODE = f"""<node><domain type='test'><name>alpha</name><uuid>{UUID}</uuid>
  <memory unit='MiB'>512</memory><os><type>hvm</type></os><devices>
    {DISK.format("cdrom", "c", "hda", "ide")}{DISK.format("disk", "a", "vda", "virtio")}
    {DISK.format("disk", "b", "vdb", "virtio")}
    <interface type='bridge'><source bridge='br0'/><target dev='service0'/></interface>
    <interface type='user'/>
    <interface type='bridge'><source bridge='br1'/><target dev='tap1'/></interface>
  </devices></domain></node>"""
WANTED = Devices(disks=Selection(exclude=("hd*",)), interfaces=Selection(exclude=("service*",)))

PARAMS = {  # as QEMU tells of the same domain
    "state.state": 1,
    "block.count": 3,
    "block.0.name": "hda",
    "block.1.name": "vda",
    "block.1.rd.bytes": 7,
    "block.2.name": "vdb",
    "net.count": 3,
    "net.0.name": "service0",
    "net.1.rx.bytes": 5,
    "net.2.name": "tap1",
}


@pytest.mark.parametrize(
    ("include", "exclude", "looked_at"),
    [
        ((), (), {"vda", "vdb", "hdc", "#0"}),
        (("vd*",), (), {"vda", "vdb"}),
        (("vd*", "h??"), ("*b",), {"vda", "hdc"}),
        ((), ("vd[!a]", "#*"), {"vda", "hdc"}),
        (("VDA",), (), set()),
        (("*",), ("*",), set()),
    ],
)
def test_names_are_chosen_by_shell_patterns(
    include: tuple[str, ...], exclude: tuple[str, ...], looked_at: set[str]
) -> None:
    chosen = Selection(include=include, exclude=exclude)
    assert {name for name in ("vda", "vdb", "hdc", "#0") if chosen.has(name)} == looked_at
    assert chosen.is_all == (not include and not exclude)
    assert chosen.is_none == ("*" in exclude)


def test_of_libvirts_statistics_the_devices_keep_their_places() -> None:
    for stats in (domain_stats(PARAMS, devices=WANTED), survey(PARAMS, devices=WANTED)):
        assert [(interface.device, interface.receive_bytes) for interface in stats.interfaces] == [
            ("#1", 5),
            ("tap1", None),
        ]
    assert [(block.device, block.read_bytes) for block in domain_stats(PARAMS, devices=WANTED).blocks] == [
        ("vda", 7),
        ("vdb", None),
    ]
    nameless = Devices(interfaces=Selection(exclude=("#1",)))
    assert [each.device for each in survey(PARAMS, devices=nameless).interfaces] == ["service0", "tap1"]


def test_an_error_of_a_disk_that_is_left_out_is_not_told() -> None:
    assert disk_errors({"hda": 2, "vda": 1}, WANTED.disks) == (DiskError(device="vda", error="unspecified"),)


@asynccontextmanager
async def connected(folder: Path, devices: Devices) -> Any:  # noqa: ANN401 - an iterator of adapters
    node = folder / "node.xml"
    node.write_text(NODE)
    subject = adapter_of(f"test://{node}", sampling=SamplingSettings(), devices=devices)
    await subject.connect(ignore)
    try:
        yield subject
    finally:
        await subject.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices that libvirt is asked about, one by one."""
    devices: list[str] = []

    def noting(call: str) -> Callable[[Binding, str], Binding]:
        original = getattr(libvirt.virDomain, call)

        def note(domain: Binding, device: str) -> Binding:
            devices.append(device)
            return original(domain, device)

        return note

    for call in ("blockStats", "interfaceStats"):
        monkeypatch.setattr(libvirt.virDomain, call, noting(call))
    return devices


async def test_one_that_is_left_out_is_no_fact_and_has_no_numbers_and_is_not_asked_for(
    tmp_path: Path, asked: list[str]
) -> None:
    async with connected(tmp_path, WANTED) as hypervisor:
        (facts,) = await hypervisor.list_domains()
        answer = await hypervisor.ask(UUID, deadline_seconds=DEADLINE, may_enter=True)
    assert [disk.device for disk in facts.hardware.disks] == ["vda", "vdb"]
    assert [interface.device for interface in facts.hardware.interfaces] == ["testnet0", "tap1"]
    assert [block.device for block in answer.stats.blocks] == ["vda", "vdb"]
    assert [interface.device for interface in answer.stats.interfaces] == ["testnet0", "tap1"]
    assert sorted(asked) == ["tap1", "testnet0", "vda", "vdb"]


async def test_without_patterns_all_are_there(tmp_path: Path, asked: list[str]) -> None:
    async with connected(tmp_path, ALL_DEVICES) as hypervisor:
        (facts,) = await hypervisor.list_domains()
        await hypervisor.ask(UUID, deadline_seconds=DEADLINE, may_enter=True)
    assert len(facts.hardware.disks) == len(facts.hardware.interfaces) == 3
    assert set(asked) == {"hda", "vda", "vdb", "service0", "testnet0", "tap1"}


async def test_disks_that_are_all_left_out_are_not_asked_for_errors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "diskErrors", lambda _: {"vda": 1})
    async with connected(tmp_path, Devices(disks=Selection(exclude=("*",)))) as hypervisor:
        details = await hypervisor.ask_details(UUID, deadline_seconds=DEADLINE)
    assert details.disk_errors is None


async def test_a_limit_that_somebody_sets_while_a_domain_runs_is_in_its_facts(
    hypervisor: LibvirtAdapter, operator: Binding
) -> None:
    domain = operator.lookupByUUIDString(DEFAULT_UUID)
    domain.setBlockIoTune("vda", {"write_bytes_sec": 4096, "write_bytes_sec_max": 8192})
    (disk,) = (await hypervisor.describe(DEFAULT_UUID)).hardware.disks
    assert disk.iotune == IoTune(
        write_bytes_per_second=4096, write_burst_bytes_per_second=8192, write_burst_bytes_seconds=1
    )
    domain.setBlockIoTune("vda", {"write_bytes_sec": 0, "write_bytes_sec_max": 0})
    (disk,) = (await hypervisor.describe(DEFAULT_UUID)).hardware.disks
    assert disk.iotune is None
