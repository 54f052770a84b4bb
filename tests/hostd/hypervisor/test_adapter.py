"""The adapter over libvirt's own test driver: connecting, listing, describing, events, and what goes wrong."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import libvirt
import msgspec
import pytest

from hostd.hypervisor import (
    CallFailed,
    ClosedNotice,
    DomainNotice,
    NoSuchDomain,
    Notice,
    TimedOut,
    Unavailable,
    WrongUri,
    link,
)
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.model.devices import Disk, Hardware, Interface
from hostd.model.domain import DomainFacts
from hostd.model.stats import DomainState
from hostd.settings import ConnectionSettings, SamplingSettings, StorageSettings
from tests.support.particulars import NO_DEVICES
from tests.support.testdriver import (
    DEADLINE,
    DEFAULT_UUID,
    NAME,
    Binding,
    adapter_of,
    ignore,
    refusing,
)


async def test_connecting_tells_what_was_reached() -> None:
    default = adapter_of("test:///default")
    facts = await default.connect(ignore)
    assert facts.driver == "TEST"
    assert facts.libvirt_version == facts.library_version == link.dotted(libvirt.getVersion())
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
            vcpus=2,
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


async def test_several_domains_are_listed_each_with_its_channels(several: LibvirtAdapter) -> None:
    listed = {facts.name: facts for facts in await several.list_domains()}
    assert set(listed) == {"alpha", 'beta "β" & co'}
    assert listed["alpha"].memory_maximum_bytes == 512 << 20
    alpha, beta = listed["alpha"], listed['beta "β" & co']
    assert alpha.channel is not None
    assert alpha.vhostmd_channel is not None
    assert (alpha.channel.path, alpha.vhostmd_channel.path) == ("/run/alpha.sock", "/run/vhostmd.sock")
    assert (beta.channel, beta.vhostmd_channel) == (None, None)


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
        vhostmd_channel_name="org.github.vhostmd.1",
        sampling=SamplingSettings(),
        storage=StorageSettings(),
    )
    wanted = remote._wanted
    assert (wanted.channel_name, wanted.vhostmd_channel_name, remote._pid_folder) == ("", "", None)


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
