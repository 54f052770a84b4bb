"""What a domain is asked now and then, over libvirt's own test driver."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

import libvirt
import pytest

from hostd import telemetry
from hostd.hypervisor import NoSuchDomain, Notice, TimedOut, Unavailable, details, events, link
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.model.details import NO_JOB, Details, DiskError, Job, Messages
from hostd.model.stats import ControlState
from hostd.settings import ConnectionSettings, SamplingSettings, StorageSettings
from tests.support.running import until
from tests.support.testdriver import refusing

Binding: TypeAlias = Any  # libvirt's own has no types

DEADLINE = 60.0
DEFAULT_UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
SNAPSHOT = "<domainsnapshot><name>{}</name></domainsnapshot>"
CONTROLS = list(ControlState)


def control(state: ControlState) -> Callable[..., list[int]]:
    return lambda _: [CONTROLS.index(state), 0, 0]


def ignore(_notice: Notice) -> None:
    return


@pytest.fixture
async def hypervisor() -> AsyncIterator[LibvirtAdapter]:
    settings = ConnectionSettings(uri="test:///default", deadline_seconds=DEADLINE)
    default = LibvirtAdapter(settings, channel_name="", sampling=SamplingSettings(), storage=StorageSettings())
    await default.connect(ignore)
    yield default
    await default.close()


@pytest.fixture
def domain() -> Iterator[Binding]:
    """The default domain, for somebody who may change it; it is one and the same within a process."""
    events.start()
    connection = libvirt.open("test:///default")
    domain = connection.lookupByName("test")
    yield domain
    for snapshot in domain.listAllSnapshots():
        snapshot.delete()
    with suppress(libvirt.libvirtError):
        domain.create()
    connection.close()


async def detailed(hypervisor: LibvirtAdapter, deadline_seconds: float = DEADLINE) -> Details:
    return await hypervisor.ask_details(DEFAULT_UUID, deadline_seconds=deadline_seconds)


async def test_what_the_driver_knows_is_told(hypervisor: LibvirtAdapter, domain: Binding) -> None:
    found = await detailed(hypervisor)
    assert (found.is_autostarted, found.has_managed_save, found.job) == (False, False, None)
    assert found.disk_errors == (DiskError(device="vda", error="unspecified"),)
    assert found.snapshots is not None
    assert (found.snapshots.count, found.snapshots.oldest_at, found.snapshots.newest_at) == (0, None, None)
    assert {messages.kind for messages in found.messages} >= {"tainting", "deprecation"}


async def test_a_change_is_seen(hypervisor: LibvirtAdapter, domain: Binding) -> None:
    domain.setAutostart(True)
    assert (await detailed(hypervisor)).is_autostarted is True
    domain.setAutostart(False)
    domain.managedSave()
    found = await detailed(hypervisor)
    assert (found.is_autostarted, found.has_managed_save) == (False, True)


async def test_one_that_does_not_run_is_asked_only_what_needs_no_monitor(
    hypervisor: LibvirtAdapter, domain: Binding
) -> None:
    domain.destroy()
    found = await detailed(hypervisor)
    assert (found.is_autostarted, found.disk_errors, found.is_whole) == (False, None, True)


async def test_snapshots_are_counted_and_the_oldest_and_the_newest_dated(
    hypervisor: LibvirtAdapter, domain: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        domain.snapshotCreateXML(SNAPSHOT.format(name))
    dates = {"a": 1_600_000_000, "c": 1_700_000_000}  # b led from the one to the other: nobody looks at it
    asked = "<domainsnapshot><creationTime>{}</creationTime></domainsnapshot>"
    monkeypatch.setattr(libvirt.virDomainSnapshot, "getXMLDesc", lambda s, *_: asked.format(dates[s.getName()]))
    found = (await detailed(hypervisor)).snapshots
    assert found is not None
    assert (found.count, found.oldest_at, found.newest_at) == (3, 1_600_000_000, 1_700_000_000)


async def test_of_too_many_snapshots_none_is_looked_at(
    hypervisor: LibvirtAdapter, domain: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "MOST_LOOKED_AT", 0)
    domain.snapshotCreateXML(SNAPSHOT.format("a"))
    found = (await detailed(hypervisor)).snapshots
    assert found is not None
    assert (found.count, found.oldest_at, found.newest_at) == (1, None, None)


async def test_messages_come_by_kind_and_are_few_and_short(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {1: [f"{number} " + "x" * 300 for number in range(100)], 2: ["tainted: host CPU passthrough"], 4: []}
    monkeypatch.setattr(libvirt.virDomain, "messages", lambda _, flags: told[flags])
    tainting, deprecation, ioerror = (await detailed(hypervisor)).messages
    assert tainting == Messages(kind="tainting", texts=("tainted: host CPU passthrough",))
    assert [len(text) for text in deprecation.texts] == [200] * 32
    assert ioerror == Messages(kind="ioerror", texts=())


async def test_a_kind_of_messages_that_the_daemon_does_not_know_is_asked_for_once(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def messages(_: Binding, flags: int) -> list[str]:
        asked.append(flags)
        if flags == 4:
            refusing(libvirt.VIR_ERR_INVALID_ARG)()
        return []

    monkeypatch.setattr(libvirt.virDomain, "messages", messages)
    for _ in range(3):
        assert [each.kind for each in (await detailed(hypervisor)).messages] == ["tainting", "deprecation"]
    assert sorted(asked) == [1, 1, 1, 2, 2, 2, 4]
    labels = {"connection": "", "collector": "messages_ioerror"}
    assert telemetry.REGISTRY.get_sample_value("hostd_collector_unsupported", labels) == 1


async def test_the_job_that_runs_is_asked_about_and_the_disks_are_not(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "controlInfo", control(ControlState.JOB))
    monkeypatch.setattr(libvirt.virDomain, "jobStats", lambda _: {"type": 2, "operation": 5, "time_elapsed": 1500})
    found = await detailed(hypervisor)
    assert found.job == Job(operation="migration_out", kind="unbounded", elapsed_seconds=1.5)
    assert (found.disk_errors, found.is_whole) == (None, False)


@pytest.mark.parametrize("state", [ControlState.OK, ControlState.JOB])
async def test_a_job_can_be_asked_after_alone_also_where_the_control_state_says_nothing_of_it(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch, state: ControlState
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "controlInfo", control(state))
    monkeypatch.setattr(libvirt.virDomain, "jobStats", lambda _: {"type": 2, "operation": 9})
    assert await hypervisor.ask_job(DEFAULT_UUID, deadline_seconds=DEADLINE) == Job(
        operation="backup", kind="unbounded"
    )
    monkeypatch.setattr(libvirt.virDomain, "jobStats", lambda _: {"type": 0})
    assert await hypervisor.ask_job(DEFAULT_UUID, deadline_seconds=DEADLINE) == NO_JOB
    monkeypatch.setattr(libvirt.virDomain, "controlInfo", control(ControlState.OCCUPIED))
    assert await hypervisor.ask_job(DEFAULT_UUID, deadline_seconds=DEADLINE) is None


@pytest.mark.parametrize("state", [ControlState.OCCUPIED, ControlState.ERROR])
async def test_a_monitor_that_somebody_else_is_at_is_left_alone(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch, state: ControlState
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "controlInfo", control(state))
    found = await detailed(hypervisor)
    assert (found.job, found.disk_errors, found.is_whole, found.is_autostarted) == (None, None, False, False)


@pytest.mark.parametrize("reason", [libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP])
async def test_a_domain_that_is_about_to_run_here_is_left_alone(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "state", lambda _: [libvirt.VIR_DOMAIN_PAUSED, reason])
    found = await detailed(hypervisor)
    assert (found.job, found.disk_errors, found.is_whole, found.is_autostarted) == (None, None, False, False)


@pytest.mark.parametrize("code", [libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_INVALID])
@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("autostart", "is_autostarted"),
        ("hasManagedSaveImage", "has_managed_save"),
        ("diskErrors", "disk_errors"),
        ("snapshotNum", "snapshots"),
    ],
)
async def test_a_call_that_fails_costs_its_own_part_alone(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch, call: str, field: str, code: int
) -> None:
    monkeypatch.setattr(libvirt.virDomain, call, refusing(code))
    found = await detailed(hypervisor)
    known = ("is_autostarted", "has_managed_save", "disk_errors", "snapshots")
    assert [name for name in known if getattr(found, name) is None] == [field]


async def test_a_domain_that_is_gone_meanwhile_is_no_such_domain(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "autostart", refusing(libvirt.VIR_ERR_NO_DOMAIN))
    with pytest.raises(NoSuchDomain, match=r"^ask_details: "):
        await detailed(hypervisor)


async def test_a_connection_that_is_gone_meanwhile_is_unavailable(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "autostart", refusing(libvirt.VIR_ERR_INTERNAL_ERROR))
    for module in (details, link):
        monkeypatch.setattr(module, "is_alive", lambda _: False)
    with pytest.raises(Unavailable, match=r"^ask_details: "):
        await detailed(hypervisor)


async def test_without_a_connection_it_is_unavailable(hypervisor: LibvirtAdapter) -> None:
    await hypervisor.close()
    with pytest.raises(Unavailable):
        await detailed(hypervisor)


async def test_one_that_hangs_holds_one_thread_whatever_it_is_asked_next(
    hypervisor: LibvirtAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, asked = threading.Event(), threading.Semaphore(0)

    def hang(_: Binding) -> dict[str, int]:
        asked.release()
        let_go.wait()
        return {}

    monkeypatch.setattr(libvirt.virDomain, "diskErrors", hang)
    try:
        with pytest.raises(TimedOut, match="is stuck"):
            await detailed(hypervisor, 0.05)
        with pytest.raises(TimedOut, match="an earlier call has not returned"):
            await detailed(hypervisor)
        answer = await hypervisor.ask(DEFAULT_UUID, deadline_seconds=DEADLINE, may_enter=True)
        assert answer.stats is None
        assert asked.acquire(blocking=False)
        assert not asked.acquire(blocking=False)
    finally:
        let_go.set()
    await until(lambda: not hypervisor._asking.is_stuck(DEFAULT_UUID))
    monkeypatch.undo()
    assert (await detailed(hypervisor)).disk_errors is not None
