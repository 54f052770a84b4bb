"""The adapter over libvirt's own test driver: real libvirt, real events, no daemon."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import libvirt
import msgspec
import pytest

from hostd import telemetry
from hostd.config import ConnectionSettings, SamplingSettings, StorageSettings
from hostd.hypervisor import (
    Answer,
    CallFailed,
    ClosedNotice,
    DomainNotice,
    NoSuchDomain,
    NoSuchPool,
    Notice,
    TimedOut,
    Unavailable,
    WrongUri,
    events,
    link,
)
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.model.devices import Disk, Hardware, Interface
from hostd.model.domain import DomainFacts
from hostd.model.kvm import KvmStat, RareStats
from hostd.model.objects import Countable, Network
from hostd.model.stats import Control, ControlState, DomainState, DomainStats, Survey
from hostd.model.storage import PoolState
from tests.support.builders import NO_DEVICES
from tests.support.running import until

Binding: TypeAlias = Any  # libvirt's own has no types

DEADLINE = 60.0
NAME = "io.virtwire.agent.0"
DEFAULT_UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"

NODE = """<node>
  <domain type='test'><name>alpha</name><uuid>11111111-1111-4111-8111-111111111111</uuid>
    <memory unit='MiB'>512</memory><vcpu>2</vcpu><os><type>hvm</type></os>
    <devices><channel type='unix'><source mode='bind' path='/run/alpha.sock'/>
      <target type='virtio' name='io.virtwire.agent.0' state='connected'/></channel></devices>
  </domain>
  <domain type='test'><name>beta "β" &amp; co</name><uuid>22222222-2222-4222-8222-222222222222</uuid>
    <memory unit='KiB'>1024</memory><os><type>hvm</type></os></domain>
</node>
"""


def adapter_of(
    uri: str, storage: StorageSettings | None = None, sampling: SamplingSettings | None = None
) -> LibvirtAdapter:
    settings = ConnectionSettings(uri=uri, deadline_seconds=DEADLINE)
    return LibvirtAdapter(
        settings, channel_name=NAME, sampling=sampling or SamplingSettings(), storage=storage or StorageSettings()
    )


async def numbers_of(hypervisor: LibvirtAdapter) -> dict[str, DomainStats]:
    """All active domains' numbers, one asked after the other."""
    answers = {
        uuid: await hypervisor.ask(uuid, deadline_seconds=DEADLINE, may_enter=True)
        for uuid in await hypervisor.survey()
    }
    return {uuid: answer.stats for uuid, answer in answers.items() if answer.stats is not None}


def refusing(code: int) -> Callable[..., None]:
    """A call of libvirt's that ends in that error."""

    def refuse(*_: object) -> None:
        error = libvirt.libvirtError("no")
        error.err = (code, 0, "no", 0, "", "", "", 0, 0)
        raise error

    return refuse


def unsupported(call: str) -> tuple[float | None, ...]:
    """What is told of a call that the driver does not have."""
    labels = {"connection": "", "collector": call}
    names = ("hostd_collector_success", "hostd_collector_unsupported")
    return tuple(telemetry.REGISTRY.get_sample_value(name, labels) for name in names)


def ignore(_notice: Notice) -> None:
    return


@pytest.fixture
async def hypervisor() -> AsyncIterator[LibvirtAdapter]:
    default = adapter_of("test:///default")
    await default.connect(ignore)
    yield default
    await default.close()


@pytest.fixture
async def several(tmp_path: Path) -> AsyncIterator[LibvirtAdapter]:
    node = tmp_path / "node.xml"
    node.write_text(NODE)
    from_file = adapter_of(f"test://{node}")
    await from_file.connect(ignore)
    yield from_file
    await from_file.close()


@pytest.fixture
def operator() -> Iterator[Binding]:
    """Somebody else who works on the same domains; the test driver shares its default ones within a process."""
    events.start()
    connection = libvirt.open("test:///default")
    yield connection
    with suppress(libvirt.libvirtError):  # a test may have closed it
        connection.close()


async def test_connecting_tells_what_was_reached() -> None:
    default = adapter_of("test:///default")
    facts = await default.connect(ignore)
    assert facts.driver == "TEST"
    assert facts.libvirt_version == link.dotted(libvirt.getVersion())
    assert (facts.hypervisor_version, facts.hostname) == ("0.0.2", socket.gethostname())
    await default.close()


