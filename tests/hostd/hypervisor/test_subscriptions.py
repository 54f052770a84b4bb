"""Subscribing: all that libvirt's own test driver tells of for real, and what an event or a driver may cost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, TypeAlias

import libvirt
import pytest

from hostd import telemetry
from hostd.hypervisor import DomainNotice, Notice, ObjectNotice, events
from hostd.hypervisor.link import Teller
from hostd.hypervisor.notices import LEFT_OUT
from hostd.hypervisor.subscriptions import subscribe, unsubscribe
from hostd.hypervisor.support import Support
from tests.support.running import GENEROUS_SECONDS

Binding: TypeAlias = Any  # libvirt's own has no types

NETWORK = "<network><name>alpha</name><bridge name='virbr77'/></network>"
POOL = "<pool type='dir'><name>alpha</name><target><path>/tmp/alpha</path></target></pool>"


class Pretended:
    """A connection whose subscriptions a test can call, and refuse."""

    def __init__(self, version: int = 99_000_000) -> None:
        self.version = version
        self.callbacks: dict[int, Callable[..., None]] = {}  # of domains, by event id
        self.refusals: dict[str, int] = {}  # a family's method to the error's code
        self.is_there = True
        self.registered: list[tuple[str, int]] = []
        self.deregistered: list[tuple[str, int]] = []

    def getLibVersion(self) -> int:  # noqa: N802 - libvirt's
        return self.version

    def isAlive(self) -> bool:  # noqa: N802
        return self.is_there

    def __getattr__(self, method: str) -> Binding:
        family = method.removesuffix("RegisterAny").removesuffix("DeregisterAny")

        def register(_of: object, number: int, callback: Callable[..., None], _opaque: object) -> int:
            if family in self.refusals:
                raise error_of(self.refusals[family])
            self.registered.append((family, number))
            if family == "domainEvent":
                self.callbacks[number] = callback
            return number

        if method.endswith("DeregisterAny"):
            return lambda number: self.deregistered.append((family, number))
        return register


def error_of(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("no")
    error.err = (code, 0, "no", 0, "", "", "", 0, 0)
    return error


def domain(uuid: str = "u", name: str = "alpha") -> Binding:
    return SimpleNamespace(UUIDString=lambda: uuid, name=lambda: name)


def success_of(collector: str, connection: str = "") -> float | None:
    labels = {"connection": connection, "collector": collector}
    return telemetry.REGISTRY.get_sample_value("hostd_collector_success", labels)


def undecoded_of(event: str, connection: str) -> float:
    labels = {"connection": connection, "object": "domain", "event": event}
    return telemetry.REGISTRY.get_sample_value("hostd_events_undecoded_total", labels) or 0.0


@pytest.fixture
def operator() -> Iterator[Binding]:
    events.start()
    connection = libvirt.open("test:///default")
    yield connection
    with suppress(libvirt.libvirtError):
        connection.close()


@pytest.fixture
async def told(operator: Binding) -> AsyncIterator[asyncio.Queue[Notice]]:
    """What is told of the domains and objects of the operator's."""
    queue: asyncio.Queue[Notice] = asyncio.Queue()
    teller = Teller(asyncio.get_running_loop(), queue.put_nowait)
    undo = await asyncio.to_thread(subscribe, operator, teller.tell, Support(""))
    yield queue
    await asyncio.to_thread(unsubscribe, undo)


async def the_next(told: asyncio.Queue[Notice], count: int) -> list[tuple[str, str, str, str]]:
    async with asyncio.timeout(GENEROUS_SECONDS):
        notices = [await told.get() for _ in range(count)]
    return [(n.object, n.name, n.event, n.detail) for n in notices if isinstance(n, DomainNotice | ObjectNotice)]


async def test_networks_come_and_go(operator: Binding, told: asyncio.Queue[Notice]) -> None:
    network = operator.networkDefineXML(NETWORK)
    network.create()
    network.destroy()
    network.undefine()
    expected = ("defined", "started", "stopped", "undefined")
    assert await the_next(told, 4) == [("network", "alpha", event, "") for event in expected]


async def test_storage_pools_come_and_go_and_are_refreshed(operator: Binding, told: asyncio.Queue[Notice]) -> None:
    pool = operator.storagePoolDefineXML(POOL)
    pool.build()
    pool.create()
    pool.refresh()
    pool.destroy()
    pool.delete()
    pool.undefine()
    expected = ("defined", "created", "started", "refresh", "stopped", "deleted", "undefined")
    assert await the_next(told, 7) == [("storage_pool", "alpha", event, "") for event in expected]


async def test_node_devices_come_and_go(operator: Binding, told: asyncio.Queue[Notice]) -> None:
    device = operator.nodeDeviceCreateXML(
        "<device><parent>scsi_host1</parent><capability type='scsi_host'><capability type='fc_host'>"
        "<wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn></capability></capability></device>"
    )
    name = device.name()
    device.destroy()
    seen = await the_next(told, 2)
    assert [(kind, event) for kind, _, event, _ in seen] == [("node_device", "created"), ("node_device", "deleted")]
    assert {its for _, its, _, _ in seen} == {name}


