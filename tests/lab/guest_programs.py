"""Programs that run in a guest beside what a test does: each with its output in a file, ended by its own pid."""

import contextlib
import itertools
from collections.abc import Iterator

from tests.lab.guest import Guest
from tests.lab.waiting import wait_for


class Program:
    """Something that runs in the guest, and its output."""

    _numbers = itertools.count(1)

    def __init__(self, guest: Guest, command: str) -> None:
        self._guest = guest
        self.number = next(self._numbers)
        self._log = f"/run/program-{self.number}.log"
        self.pid = int(guest.shell(f"({command}) >{self._log} 2>&1 </dev/null & echo $!").stdout)

    @property
    def output(self) -> str:
        return self._guest.shell(f"cat {self._log}").stdout

    def wait_for(self, words: str, times: int = 1) -> str:
        return wait_for(
            f"{times} times '{words}' of program {self.number}",
            lambda: (seen := self.output) if self.output.count(words) >= times else None,
            deadline=60,
            evidence=lambda: self.output,
        )

    def end(self) -> None:
        self._guest.shell(f"kill {self.pid}; while [ -d /proc/{self.pid} ]; do sleep 0.05; done", check=False)


@contextlib.contextmanager
def running(guest: Guest, command: str) -> Iterator[Program]:
    program = Program(guest, command)
    try:
        yield program
    finally:
        program.end()


def python(script: str) -> str:
    return f'PYTHONPATH=/opt/virtwire/guestagent.pyz exec python3 -c "$(cat <<"END"\n{script}\nEND\n)"'
