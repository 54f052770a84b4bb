"""Every message there is: its fields, their rules, its number on the wire and who may send it.

To add a message: its class, its row in `MESSAGES`, and where it is allowed in `connection.TRANSITIONS`; to add a value:
a field at the end of its class. Values are base units (seconds, bytes, ratio 0 to 1); `None` means not known, which is
never the same as 0.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from protocol.schema import Blob, Choice, Flag, Integer, Number, Record, Several, Text, Token, wire

PROTOCOL_VERSION = 1
"""The newest set of messages this side speaks."""

OLDEST_VERSION = 1
"""The oldest set of messages this side still speaks."""

MAX_FILESYSTEMS = 64
MAX_EVENTS = 64
MAX_DETAILS = 16
MAX_WINDOW = 16
"""However many messages a guest grants: no more than these are on their way to it unacknowledged."""

MAX_CHUNK_BYTES = 30 * 1024
MAX_CHUNKS = 9

TAKES_EVENTS = "events"
"""The capability of a host that has somewhere to put events; to another, none are sent."""

SEVERITIES = ("info", "warning", "critical")
ANSWERS = ("seen", "done", "failed")

_VERSION = Integer(0, 0xFFFF)
_NONCE = Integer(0, 0xFFFF_FFFF_FFFF_FFFF)
_UNSIGNED_32 = Integer(0, 0xFFFF_FFFF)
_BYTES = Integer(0, 0x7FFF_FFFF_FFFF_FFFF)
_COUNT = Integer(0, 0x7FFF_FFFF_FFFF_FFFF)
_NAME = Text(64)
_PATH = Text(128)
_CAPABILITIES = Several(_NAME, 32)
_KIND = Token(64)
_TOKEN = _UNSIGNED_32
_CLOCK = Number(0, 253_402_300_799)  # seconds since 1970, to the end of the last year that Python's datetime knows
_SPAN = Number(0, 1e10)  # seconds, 300 years: a moment less this or more is still one
_IDENTITY = Integer(1, 0x7FFF_FFFF_FFFF_FFFF)  # fits a signed 64-bit column
_SEVERITY = Choice(SEVERITIES)


class Role(enum.Enum):
    """Which end of the line."""

    HOST = "host"
    GUEST = "guest"


@dataclass(frozen=True)
class HelloRequest:
    """Host: "greet me". All that a host says to a guest that has not greeted it; ends any session there was."""

    version_min: int = wire(_VERSION)
    version_max: int = wire(_VERSION)


@dataclass(frozen=True)
class Hello:
    """Guest: who I am and what I speak. Allowed at any time; ends any session there was."""

    version_min: int = wire(_VERSION)
    version_max: int = wire(_VERSION)
    nonce: int = wire(_NONCE, about="Comes back in the answer: an answer to an older hello is told apart.")
    agent_version: str = wire(_NAME)
    boot_id: str | None = wire(_NAME, default=None)
    capabilities: tuple[str, ...] = wire(_CAPABILITIES, default=())
    os_name: str | None = wire(_PATH, default=None)
    kernel_release: str | None = wire(_PATH, default=None)
    machine: str | None = wire(_NAME, default=None)
    hostname: str | None = wire(_PATH, default=None)
    instance: int | None = wire(
        _NONCE, default=None, about="Drawn when the agent started: another one is another agent."
    )
    window: int | None = wire(
        Integer(1, 0xFF), default=None, about="Credit: so many unacknowledged messages; unknown is 1."
    )
    journal: int | None = wire(
        _IDENTITY, default=None, about="Which list the numbers of this guest's events belong to."
    )
    events_acknowledged: int | None = wire(_COUNT, default=None, about="Of that journal; what is after it will come.")
    events_written: int | None = wire(_COUNT, default=None, about="The highest number in that journal.")


@dataclass(frozen=True)
class Welcome:
    """Host: you are heard; the session begins."""

    version: int = wire(_VERSION)
    nonce: int = wire(_NONCE)
    session: int = wire(Integer(1, 0xFFFF_FFFF))
    report_interval_seconds: float = wire(Number(0.1))
    capabilities: tuple[str, ...] = wire(_CAPABILITIES, default=())
    events_taken: int | None = wire(
        _COUNT,
        default=None,
        about="The highest number this host has of the guest's journal.",
    )
    events_taken_token: int | None = wire(_TOKEN, default=None, about="That event's.")


@dataclass(frozen=True)
class Refusal:
    """Host: no session, and why. The guest waits for a `HelloRequest` or greets again after a long wait."""

    nonce: int = wire(_NONCE)
    reason: str = wire(Text(128))


@dataclass(frozen=True)
class Goodbye:
    """Guest: the agent stops in good order, or the guest shuts down."""

    reason: str = wire(Text(128))


@dataclass(frozen=True)
class Ack:
    """Guest: the frame of this number arrived, and what was before it has arrived or never will: all that is credit."""

    sequence: int = wire(_UNSIGNED_32)


@dataclass(frozen=True)
class Ping:
    """Host: are you there? The answer is the acknowledgement."""


@dataclass(frozen=True)
class Refresh:
    """Host: report now, whatever the interval says."""


@dataclass(frozen=True)
class Detail:
    """One named value of an event or a notice."""

    name: str = wire(_KIND)
    value: str = wire(Text(256))


@dataclass(frozen=True)
class Event:
    """Something that happened in the guest. `(domain, journal, number)` is its identity for ever.

    A guest that was set back to a snapshot may give a number a second time before it finds out; the token shows it.
    """

    number: int = wire(
        _IDENTITY, about="In the guest's journal, growing by one; a gap is what the guest had to forget."
    )
    kind: str = wire(_KIND)
    severity: str = wire(_SEVERITY)
    text: str = wire(Text(512))
    details: tuple[Detail, ...] = wire(Several(Record(Detail), MAX_DETAILS), default=())
    age_seconds: float | None = wire(_SPAN, default=None, about="When it was sent, by the guest's boot clock.")
    token: int | None = wire(
        _TOKEN, default=None, about="Drawn when it happened: another one under the same number is another event."
    )


@dataclass(frozen=True)
class Events:
    """Guest: what happened, in order. Sent again until it is acknowledged, so it may come twice; it counts once."""

    journal: int = wire(_IDENTITY)
    events: tuple[Event, ...] = wire(Several(Record(Event), MAX_EVENTS))


@dataclass(frozen=True)
class EventsTaken:
    """Host: the events of that journal up to this number are safe here; forget them.

    A guest to which the event of that number has another token, or never was, was reverted: it keeps its events, and
    begins another journal.
    """

    journal: int = wire(_IDENTITY)
    number: int = wire(_COUNT)
    token: int | None = wire(_TOKEN, default=None, about="Of the event of that number.")


@dataclass(frozen=True)
class Notice:
    """Host: something the guest should know, such as that it has moved. Told again until it is answered."""

    number: int = wire(_IDENTITY)
    kind: str = wire(_KIND)
    severity: str = wire(_SEVERITY)
    text: str = wire(Text(512))
    details: tuple[Detail, ...] = wire(Several(Record(Detail), MAX_DETAILS), default=())
    deadline_seconds: float | None = wire(_SPAN, default=None, about="From now; after that the answer is of no use.")


@dataclass(frozen=True)
class NoticeAnswer:
    """Guest: what became of that notice."""

    number: int = wire(_IDENTITY)
    status: str = wire(Choice(ANSWERS))
    text: str | None = wire(Text(256), default=None)


@dataclass(frozen=True)
class Chunk:
    """A part of a message that is too long for one frame; the parts follow each other in order."""

    kind: int = wire(Integer(0, 0xFF), about="Of the message.")
    index: int = wire(Integer(0, MAX_CHUNKS - 1))
    of: int = wire(Integer(2, MAX_CHUNKS))
    data: bytes = wire(Blob(MAX_CHUNK_BYTES))


@dataclass(frozen=True)
class Drop:
    """How many pieces of input one side threw away for one reason, since it started."""

    reason: str = wire(_KIND)
    count: int = wire(_COUNT)


@dataclass(frozen=True)
class Filesystem:
    """One mounted filesystem as statvfs(3) tells it."""

    mountpoint: str = wire(_PATH)
    device: str = wire(_PATH)
    fstype: str = wire(_NAME)
    size_bytes: int = wire(_BYTES)
    free_bytes: int = wire(_BYTES)
    available_bytes: int = wire(_BYTES, about="To unprivileged users.")
    files: int | None = wire(_COUNT, default=None)
    files_free: int | None = wire(_COUNT, default=None)
    is_read_only: bool = wire(Flag(), default=False)


@dataclass(frozen=True)
class CpuTimes:
    """Seconds that all CPUs together spent in each mode since boot (proc(5), /proc/stat)."""

    user_seconds: float = wire(Number())
    nice_seconds: float = wire(Number())
    system_seconds: float = wire(Number())
    idle_seconds: float = wire(Number())
    iowait_seconds: float | None = wire(Number(), default=None)
    irq_seconds: float | None = wire(Number(), default=None)
    softirq_seconds: float | None = wire(Number(), default=None)
    steal_seconds: float | None = wire(Number(), default=None)


@dataclass(frozen=True)
class Memory:
    """What the guest's kernel says of its memory (proc(5), /proc/meminfo)."""

    total_bytes: int = wire(_BYTES)
    free_bytes: int = wire(_BYTES)
    available_bytes: int | None = wire(_BYTES, default=None)
    buffers_bytes: int | None = wire(_BYTES, default=None)
    cached_bytes: int | None = wire(_BYTES, default=None)
    swap_total_bytes: int | None = wire(_BYTES, default=None)
    swap_free_bytes: int | None = wire(_BYTES, default=None)