async def test_other_events_than_the_lifecycles_are_told_too(operator: Binding, told: asyncio.Queue[Notice]) -> None:
    operator.lookupByName("test").setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "t", None, None, 0)
    assert await the_next(told, 1) == [("domain", "test", "metadata_change", "title")]


def test_what_the_driver_lacks_is_learnt_once_and_costs_that_kind_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    connection, support = Pretended(), Support("lacking")
    connection.refusals["networkEvent"] = libvirt.VIR_ERR_NO_SUPPORT
    for _ in range(2):
        subscribe(connection, lambda _notice: None, support)
    assert [m for m in caplog.messages if "network" in m] == ["lacking: network_events: not with this driver: no"]
    assert (success_of("network_events", "lacking"), success_of("secret_events", "lacking")) == (0, 1)


def test_what_cannot_be_subscribed_to_now_is_tried_again_and_costs_that_kind_alone() -> None:
    connection, support = Pretended(), Support("away")
    connection.refusals["storagePoolEvent"] = libvirt.VIR_ERR_SYSTEM_ERROR
    subscribe(connection, lambda _notice: None, support)
    assert (success_of("storage_pool_events", "away"), success_of("secret_events", "away")) == (0, 1)
    del connection.refusals["storagePoolEvent"]
    subscribe(connection, lambda _notice: None, support)
    assert success_of("storage_pool_events", "away") == 1


@pytest.mark.parametrize(("family", "is_there"), [("domainEvent", True), ("secretEvent", False)])
def test_without_domains_or_a_connection_nothing_stays_subscribed(family: str, *, is_there: bool) -> None:
    connection = Pretended()
    connection.refusals[family] = libvirt.VIR_ERR_SYSTEM_ERROR
    connection.is_there = is_there
    with pytest.raises(libvirt.libvirtError):
        subscribe(connection, lambda _notice: None, Support(""))
    assert connection.deregistered == connection.registered


def test_what_is_undone_is_all() -> None:
    connection = Pretended()
    unsubscribe(subscribe(connection, lambda _notice: None, Support("")))
    assert connection.deregistered == connection.registered
    assert len(connection.registered) > 30


def test_nothing_is_asked_of_a_libvirt_that_is_too_old_for_it() -> None:
    connection = Pretended(version=6_008_999)
    subscribe(connection, lambda _notice: None, Support(""))
    assert libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE not in connection.callbacks
    assert libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE in connection.callbacks


def test_what_is_left_out_is_never_subscribed_to_whatever_the_binding_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt, "VIR_DOMAIN_EVENT_ID_CHANNEL_LIFECYCLE", 29, raising=False)
    connection = Pretended()
    subscribe(connection, lambda _notice: None, Support(""))
    assert not {getattr(libvirt, constant) for constant in LEFT_OUT} & set(connection.callbacks)


def test_an_event_that_the_binding_is_built_with_later_needs_no_more_than_its_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(libvirt, "VIR_DOMAIN_EVENT_ID_NIC_MAC_CHANGE", 27, raising=False)
    heard: list[Notice] = []
    connection = Pretended()
    subscribe(connection, heard.append, Support(""))
    connection.callbacks[27](connection, domain(), "net0", "old", "\x1b[2Jnew", None)
    (notice,) = heard
    assert isinstance(notice, DomainNotice)
    assert (notice.uuid, notice.name, notice.event, notice.detail) == ("u", "alpha", "nic_mac_change", "")
    assert notice.particulars == (("device", "net0"), ("old", "old"), ("new", "\x1b[2Jnew"))
    assert (notice.is_quiet, notice.changes_facts) == (True, False)


def broken(*_: object) -> Binding:
    raise RuntimeError("in the binding")


@pytest.mark.parametrize(
    ("subject", "arguments"),
    [
        (domain(), ("not a number", None)),
        (domain(), (1, 2, 3, None)),
        (domain(), ()),
        (SimpleNamespace(UUIDString=broken, name=broken), (1, None)),
        (None, (1, None)),
    ],
)
def test_whatever_is_wrong_with_an_event_costs_that_event_alone_and_is_counted(
    subject: Binding, arguments: tuple[object, ...]
) -> None:
    heard: list[Notice] = []
    connection = Pretended()
    subscribe(connection, heard.append, Support("wrong"))
    before = undecoded_of("watchdog", "wrong")
    callback = connection.callbacks[libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG]
    callback(connection, subject, *arguments)
    assert (heard, undecoded_of("watchdog", "wrong")) == ([], before + 1)
    callback(connection, domain(), 2, None)
    assert [n.detail for n in heard if isinstance(n, DomainNotice)] == ["reset"]
