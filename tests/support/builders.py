"""Model values for tests: a domain, a guest, a World, with everything a test does not care about filled in."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hostd.model.domain import Channel, Domain, DomainFacts, Guest
from hostd.model.host import Connection
from hostd.model.notice import Notice
from hostd.model.stats import (
    Control,
    ControlState,
    DomainState,
)
from hostd.model.world import World
from protocol.errors import DropReason
from protocol.messages import CpuTimes, Drop, Event, Filesystem, Hello, Load, Memory, Report
from tests.support.hosts import CONNECTION_FACTS, HOST, OBJECTS, POOL
from tests.support.numbers import PROCESS, STATS
from tests.support.particulars import DETAILS, HARDWARE

URI = "test:///default"
UUID = "11111111-1111-4111-8111-111111111111"
OTHER_UUID = "22222222-2222-4222-8222-222222222222"


HELLO = Hello(
    version_min=1,
    version_max=1,
    nonce=42,
    agent_version="0.1.0",
    boot_id="b",
    os_name="Debian GNU/Linux 12",
    kernel_release="6.1.0",
    machine="x86_64",
    hostname="alpha.example",
    instance=71,
    journal=72,
    events_acknowledged=73,
    events_written=74,
)

REPORT = Report(
    uptime_seconds=3600.5,
    cpus=2,
    cpu=CpuTimes(
        user_seconds=10.5,
        nice_seconds=0.25,
        system_seconds=5.0,
        idle_seconds=7000.0,
        iowait_seconds=1.5,
        irq_seconds=0.0,
        softirq_seconds=0.125,
        steal_seconds=2.0,
    ),
    memory=Memory(
        total_bytes=1 << 30,
        free_bytes=1 << 29,
        available_bytes=3 << 28,
        buffers_bytes=1 << 20,
        cached_bytes=1 << 27,
        swap_total_bytes=1 << 28,
        swap_free_bytes=1 << 28,
    ),
    load=Load(load1=0.5, load5=0.25, load15=0.125),
    filesystems=(
        Filesystem(
            mountpoint="/",
            device="/dev/vda1",
            fstype="ext4",
            size_bytes=10 << 30,
            free_bytes=6 << 30,
            available_bytes=5 << 30,
            files=655360,
            files_free=600000,
            is_read_only=False,
        ),
    ),
    filesystems_left_out=3,
    dropped_frames=1,
    drops=(Drop(reason="checksum", count=6),),
    time_seconds=1_700_000_077.5,
    events_lost=9,
)


LABELS: Mapping[str, Any] = {
    "metadata": (("team", "blue"), ("instance_name", "web-1")),
    "promoted": (("team", "blue"),),
    "managers": {
        "nova": ("web-1", "m1.small", "ann", "u-1", "shop", "p-1", "image", "i-1"),
        "ovirt": ("4.7", "auto_resume"),
        "libosinfo": ("http://debian.org/debian/12",),
    },
}


NOTICE = Notice(
    number=1_700_000_095_000_000,
    kind="resumed",
    text="this guest had been paused",
    at=1_700_000_095.0,
    details=(("paused_seconds", "4.5"),),
    answer="seen",
)
EVENT = Event(number=1, kind="backup.failed", severity="warning", text="no space left")
EVENTS = {("domain", "started", "booted"): 21, ("network", "started", ""): 22, ("connection", "gap", "reconnected"): 23}


def channel(path: str = "/run/alpha.sock", *, is_open_in_guest: bool | None = True) -> Channel:
    """Our channel."""
    return Channel(path=path, is_open_in_guest=is_open_in_guest)


def facts(uuid: str = UUID, name: str = "alpha", **others: Any) -> DomainFacts:  # noqa: ANN401 - the fields of DomainFacts
    """A running domain without a channel; `others` override."""
    known: dict[str, Any] = {
        "id": 1,
        "state": DomainState.RUNNING,
        "reason": "booted",
        "is_persistent": True,
        "os_type": "hvm",
        "machine": "pc-q35-7.2",
        "architecture": "x86_64",
        "emulator": "/usr/bin/qemu-system-x86_64",
        "title": "The first",
        "memory_maximum_bytes": 2 << 30,
        "vcpus": 2,
        "vsock_cid": 3,
        "hardware": HARDWARE,
    }
    return DomainFacts(uuid=uuid, name=name, **{**known, **others})


def shut_off(uuid: str = UUID, name: str = "alpha", **others: Any) -> DomainFacts:  # noqa: ANN401
    """The same domain, not active."""
    return facts(uuid, name, **{"id": None, "state": DomainState.SHUTOFF, "reason": "shutdown", **others})


def guest(**others: Any) -> Guest:  # noqa: ANN401 - the fields of Guest
    """A guest that has greeted and reported; `others` override."""
    known: dict[str, Any] = {
        "hello": HELLO,
        "report": REPORT,
        "reported_at": 1_700_000_100.0,
        "sessions": 2,
        "reports": 30,
        "reconnects": 1,
        "drops": {DropReason.CHECKSUM: 5},
        "filesystems_dropped": {"new": 10},
        "clock_offset_seconds": -22.5,
        "throttled_seconds": 1.625,
        "quarantines": {"flood": 7},
        "is_quarantined": True,
        "events": {"warning": 8},
        "last_event_at": 1_700_000_099.25,
    }
    return Guest(**{**known, **others})


def full_domain(uuid: str = UUID, name: str = "alpha") -> Domain:
    """A domain of which everything is known."""
    return Domain(
        facts=facts(uuid, name, channel=channel(), vhostmd_channel=channel("/run/vhostmd.sock"), **LABELS),
        stats=STATS,
        is_responsive=True,
        answered_at=1_700_000_095.5,
        control=Control(state=ControlState.OK, seconds=0.75),
        process=PROCESS,
        details=DETAILS,
        guest=guest(),
        events={("started", "booted"): 1, ("suspended", "paused"): 2},
        last_events={"started": 1_700_000_001.0, "suspended": 1_700_000_090.5},
        notices=(NOTICE,),
    )


def world(*domains: Domain, **others: Any) -> World:  # noqa: ANN401 - the fields of World
    """A World connected to libvirt, with these domains."""
    known: dict[str, Any] = {
        "connection": replace(connected(), gap_seconds=2.75),
        "host": HOST,
        "pools": {POOL.uuid: POOL},
        "objects": OBJECTS,
        "events": EVENTS,
    }
    return World(domains={d.uuid: d for d in domains}, **{**known, **others})


def unconnected() -> World:
    """The World before anything is known."""
    return World(connection=Connection(uri=URI))


def connected() -> Connection:
    """A connection that is up for the first time."""
    return replace(Connection(uri=URI), facts=CONNECTION_FACTS, connects=1)


def only(known: World) -> Domain:
    """The one domain of that World."""
    (domain,) = known.domains.values()
    return domain