@dataclass(frozen=True)
class Load:
    """Load averages over 1, 5 and 15 minutes."""

    load1: float = wire(Number())
    load5: float = wire(Number())
    load15: float = wire(Number())


@dataclass(frozen=True)
class Report:
    """Guest: what only the guest can know, now. The newest replaces all before it."""

    uptime_seconds: float | None = wire(Number(), default=None)
    cpus: int | None = wire(Integer(1, 65536), default=None)
    cpu: CpuTimes | None = wire(Record(CpuTimes), default=None)
    memory: Memory | None = wire(Record(Memory), default=None)
    load: Load | None = wire(Record(Load), default=None)
    filesystems: tuple[Filesystem, ...] | None = wire(Several(Record(Filesystem), MAX_FILESYSTEMS), default=None)
    filesystems_left_out: int | None = wire(_COUNT, default=None, about="Mounted, but over MAX_FILESYSTEMS.")
    dropped_frames: int | None = wire(_COUNT, default=None, about="Of the host's, since the agent started.")
    drops: tuple[Drop, ...] | None = wire(Several(Record(Drop), 32), default=None, about="The same by reason.")
    time_seconds: float | None = wire(_CLOCK, default=None, about="The guest's clock; only its distance is ever told.")
    events_lost: int | None = wire(_COUNT, default=None, about="That the journal had no room for, since it was begun.")


