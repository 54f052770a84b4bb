"""Numbered events of a guest, and the account of them afterwards: which were lost, and which came twice."""

import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hostd.history.reading import CannotRead, newest
from tests.lab.guest import Guest
from tests.lab.guest_emitter import KIND
from tests.lab.waiting import WaitedInVainError, wait_for

_SCRIPT = Path(__file__).with_name("guest_emitter.py")
_EVERYTHING = 1_000_000
_AFTER_A_REBOOT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of the events that the agent had promised to tell."""

    kept: int
    lost: frozenset[int]
    doubled: frozenset[int]


class Numbered:
    """Events that a program in the guest hands in, one after the other, from now until `end`."""

    def __init__(self, guest: Guest, history: Path, *, pause_seconds: float = 0.1) -> None:
        self._guest = guest
        self._history = history
        self._pause_seconds = pause_seconds
        self._run = uuid.uuid4().hex[:12]
        self._folder = f"/var/lib/virtwire/numbered-{self._run}"  # where the agent keeps its own
        self._first = 1
        guest.run(["sh", "-c", f"mkdir -p {self._folder}; cat > {self._program}"], stdin=_SCRIPT.read_text())
        self._start()

    @property
    def _program(self) -> str:
        return f"{self._folder}/program"

    def go_on(self) -> None:
        """Hand in more, after the guest has been rebooted, under numbers that were not used before."""
        self._first += _AFTER_A_REBOOT
        self._start()

    def _start(self) -> None:
        arguments = f"{self._run} {self._folder} {self._first} {self._pause_seconds}"
        self._guest.shell(f"python3 {self._program} {arguments} >{self._folder}/log 2>&1 </dev/null &")

    def told(self) -> Counter[int]:
        """How often each number is in the history."""
        try:
            events = newest(self._history, domain=self._guest.uuid, limit=_EVERYTHING)
        except CannotRead:  # hostd has not made it yet
            return Counter()
        return Counter(int(str(e.data["n"])) for e in events if e.kind == KIND and e.data.get("run") == self._run)

    def wait_for_more(self, *, deadline: float = 60) -> None:
        """Wait until the history has an event of which it had none when this call began."""
        before = len(self.told())
        wait_for("one more event in the history", lambda: len(self.told()) > before, deadline=deadline)

    def wait_for_kept(self, more: int) -> None:
        """Wait until the agent has kept so many more, whoever has them by now."""
        count = f"$(wc -l < {self._folder}/kept)"
        self._guest.shell(f"wanted=$(({count} + {more})); until [ {count} -ge $wanted ]; do sleep 0.1; done")

    def end(self, *, deadline: float = 60) -> Account:
        """Stop, wait until all that was kept is told, and give the account; what is missing by then is lost."""
        self._guest.shell(f"touch {self._folder}/stop; until [ -e {self._folder}/done ]; do sleep 0.05; done")
        kept = {int(line) for line in self._guest.run(["cat", f"{self._folder}/kept"]).stdout.split()}
        with suppress(WaitedInVainError):
            wait_for("all of it told", lambda: kept <= self.told().keys(), deadline=deadline, interval=0.2)
        told = self.told()
        return Account(
            kept=len(kept),
            lost=frozenset(kept - told.keys()),
            doubled=frozenset(number for number, times in told.items() if times > 1),
        )