async def test_the_default_domain_is_listed(hypervisor: LibvirtAdapter) -> None:
    assert await hypervisor.list_domains() == (
        DomainFacts(
            uuid=DEFAULT_UUID,
            name="test",
            id=1,
            state=DomainState.RUNNING,
            reason="unknown",
            is_persistent=True,
            os_type="hvm",
            architecture="i686",
            memory_maximum_bytes=8 << 30,
            hardware=Hardware(
                disks=(
                    Disk(
                        device="vda",
                        kind="disk",
                        bus="virtio",
                        source_type="file",
                        source_file="/guest/diskimage1",
                    ),
                ),
                interfaces=(
                    Interface(
                        index=0,
                        name="testnet0",
                        kind="network",
                        mac_address="aa:bb:cc:dd:ee:ff",
                        source_network="default",
                    ),
                ),
                devices={**NO_DEVICES, "memballoon": 1},
                balloon_period_seconds=0,
            ),
        ),
    )


async def test_several_domains_are_listed_each_with_its_channel(several: LibvirtAdapter) -> None:
    listed = {facts.name: facts for facts in await several.list_domains()}
    assert set(listed) == {"alpha", 'beta "β" & co'}
    assert listed["alpha"].memory_maximum_bytes == 512 << 20
    found = listed["alpha"].channel
    assert found is not None
    assert found.path == "/run/alpha.sock"
    assert listed['beta "β" & co'].channel is None


async def test_a_domain_is_described_as_it_is_listed(several: LibvirtAdapter) -> None:
    for facts in await several.list_domains():
        assert await several.describe(facts.uuid) == facts


async def test_a_domain_that_is_not_there_is_no_such_domain(hypervisor: LibvirtAdapter) -> None:
    with pytest.raises(NoSuchDomain, match=r"^describe: "):
        await hypervisor.describe("00000000-0000-4000-8000-000000000000")


async def test_a_domain_that_is_not_running_has_no_id_and_no_channel(
    hypervisor: LibvirtAdapter, operator: Binding
) -> None:
    domain = operator.lookupByName("test")
    domain.destroy()
    facts = await hypervisor.describe(DEFAULT_UUID)
    assert (facts.id, facts.state, facts.reason) == (None, DomainState.SHUTOFF, "destroyed")
    assert await hypervisor.survey() == {}
    domain.create()


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


async def test_pools_are_listed_and_sampled(hypervisor: LibvirtAdapter) -> None:
    ((uuid, name),) = (await hypervisor.list_pools()).items()
    pool = await hypervisor.sample_pool(uuid)
    assert (pool.uuid, pool.name, name) == (uuid, "default-pool", "default-pool")
    assert (pool.state, pool.capacity_bytes, pool.volume_count) == (PoolState.RUNNING, 100 << 30, 0)
    assert pool.is_responsive


async def test_volumes_are_looked_at_only_where_that_is_wanted(operator: Binding) -> None:
    pool = operator.storagePoolLookupByName("default-pool")
    for name in ("b", "a", "c"):
        pool.createXML(f"<volume><name>{name}</name><capacity unit='MiB'>3</capacity></volume>")
    for storage, names in (
        (StorageSettings(), []),
        (StorageSettings(volumes=True), ["a", "b", "c"]),
        (StorageSettings(volumes=True, max_volumes_per_pool=2), ["a", "b"]),
    ):
        subject = adapter_of("test:///default", storage)
        await subject.connect(ignore)
        sampled = await subject.sample_pool(pool.UUIDString())
        assert [(volume.name, volume.capacity_bytes) for volume in sampled.volumes] == [(n, 3 << 20) for n in names]
        assert sampled.volume_count == 3
        await subject.close()


async def test_a_pool_that_is_not_there_is_no_such_pool(hypervisor: LibvirtAdapter) -> None:
    with pytest.raises(NoSuchPool, match=r"^sample_pool: "):
        await hypervisor.sample_pool("00000000-0000-4000-8000-000000000000")


async def test_a_driver_without_storage_has_no_pools(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virConnect, "listAllStoragePools", refusing(libvirt.VIR_ERR_NO_SUPPORT))
    assert await hypervisor.list_pools() == {}


async def test_networks_are_listed_and_sampled(hypervisor: LibvirtAdapter) -> None:
    ((uuid, name),) = (await hypervisor.list_networks()).items()
    assert name == "default"
    assert await hypervisor.sample_network(uuid) == Network(
        uuid=uuid, name="default", bridge="virbr0", is_active=True, is_persistent=True, is_autostart=False
    )


async def test_a_network_that_is_not_there_is_none(hypervisor: LibvirtAdapter) -> None:
    assert await hypervisor.sample_network("00000000-0000-4000-8000-000000000000") is None


async def test_what_the_driver_has_is_counted_and_what_it_has_not_is_not_known(hypervisor: LibvirtAdapter) -> None:
    counts = {what: await hypervisor.count(what) for what in Countable}
    devices = counts[Countable.NODE_DEVICES]
    assert devices is not None
    kinds = ("system", "scsi_host", "fc_host", "vports", "pci")
    assert [devices[kind] for kind in kinds] == [1, 3, 3, 2, 0]
    assert counts[Countable.INTERFACES] == {"active": 1, "inactive": 0}
    assert (counts[Countable.SECRETS], counts[Countable.NWFILTERS]) == (None, None)
    assert [unsupported(call) for call in ("secrets", "network_filters")] == [(0, 1)] * 2


