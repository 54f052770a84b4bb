"""Domains asked for their numbers over libvirt's test driver: whom, for which groups, and when not."""

import asyncio
import logging
import threading

import libvirt
import pytest

from hostd.hypervisor import (
    Answer,
    CallFailed,
    NoSuchDomain,
    TimedOut,
)
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.hypervisor.selection import ALL_DEVICES, Devices, Selection
from hostd.model.kvm import KvmStat, RareStats, VcpuPlace
from hostd.model.stats import Control, ControlState, DomainState, DomainStats, Survey
from hostd.settings import SamplingSettings
from tests.support.running import until
from tests.support.testdriver import (
    DEADLINE,
    DEFAULT_UUID,
    Binding,
    adapter_of,
    ignore,
    numbers_of,
    refusing,
    unsupported,
)


async def test_where_the_bulk_call_knows_states_alone_the_domain_is_asked_call_by_call(
    hypervisor: LibvirtAdapter,
) -> None:
    assert await hypervisor.survey() == {DEFAULT_UUID: Survey(state=DomainState.RUNNING, reason="unknown")}
    stats = (await numbers_of(hypervisor))[DEFAULT_UUID]
    assert stats.cpu.time_seconds is not None
    assert stats.cpu.user_seconds is not None
    assert (stats.balloon.current_bytes, stats.balloon.maximum_bytes) == (2 << 30, 8 << 30)
    assert (stats.vcpus_current, [vcpu.state for vcpu in stats.vcpus]) == (2, ["running", "running"])
    assert [interface.name for interface in stats.interfaces] == ["testnet0"]
    assert [block.device for block in stats.blocks] == ["vda"]
    assert stats.blocks[0].read_bytes is not None


async def test_every_active_domain_is_surveyed_and_can_be_asked(several: LibvirtAdapter) -> None:
    assert set(await numbers_of(several)) == {facts.uuid for facts in await several.list_domains()}


async def test_a_driver_without_a_bulk_call_tells_the_same(
    several: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = await numbers_of(several)
    for owner, call in ((libvirt.virConnect, "getAllDomainStats"), (libvirt.virConnect, "domainListGetStats")):
        monkeypatch.setattr(owner, call, refusing(libvirt.VIR_ERR_NO_SUPPORT))
    for _ in range(3):
        after = await numbers_of(several)
        assert {uuid: stats.vcpus_current for uuid, stats in after.items()} == {
            uuid: stats.vcpus_current for uuid, stats in before.items()
        }
    assert [message for message in caplog.messages if "bulk_stats" in message] == [
        "bulk_stats: not with this driver: no"
    ]
    assert unsupported("bulk_stats") == (0, 1)


async def test_each_call_that_a_driver_does_not_have_costs_its_own_numbers(
    several: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in ("vcpus", "memoryStats", "getCPUStats", "controlInfo"):
        monkeypatch.setattr(libvirt.virDomain, call, refusing(libvirt.VIR_ERR_NO_SUPPORT))
    for stats in (await numbers_of(several)).values():
        assert stats.cpu.time_seconds is not None
        assert (stats.vcpus, stats.balloon.rss_bytes) == ((), None)
    assert [unsupported(name) for name in ("vcpus", "memory_stats", "cpu_stats", "control_info")] == [(0, 1)] * 4


async def test_a_device_that_cannot_be_asked_costs_only_itself(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "blockStats", refusing(libvirt.VIR_ERR_INVALID_ARG))
    stats = (await numbers_of(hypervisor))[DEFAULT_UUID]
    assert stats.blocks == ()
    assert len(stats.interfaces) == 1


async def test_a_domain_that_may_not_be_entered_tells_its_control_state_alone(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "controlInfo", lambda _: [libvirt.VIR_DOMAIN_CONTROL_JOB, 0, 2500])
    control = Control(state=ControlState.JOB, seconds=2.5)
    answer = await hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=False)
    assert answer == Answer(stats=None, control=control)


async def test_a_domain_that_stops_while_it_is_asked_is_not_there_to_be_asked(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "controlInfo", refusing(libvirt.VIR_ERR_OPERATION_INVALID))
    with pytest.raises(CallFailed):  # it runs, and so that is trouble
        await hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True)
    monkeypatch.setattr(libvirt.virDomain, "isActive", lambda _: 0)
    with pytest.raises(NoSuchDomain, match="stopped meanwhile"):
        await hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True)