@dataclass(frozen=True)
class Metrics:
    """Host: what the host lets this guest know, now. The field names are the names that `guestagent get` answers to."""

    host_cpus: int | None = wire(Integer(1, 1_000_000), default=None, about="CPUs of the host that are online.")
    host_memory_total_bytes: int | None = wire(_BYTES, default=None, about="Memory of the host.")
    host_memory_free_bytes: int | None = wire(_BYTES, default=None, about="Memory of the host that nobody uses.")
    host_load1: float | None = wire(Number(), default=None, about="Load of the host over 1 minute.")
    host_load5: float | None = wire(Number(), default=None, about="Load of the host over 5 minutes.")
    host_load15: float | None = wire(Number(), default=None, about="Load of the host over 15 minutes.")
    host_time_seconds: float | None = wire(
        _CLOCK, default=None, about="The host's clock when it sent these values, in seconds since 1970."
    )
    domain_cpu_time_seconds_total: float | None = wire(
        Number(), default=None, about="CPU time the host has spent on this domain since its start."
    )
    domain_steal_seconds_total: float | None = wire(
        Number(),
        default=None,
        about="Time this domain's virtual CPUs were ready to run and the host ran something else.",
    )
    domain_memory_limit_bytes: int | None = wire(_BYTES, default=None, about="The most memory this domain may get.")
    host_name: str | None = wire(Text(255), default=None, about="The host's name, if its operator lets guests know.")


@dataclass(frozen=True)
class Row:
    """One message: its number on the wire, its class, who sends it, and how it relates to sessions and credit."""

    number: int
    message: type[Any]
    senders: tuple[Role, ...]
    is_greeting: bool = False  # travels outside a session
    costs_credit: bool = False  # may only be sent as far as the guest has granted


_HOST = (Role.HOST,)
_GUEST = (Role.GUEST,)

MESSAGES: tuple[Row, ...] = (
    Row(0x01, HelloRequest, _HOST, is_greeting=True),
    Row(0x02, Hello, _GUEST, is_greeting=True),
    Row(0x03, Welcome, _HOST, is_greeting=True),
    Row(0x04, Refusal, _HOST, is_greeting=True),
    Row(0x05, Goodbye, _GUEST),
    Row(0x06, Chunk, (Role.HOST, Role.GUEST)),
    Row(0x10, Report, _GUEST),
    Row(0x11, Events, _GUEST),
    Row(0x12, EventsTaken, _HOST),
    Row(0x20, Metrics, _HOST, costs_credit=True),
    Row(0x21, Ack, _GUEST),
    Row(0x22, Ping, _HOST, costs_credit=True),
    Row(0x23, Refresh, _HOST, costs_credit=True),
    Row(0x30, Notice, _HOST, costs_credit=True),
    Row(0x31, NoticeAnswer, _GUEST),
)
