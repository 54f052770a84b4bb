"""A guest that tells of one event after the other, and what the histories of hosts have of them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from hostd.history.reading import newest
from tests.lab.daemon import Hostd
from tests.lab.guest import Guest
from tests.lab.guest_programs import Program, python, running
from tests.lab.waiting import wait_for

MOST = 100_000

# Runs in the guest, and ends between two events. What the agent refuses, as too many a second, is handed in again.
EMITTER = """
import itertools
import json
import signal
import socket
import time

ends = []
signal.signal(signal.SIGTERM, lambda *_: ends.append(True))


def hand_in(text):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("/run/virtwire/guestagent-emit.sock")
        request = {"kind": "lab.tick", "severity": "info", "text": text, "details": []}
        connection.sendall(json.dumps(request).encode() + b"\\n")
        with connection.makefile() as answer:
            return json.loads(answer.readline()).get("number")


for count in itertools.takewhile(lambda _: not ends, itertools.count(1)):
    while (number := hand_in(f"tick {count}")) is None:
        time.sleep(0.1)  # the agent is away, or takes no more for now: the same event again
    print(number, flush=True)
    time.sleep(0.1)  # the pace of events; past its reserve the agent takes half as many, and the loop above waits
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a host has it; journal and number, with the domain, are its identity."""

    journal: int | None
    number: int | None
    text: str

    @property
    def identity(self) -> tuple[int | None, int | None]:
        return self.journal, self.number


class Emitter:
    """The program that emits."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @property
    def numbers(self) -> list[int]:
        """Those that the agent gave to the events so far."""
        return [int(line) for line in self._program.output.split()]

    def wait_for_more(self, count: int = 5) -> None:
        """Wait until it has emitted so many more."""
        before = len(self.numbers)
        wait_for(f"{count} more events", lambda: len(self.numbers) >= before + count, deadline=60)

    def end(self) -> list[int]:
        """Have it emit no more; the numbers of all that it has."""
        self._program.end()
        return self.numbers


@contextlib.contextmanager
def emitting(guest: Guest) -> Iterator[Emitter]:
    """Have the guest's agent told of some five events a second, for as long as the block lasts."""
    with running(guest, python(EMITTER)) as program:
        emitter = Emitter(program)
        emitter.wait_for_more()
        yield emitter


def recorded(hostd: Hostd, guest: Guest) -> list[Event]:
    """What a host's history has of a guest, in the order in which it was taken."""
    known = newest(hostd.history, domain=guest.name, limit=MOST)
    return [Event(event.journal, event.number, event.text) for event in known]


def wait_until_recorded(hostd: Hostd, guest: Guest, number: int) -> list[Event]:
    """Wait until a host has the event of that number; all that it has then."""
    wait_for(
        f"event {number} of {guest.name} in {hostd.history}",
        lambda: any(event.number == number for event in recorded(hostd, guest)),
        deadline=60,
        evidence=hostd.evidence,
    )
    return recorded(hostd, guest)