@pytest.mark.parametrize(
    ("state", "milliseconds", "is_left_alone"),
    [
        (libvirt.VIR_DOMAIN_CONTROL_OK, 10**6, False),
        (libvirt.VIR_DOMAIN_CONTROL_JOB, 10**6, False),
        (libvirt.VIR_DOMAIN_CONTROL_OCCUPIED, 10, False),
        (libvirt.VIR_DOMAIN_CONTROL_OCCUPIED, 1000, True),
        (libvirt.VIR_DOMAIN_CONTROL_ERROR, 0, True),
        (77, 0, True),
    ],
)
async def test_a_monitor_that_is_occupied_for_long_or_broken_is_left_alone(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch, state: int, milliseconds: int, *, is_left_alone: bool
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "controlInfo", lambda _: [state, 0, milliseconds])
    answer = await hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True)
    assert (answer.stats is None) == is_left_alone
    assert answer.control is not None


async def test_when_somebody_else_is_at_the_monitor_nothing_waits_for_it(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[int] = []

    def nothing(_self: object, _domains: object, _groups: int, flag: int) -> list[Binding]:
        flags.append(flag)
        return []

    monkeypatch.setattr(libvirt.virDomain, "controlInfo", lambda _: [libvirt.VIR_DOMAIN_CONTROL_JOB, 0, 10])
    monkeypatch.setattr(libvirt.virConnect, "domainListGetStats", nothing)
    with pytest.raises(NoSuchDomain):
        await hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True)
    assert flags == [
        libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    ]


async def test_a_domain_that_is_stuck_is_not_asked_again_before_it_returned_but_still_looked_at(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, calls = threading.Event(), 0
    bulk = libvirt.virConnect.domainListGetStats

    def stuck(*arguments: Binding) -> Binding:
        nonlocal calls
        calls += 1
        go_on.wait(DEADLINE)
        return bulk(*arguments)

    monkeypatch.setattr(libvirt.virConnect, "domainListGetStats", stuck)
    try:
        with pytest.raises(TimedOut, match="is stuck"):
            await hypervisor.ask(DEFAULT_UUID, deadline_seconds=0.05, may_enter=True)
        for _ in range(5):
            answer = await hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True)
            assert (answer.stats, answer.control) == (None, Control(state=ControlState.OK))
        assert calls == 1
    finally:
        go_on.set()

    async def has_answered() -> bool:
        return (await hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True)).stats is not None

    await until(has_answered)


async def test_domains_are_asked_several_at_once(hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(4)
    monkeypatch.setattr(
        libvirt.virDomain, "controlInfo", lambda _: (together.wait(DEADLINE), [libvirt.VIR_DOMAIN_CONTROL_OK, 0, 0])[1]
    )
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True))


class Bulk:
    """Bulk calls that are noted and answered with what a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, params: dict[str, object]) -> None:
        self.asked: list[int] = []
        self.surveyed: list[int] = []
        self.params = params
        monkeypatch.setattr(libvirt.virConnect, "domainListGetStats", self._answer)
        monkeypatch.setattr(libvirt.virConnect, "getAllDomainStats", self._survey)

    def _answer(self, domains: list[Binding], groups: int, _flags: int) -> list[tuple[Binding, dict[str, object]]]:
        self.asked.append(groups)
        return [(domain, self.params) for domain in domains]

    def _survey(self, groups: int, _flags: int) -> list[Binding]:
        self.surveyed.append(groups)
        return []


def bits(*names: str) -> int:
    found = libvirt.VIR_DOMAIN_STATS_STATE
    for name in names:
        found |= getattr(libvirt, f"VIR_DOMAIN_STATS_{name}")
    return int(found)


async def asking(sampling: SamplingSettings, devices: Devices = ALL_DEVICES) -> DomainStats:
    """What comes of a survey, a question, and one for all there is."""
    subject = adapter_of("test:///default", sampling=sampling, devices=devices)
    await subject.connect(ignore)
    await subject.survey()
    await subject.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True)
    answer = await subject.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True, is_rare=True)
    await subject.close()
    assert answer.stats is not None
    return answer.stats


async def test_groups_are_asked_for_where_they_cost_least(monkeypatch: pytest.MonkeyPatch) -> None:
    bulk = Bulk(monkeypatch, {"cpu.time": 1})
    await asking(SamplingSettings())
    assert bulk.surveyed == [bits("INTERFACE", "PERF", "MEMORY")]
    numbers = bits("CPU_TOTAL", "BALLOON", "VCPU", "BLOCK")
    assert bulk.asked == [numbers, numbers | bits("IOTHREAD", "DIRTYRATE", "VM")]


async def test_a_group_that_is_switched_off_is_not_asked_for_and_no_call_asks_for_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Libvirt takes no group at all for all of them."""
    bulk = Bulk(monkeypatch, {"cpu.time": 1})
    await asking(SamplingSettings(groups=("block", "vm")))
    assert (bulk.surveyed, bulk.asked) == ([bits()], [bits("BLOCK"), bits("BLOCK", "VM")])
    bulk = Bulk(monkeypatch, {"state.state": 1})
    assert await asking(SamplingSettings(groups=())) == DomainStats()
    assert (bulk.surveyed, bulk.asked) == ([bits()], [bits(), bits()])


