"""The adapter over libvirt's own test driver: real libvirt, real events, no daemon."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import libvirt
import pytest

from hostd.hypervisor import (
    CallFailed,
    ClosedNotice,
    LifecycleNotice,
    NoSuchDomain,
    Notice,
    Unavailable,
    WrongUri,
    adapter,
    events,
)
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.model.domain import DomainFacts
from hostd.model.host import Host
from hostd.model.stats import DomainState

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


def adapter_of(uri: str) -> LibvirtAdapter:
    return LibvirtAdapter(uri, channel_name=NAME, deadline_seconds=DEADLINE)


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
    assert facts.libvirt_version == adapter._dotted(libvirt.getVersion())
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
            memory_maximum_bytes=8 << 30,
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
    assert await hypervisor.sample_domains() == {}
    domain.create()


async def test_where_the_statistics_are_thin_the_plain_info_fills_them(hypervisor: LibvirtAdapter) -> None:
    (stats,) = (await hypervisor.sample_domains()).values()
    assert stats.state == (DomainState.RUNNING, "unknown")
    assert stats.cpu.time_seconds is not None
    assert stats.cpu.user_seconds is None
    assert (stats.balloon.current_bytes, stats.balloon.maximum_bytes) == (2 << 30, 8 << 30)
    assert (stats.vcpus_current, stats.vcpus) == (2, ())


async def test_every_active_domain_is_sampled(several: LibvirtAdapter) -> None:
    assert set(await several.sample_domains()) == {facts.uuid for facts in await several.list_domains()}


async def test_a_driver_without_bulk_statistics_is_asked_for_each_domain(
    several: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        error = libvirt.libvirtError("no")
        error.err = (libvirt.VIR_ERR_NO_SUPPORT, 0, "no", 0, "", "", "", 0, 0)
        raise error

    monkeypatch.setattr(libvirt.virConnect, "getAllDomainStats", refuse)
    for _ in range(2):
        sampled = await several.sample_domains()
        assert {uuid[0]: stats.vcpus_current for uuid, stats in sampled.items()} == {"1": 2, "2": 1}


async def test_the_hosts_size_is_sampled_and_a_test_hosts_load_is_not_this_machines(
    hypervisor: LibvirtAdapter,
) -> None:
    assert await hypervisor.sample_host() == Host(cpus=16, memory_total_bytes=3 << 30)
    assert await hypervisor.sample_host() == Host(cpus=16, memory_total_bytes=3 << 30)


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
            assert await notices.get() == LifecycleNotice(uuid=DEFAULT_UUID, name="test", event=event, detail=detail)
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
    for ask in (unconnected.list_domains, unconnected.sample_domains, unconnected.sample_host):
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
    tell = adapter._ThreadsafeTeller(asyncio.get_running_loop(), notices.put_nowait)
    await asyncio.to_thread(tell.closed, None, libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE, None)
    async with asyncio.timeout(DEADLINE):
        assert await notices.get() == ClosedNotice(why="keepalive timeout")


@pytest.mark.parametrize(
    ("uri", "is_this_machine"),
    [
        ("qemu:///system", True),
        ("qemu:///session?socket=/run/x", True),
        ("lxc:///", True),
        ("qemu+ssh://other/system", False),
        ("qemu+tcp://[::1]/system", False),
        ("test:///default", False),
    ],
)
def test_only_a_local_hypervisors_load_is_this_machines(uri: str, *, is_this_machine: bool) -> None:
    assert adapter._is_this_machine(uri) is is_this_machine
