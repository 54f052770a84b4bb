"""Every attack there is: what it sends, and which of hostd's counters it moves. To add one: a function and its row.

An attack is a generator of pieces of bytes, asked for the next whenever the line takes more; it never ends by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgpack

from protocol.messages import (
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    MAX_DETAILS,
    MAX_EVENTS,
    MAX_FILESYSTEMS,
    MESSAGES,
    Ack,
    Chunk,
    Detail,
    Event,
    Events,
    Filesystem,
    Goodbye,
    Memory,
    NoticeAnswer,
    Report,
    Role,
)
from tests.hostile.peer import Peer
from tests.support import hostile_bytes
from tests.support.hostile_bytes import BODIES, NUMBERS, chunk, frame

MOST = 0x7FFF_FFFF_FFFF_FFFF
JUNK_BYTES = 4096
ODD_TEXTS = (
    "\u202e\u2066\u200b\ufeff",  # turns around, takes no room
    "\x1b[2J\x07\r\n\0\x9b31m",  # moves the cursor
    'a"} 1\nguest_cpus{domain="victim"',  # ends a label and begins a sample of its own
    "\U0001f4a3\u0301" * 30,
    "\ue000\U0010ffff\u0378",  # of private use, no character, not assigned
    "{{ template }} $(reboot) %s <b>",
)


@dataclass(frozen=True)
class Mark:
    """A counter of hostd's that an attack moves; without a label, the family's only one of that guest."""

    metric: str
    label: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f'{self.metric}{{{self.label}="{self.value}"}}' if self.label else self.metric


@dataclass(frozen=True)
class Attack:
    """One way to do harm."""

    about: str
    pieces: Callable[[Peer], Iterator[bytes]]
    moves: tuple[Mark, ...]
    greets: bool = True  # it waits for a session, and keeps one; else it says nothing but its pieces
    is_deaf: bool = False  # once it has a session it reads no more
    pause_seconds: float = 0.0  # between two pieces


def dropped(*reasons: str) -> tuple[Mark, ...]:
    """Input is thrown away for these."""
    return tuple(Mark("hostd_guest_input_dropped_total", "reason", reason) for reason in reasons)


def quarantined(fault: str) -> Mark:
    """The line is closed for that."""
    return Mark("hostd_guest_quarantines_total", "fault", fault)


THROTTLED = Mark("hostd_guest_throttled_seconds_total")
RECONNECTED = Mark("hostd_guest_reconnects_total")


def flood(peer: Peer) -> Iterator[bytes]:
    """Nothing is wrong with any of it."""
    for number in itertools.count():
        yield peer.say(Report(uptime_seconds=float(number), cpus=1, memory=Memory(total_bytes=number, free_bytes=0)))


def junk(peer: Peer) -> Iterator[bytes]:
    """Noise, which has a zero now and then."""
    while True:
        yield bytes(peer.chance.getrandbits(8) for _ in range(JUNK_BYTES))


def slow_frame(_peer: Peer) -> Iterator[bytes]:
    """A frame that never ends, a byte now and then."""
    while True:
        yield b"\x07"


def slow_message(peer: Peer) -> Iterator[bytes]:
    """A long message that never ends, a chunk now and then."""
    kind = NUMBERS[Report]
    for index in itertools.count():
        yield peer.forge(NUMBERS[Chunk], chunk(kind, index % (MAX_CHUNKS - 1), MAX_CHUNKS, b"\x90"))


def forged(peer: Peer) -> Iterator[bytes]:
    """Frames of other sessions and of the host's own, repeated, damaged, of unheard-of layouts and types."""
    hosts = [row for row in MESSAGES if row.senders == (Role.HOST,)]
    unknown = sorted(set(range(256)) - {row.number for row in MESSAGES})
    while True:
        report = peer.say(Report())
        yield report + report
        yield report[:-3] + bytes([report[-3] ^ 1 or 2]) + report[-2:]
        yield frame(NUMBERS[Report], b"\x90", session=1 + peer.chance.getrandbits(31), sequence=1)
        for row in hosts:
            yield frame(row.number, b"\x90") if row.is_greeting else peer.forge(row.number, b"\x90")
        yield hostile_bytes.with_layout(peer.chance.randrange(2, 256))
        yield peer.forge(peer.chance.choice(unknown), b"\x90")


def cut(peer: Peer) -> Iterator[bytes]:
    """Frames that end too early, at each byte in turn, and such as lack one in the middle."""
    while True:
        whole = peer.say(Report(cpus=4, uptime_seconds=1.5))
        for at in range(1, len(whole) - 1):
            yield whole[:at] + b"\0"
            yield whole[:at] + whole[at + 1 :]


def labels(peer: Peer) -> Iterator[bytes]:
    """Other mount points in each report, the longest there may be and the oddest; and such as may not be sent."""
    for number in itertools.count():
        yield peer.say(Report(filesystems=tuple(_filesystem(peer, at) for at in range(MAX_FILESYSTEMS))))
        text = ODD_TEXTS[number % len(ODD_TEXTS)]
        yield peer.forge(NUMBERS[Report], msgpack.packb([1, 1, None, None, None, [[text, text, text, 1, 1, 1]]]))


def _filesystem(peer: Peer, number: int) -> Filesystem:
    odd = ODD_TEXTS[number % len(ODD_TEXTS)]
    name = (f"/{peer.chance.getrandbits(64):x}{odd}" + "\U0001f4a3" * 128)[:128]
    return Filesystem(mountpoint=name, device=name, fstype=name[:64], size_bytes=MOST, free_bytes=0, available_bytes=0)