async def test_a_group_that_this_library_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    bulk = Bulk(monkeypatch, {"cpu.time": 1})
    for name in ("VM", "DIRTYRATE", "MEMORY"):
        monkeypatch.delattr(libvirt, f"VIR_DOMAIN_STATS_{name}")
    await asking(SamplingSettings(groups=("memory", "dirtyrate", "vm", "iothread")))
    assert (bulk.surveyed, bulk.asked) == ([bits()], [bits(), bits("IOTHREAD")])


async def test_of_kvms_own_statistics_those_are_taken_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    Bulk(monkeypatch, {"vm.pages_4k.cur": 5, "vm.pages_2m.cur": 6, "iothread.count": 0})
    stats = await asking(SamplingSettings(kvm_stats=("pages_2m", "exits")))
    assert stats.rare == RareStats(kvm=(KvmStat(name="pages_2m", current=6),))


async def test_where_virtual_cpus_are_is_asked_with_what_is_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bulk call does not tell it."""
    looks: list[Binding] = []

    def vcpus(domain: Binding) -> tuple[list[tuple[int, int, int, int]], list[tuple[bool, ...]]]:
        looks.append(domain)
        return [(0, 1, 5, 6), (1, 1, 5, -1), (3, 1, 5, 0)], []

    Bulk(monkeypatch, {"cpu.time": 1, "vcpu.maximum": 4})
    monkeypatch.setattr(libvirt.virDomain, "vcpus", vcpus)
    stats = await asking(SamplingSettings())
    assert stats.rare == RareStats(vcpu_places=(VcpuPlace(number=0, cpu=6), VcpuPlace(number=3, cpu=0)))
    assert len(looks) == 1
    await asking(SamplingSettings(groups=("block",)))
    assert len(looks) == 1


@pytest.mark.parametrize("code", [libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_INVALID])
async def test_a_domain_that_cannot_say_where_its_virtual_cpus_are_says_the_rest(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    Bulk(monkeypatch, {"cpu.time": 2_000_000_000, "iothread.count": 0})
    monkeypatch.setattr(libvirt.virDomain, "vcpus", refusing(code))
    stats = await asking(SamplingSettings())
    assert (stats.cpu.time_seconds, stats.rare) == (2, RareStats())


async def test_the_test_drivers_virtual_cpus_are_each_on_a_cpu(hypervisor: LibvirtAdapter) -> None:
    rare = (await numbers_of(hypervisor))[DEFAULT_UUID].rare
    assert rare is not None
    assert [place.number for place in rare.vcpu_places] == [0, 1]


async def test_a_group_of_devices_that_are_all_left_out_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bulk = Bulk(monkeypatch, {"cpu.time": 1})
    nothing = Selection(exclude=("vd*", "*"))
    await asking(SamplingSettings(groups=("cpu_total", "block", "interface")), Devices(disks=nothing))
    assert (bulk.surveyed, set(bulk.asked)) == ([bits("INTERFACE")], {bits("CPU_TOTAL")})
    bulk = Bulk(monkeypatch, {"cpu.time": 1})
    await asking(SamplingSettings(groups=("cpu_total", "block", "interface")), Devices(interfaces=nothing))
    assert (bulk.surveyed, set(bulk.asked)) == ([bits()], {bits("CPU_TOTAL", "BLOCK")})


@pytest.mark.parametrize(
    ("group", "known"),
    [
        ("cpu_total", {"cpu"}),
        ("balloon", {"balloon"}),
        ("vcpu", {"vcpus", "vcpus_current", "vcpus_maximum", "rare"}),
        ("interface", {"interfaces"}),
        ("block", {"blocks"}),
        ("perf", set()),
    ],
)
async def test_a_driver_that_is_asked_call_by_call_is_asked_for_the_wanted_groups_only(
    group: str, known: set[str]
) -> None:
    stats = await asking(SamplingSettings(groups=(group,)))
    bare = DomainStats()
    fields = DomainStats.__dataclass_fields__
    assert {name for name in fields if getattr(stats, name) != getattr(bare, name)} == known