async def test_a_network_that_hangs_holds_up_neither_another_nor_storage(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, lookup = threading.Event(), libvirt.virConnect.networkLookupByUUIDString

    def stuck(connection: Binding, uuid: str) -> Binding:
        go_on.wait(DEADLINE)
        return lookup(connection, uuid)

    ((uuid, _),) = (await hypervisor.list_networks()).items()
    monkeypatch.setattr(libvirt.virConnect, "networkLookupByUUIDString", stuck)
    settings = hypervisor._settings
    hypervisor._settings = msgspec.structs.replace(settings, deadline_seconds=0.1)
    try:
        for what in ("is stuck", "an earlier call has not returned"):
            with pytest.raises(TimedOut, match=what):
                await hypervisor.sample_network(uuid)
        hypervisor._settings = settings
        assert len(await hypervisor.list_pools()) == 1
        assert len(await hypervisor.list_networks()) == 1
    finally:
        go_on.set()


@pytest.mark.parametrize("is_stuck", [True, False])
async def test_capabilities_that_cannot_be_had_cost_only_themselves(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch, *, is_stuck: bool
) -> None:
    go_on, settings = threading.Event(), hypervisor._settings
    fail = refusing(libvirt.VIR_ERR_INTERNAL_ERROR)
    monkeypatch.setattr(
        libvirt.virConnect, "getCapabilities", lambda _: (go_on.wait(DEADLINE) if is_stuck else None, fail())[1]
    )
    hypervisor._settings = msgspec.structs.replace(settings, deadline_seconds=0.1 if is_stuck else DEADLINE)
    try:
        with suppress(TimedOut):
            await hypervisor._read_capabilities()
        hypervisor._settings = settings
        for _ in range(2):
            host = await hypervisor.sample_host()
            assert (host.cpus, host.cells) == (16, ())
    finally:
        go_on.set()


async def test_a_channel_on_another_machine_is_not_ours_to_open() -> None:
    remote = LibvirtAdapter(
        ConnectionSettings(uri="qemu+ssh://other/system"),
        channel_name=NAME,
        sampling=SamplingSettings(),
        storage=StorageSettings(),
    )
    assert (remote._wanted.channel_name, remote._pid_folder) == ("", None)


async def test_the_hosts_size_is_sampled_and_a_test_hosts_load_is_not_this_machines(
    hypervisor: LibvirtAdapter,
) -> None:
    for _ in range(2):
        host = await hypervisor.sample_host()
        assert (host.cpus, host.memory_total_bytes, host.memory_free_bytes) == (16, 3 << 30, 3 << 20)
        assert (host.load1, host.pressures) == (None, ())


async def test_lifecycle_events_of_others_actions_arrive(operator: Binding) -> None:
    notices: asyncio.Queue[Notice] = asyncio.Queue()
    default = adapter_of("test:///default")
    await default.connect(notices.put_nowait)
    domain = operator.lookupByName("test")
    actions: tuple[tuple[Callable[[], None], str, str], ...] = (
        (domain.suspend, "suspended", "paused"),
        (domain.resume, "resumed", "unpaused"),
        (domain.destroy, "stopped", "destroyed"),
        (domain.create, "started", "booted"),
    )
    async with asyncio.timeout(DEADLINE):
        for act, event, detail in actions:
            act()
            notice = await notices.get()
            assert isinstance(notice, DomainNotice)
            assert notice == DomainNotice(
                uuid=DEFAULT_UUID, name="test", event=event, detail=detail, at=notice.at, changes_facts=True
            )
            assert notice.at == pytest.approx(time.time(), abs=DEADLINE)
    await default.close()


async def test_a_domain_without_readable_xml_is_known_without_what_it_says(
    several: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "XMLDesc", lambda _self: "<domain")
    assert [facts.memory_maximum_bytes for facts in await several.list_domains()] == [None, None]


async def test_a_domain_that_cannot_be_described_is_left_out_and_the_others_are_not(
    several: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = libvirt.virDomain.XMLDesc

    def fail_for_alpha(domain: Binding) -> Binding:
        if domain.name() == "alpha":
            error = libvirt.libvirtError("broken")
            error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, 0, "broken", 0, "", "", "", 0, 0)
            raise error
        return describe(domain)

    monkeypatch.setattr(libvirt.virDomain, "XMLDesc", fail_for_alpha)
    assert [facts.name for facts in await several.list_domains()] == ['beta "β" & co']
    with pytest.raises(CallFailed, match=r"^describe: broken"):
        await several.describe("11111111-1111-4111-8111-111111111111")


@pytest.mark.parametrize("content", [None, "", "<node><domain"])
async def test_a_uri_whose_file_is_missing_or_wrong_is_wrong_and_says_so_in_one_line(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "node.xml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(WrongUri, match=r"^connect: ") as caught:
        await adapter_of(f"test://{path}").connect(ignore)
    assert "\n" not in str(caught.value)


async def test_a_uri_that_names_no_driver_is_wrong() -> None:
    with pytest.raises(WrongUri, match="garbage"):
        await adapter_of("garbage").connect(ignore)


async def test_a_daemon_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "libvirt-sock"
    with pytest.raises(Unavailable, match="libvirt-sock"):
        await adapter_of(f"qemu:///system?socket={path}").connect(ignore)


async def test_without_a_connection_everything_is_unavailable() -> None:
    unconnected = adapter_of("test:///default")
    for ask in (
        unconnected.list_domains,
        unconnected.survey,
        unconnected.sample_host,
        unconnected.list_pools,
        unconnected.list_networks,
    ):
        with pytest.raises(Unavailable, match="not connected"):
            await ask()
    with pytest.raises(Unavailable):
        await unconnected.describe(DEFAULT_UUID)


async def test_a_connection_may_be_given_up_and_opened_anew() -> None:
    default = adapter_of("test:///default")
    for _ in range(2):
        await default.connect(ignore)
        assert len(await default.list_domains()) == 1
        await default.close()
    await default.close()


async def test_a_connection_that_is_given_up_is_closed_and_not_only_forgotten(operator: Binding) -> None:
    default = adapter_of("test:///default")
    await default.connect(ignore)
    operator.lookupByName("test").suspend()
    operator.close()
    assert (await default.describe(DEFAULT_UUID)).state is DomainState.PAUSED
    await default.close()
    await default.connect(ignore)  # the test driver's domains begin anew when the last connection to them is closed
    assert (await default.describe(DEFAULT_UUID)).state is DomainState.RUNNING
    await default.close()


async def test_a_connection_is_not_closed_under_a_call_that_is_inside_it(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    version = libvirt.virConnect.getInfo

    def slow(connection: Binding) -> Binding:
        inside.set()
        go_on.wait(DEADLINE)
        return version(connection)

    monkeypatch.setattr(libvirt.virConnect, "getInfo", slow)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(hypervisor.sample_host())
        await asyncio.to_thread(inside.wait, DEADLINE)
        await hypervisor.close()
        go_on.set()
    assert asked.result().cpus == 16


async def test_after_it_is_given_up_a_connection_tells_nothing_more(operator: Binding) -> None:
    before: asyncio.Queue[Notice] = asyncio.Queue()
    after: asyncio.Queue[Notice] = asyncio.Queue()
    default = adapter_of("test:///default")
    await default.connect(before.put_nowait)
    await default.close()
    await default.connect(after.put_nowait)
    operator.lookupByName("test").suspend()
    async with asyncio.timeout(DEADLINE):
        await after.get()
    assert before.empty()
    await default.close()


async def test_a_daemon_that_goes_away_is_told_of() -> None:
    notices: asyncio.Queue[Notice] = asyncio.Queue()
    tell = link.Teller(asyncio.get_running_loop(), notices.put_nowait)
    await asyncio.to_thread(tell.closed, None, libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE, None)
    async with asyncio.timeout(DEADLINE):
        assert await notices.get() == ClosedNotice(why="keepalive timeout")


@pytest.mark.parametrize(
    ("uri", "is_this_machine"),
    [("test:///default", False), ("qemu+tcp://[::1]/system", False), ("qemu:///system", True), ("lxc:///", True)],
)
async def test_only_a_local_hypervisors_load_is_this_machines(
    hypervisor: LibvirtAdapter, uri: str, *, is_this_machine: bool
) -> None:
    settings = ConnectionSettings(uri=uri, deadline_seconds=DEADLINE)
    named = LibvirtAdapter(settings, channel_name=NAME, sampling=SamplingSettings(), storage=StorageSettings())
    named._link = hypervisor._link  # whoever answers, the URI says whose machine it is
    assert ((await named.sample_host()).load1 is not None) == is_this_machine


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


async def asking(sampling: SamplingSettings) -> DomainStats:
    """What comes of a survey, a question, and one for all there is."""
    subject = adapter_of("test:///default", sampling=sampling)
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


@pytest.mark.parametrize(
    ("group", "known"),
    [
        ("cpu_total", {"cpu"}),
        ("balloon", {"balloon"}),
        ("vcpu", {"vcpus", "vcpus_current", "vcpus_maximum"}),
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