def bombs(peer: Peer) -> Iterator[bytes]:
    """Bodies that are small on the line and large, deep or endless when they are unpacked, as every message."""
    long = b"\xdc\x01\x00" + (b"\xdc\x00\xff" + b"\x91\xc0" * 0xFF) * 0x100
    while True:
        for body in BODIES.values():
            for row in MESSAGES:
                if Role.GUEST in row.senders and not row.is_greeting and row.message is not Goodbye:
                    yield peer.forge(row.number, body)
        yield peer.forge_long(NUMBERS[Report], long)


def chunks(peer: Peer) -> Iterator[bytes]:
    """Long messages whose parts are missing, doubled, in wrong order, one in another, or too many."""
    kind, number = NUMBERS[Report], NUMBERS[Chunk]
    while True:
        yield peer.forge_long(kind, b"\xc0" * (MAX_CHUNKS * MAX_CHUNK_BYTES))
        for index in (0, 0, 2, 1, MAX_CHUNKS - 1):
            yield peer.forge(number, chunk(kind, index, MAX_CHUNKS, b"\x90"))
        yield peer.forge(number, chunk(number, 0, 2, b"\x90"))
        yield peer.forge(number, chunk(kind, 0, 2, b"")) + peer.say(Report())


def greetings(peer: Peer) -> Iterator[bytes]:
    """A hello after the other, a goodbye where there is somebody to say it to."""
    while True:
        yield (peer.say(Goodbye(reason="back soon")) if peer.is_open else b"") + peer.hello()


def deaf(peer: Peer) -> Iterator[bytes]:
    """It asks for answers and takes none of them."""
    while True:
        yield peer.say(Events(journal=1, events=(_event(1),)))


def events(peer: Peer) -> Iterator[bytes]:
    """Numbers huge, backwards and again, of another journal each time, many at once, and before the last were taken."""
    while True:
        journal = 1 + peer.chance.getrandbits(62)
        many = tuple(_event(number) for number in range(1, MAX_EVENTS + 1))
        yield peer.say(Events(journal=journal, events=many))
        yield peer.say(Events(journal=1, events=(_event(1), _event(MOST - 1, is_long=True), _event(MOST), _event(2))))
        yield peer.say(Events(journal=MOST, events=many[::-1]))
        yield peer.say(Events(journal=journal, events=()))


def _event(number: int, *, is_long: bool = False) -> Event:
    bomb = "\U0001f4a3"
    details = tuple(Detail(name=f"n{at}", value=bomb * 256) for at in range(MAX_DETAILS)) if is_long else ()
    return Event(
        number=number, kind="hostile", severity="critical", text=bomb * (512 if is_long else 1), details=details
    )


def answers(peer: Peer) -> Iterator[bytes]:
    """Answers to what was never told, and all of them to what was, again and again."""
    for number in itertools.count(1):
        for status in ("seen", "done", "failed"):
            told = peer.notices[-1] if peer.notices and number % 2 else peer.chance.randrange(1, MOST)
            yield peer.say(NoticeAnswer(number=told, status=status, text="x" * 256))


def acks(peer: Peer) -> Iterator[bytes]:
    """Acknowledgements of all that was sent, may yet be, and never will."""
    for number in itertools.count():
        yield peer.say(Ack(sequence=number % 64))
        yield peer.say(Ack(sequence=peer.chance.getrandbits(32)))


ATTACKS: Mapping[str, Attack] = {
    "flood": Attack("sound reports, as fast as they are taken", flood, (THROTTLED, quarantined("flood"))),
    "junk": Attack("noise", junk, (*dropped("framing"), quarantined("mistakes")), greets=False),
    "slow-frame": Attack(
        "a frame that never ends, a byte now and then", slow_frame, (RECONNECTED,), greets=False, pause_seconds=0.5
    ),
    "slow-message": Attack(
        "a message in chunks that never ends, a chunk now and then",
        slow_message,
        (RECONNECTED,),
        is_deaf=True,  # an acknowledgement would end it
        pause_seconds=1.0,
    ),
    "forged": Attack(
        "frames of other sessions, of the host's own, repeated, damaged, of unknown layouts and types",
        forged,
        dropped("session", "sender", "sequence", "checksum", "version", "type"),
    ),
    "cut": Attack("frames that are cut off, or lack a byte", cut, dropped("framing", "checksum")),
    "labels": Attack(
        "other mount points in each report, long, odd, or with control characters",
        labels,
        (Mark("hostd_guest_filesystems_dropped_total", "reason", "new"), *dropped("schema")),
    ),
    "bombs": Attack("bodies that are huge or deep once unpacked", bombs, dropped("schema")),
    "chunks": Attack("long messages with parts missing, doubled or too many", chunks, dropped("chunk", "oversize")),
    "greetings": Attack("hello and goodbye without end", greetings, (quarantined("sessions"),), greets=False),
    "deaf": Attack("greets, and then never reads", deaf, (RECONNECTED,), is_deaf=True, pause_seconds=0.2),
    "events": Attack(
        "events with numbers huge, backwards and again, of another journal each time, too many and too early",
        events,
        (
            Mark("hostd_guest_events_dropped_total", "reason", "early"),
            *(
                Mark("hostd_history_guest_events_total", "result", each)
                for each in ("duplicate", "skipped", "held_back")
            ),
        ),
        pause_seconds=0.01,
    ),
    "answers": Attack(
        "answers to notices that were never told, and all answers to those that were",
        answers,
        (Mark("hostd_guest_answers_dropped_total", "reason", "unknown"), THROTTLED),
    ),
    "acks": Attack("acknowledgements of everything there could be", acks, (THROTTLED,)),
}
"""By the name to call it by."""
