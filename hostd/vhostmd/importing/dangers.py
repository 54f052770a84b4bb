"""Where a VM's name goes on to from where it stands, and who may take it for code there."""

import re
from collections.abc import Iterator, Sequence

from hostd.vhostmd.importing import programs
from hostd.vhostmd.importing.programs import Command

_ASSIGNED = re.compile(r"([A-Za-z_]\w*)\+?=")
_SHELL = "the shell"


class Dangers:
    """What was seen of one action so far."""

    def __init__(self) -> None:
        self._certain: list[str] = []
        self._doubts: list[str] = []
        self._has_name = False
        self._carriers: set[str] = set()  # variables that a name was put into, or what was printed for one
        self._holders: set[str] = set()  # those of them that are the name itself
        self._taken: list[tuple[str, str]] = []  # by which program, which variable

    def doubt(self, why: str) -> None:
        """Something that is not understood, and does no harm unless something is put in."""
        self._doubts.append(why)

    def certain(self, why: str) -> None:
        """A name is where it must not be."""
        self._certain.append(why)

    def name(self, commands: Sequence[Command]) -> None:
        """NAME is in the last of `commands`, each of which is within a word of the one before."""
        self._has_name = True
        innermost = commands[-1]
        if innermost.words[-1:] == [">"]:
            self.certain("NAME is in the path of a file that is written")
        if innermost.words[:1] == ["for"] and len(innermost.words) > 1:
            self._holders.add(innermost.words[1])
        for command in commands:
            assigned = _ASSIGNED.match(command.word or "")
            if assigned:
                (self._holders if command is innermost else self._carriers).add(assigned[1])
            elif command.at_program:
                self.certain("NAME is in the name of the program that is run")
            for program in programs.interpreters(command.words, command.word or ""):
                self.certain(f"{program} may take NAME for program text of its own")

    def variable(self, variable: str, commands: Sequence[Command]) -> None:
        """A variable is used there."""
        assigned = _ASSIGNED.match(commands[-1].word or "")
        if assigned and variable in self._holders:
            self._holders.add(assigned[1])
        if commands[-1].at_program:
            self._taken.append((_SHELL, variable))
            if not variable[0].isalpha():
                self.doubt(f"${variable} is (in) the name of a program")
        for command in commands:
            used = programs.interpreters(command.words, command.word or "")
            self._taken.extend((program, variable) for program in used)

    def command(self, command: Command) -> None:
        """A command is complete."""
        if command.words[:1] == ["read"]:
            self._carriers.update(command.words[1:])

    def all(self, text: str, runs: set[str]) -> Iterator[str]:
        """Why `text`, which runs these programs, has to be looked at."""
        yield from self._certain
        yield from self._doubts
        if not self._has_name:
            return
        for program in sorted(runs & programs.READING_PROGRAMS):
            yield f"{program} runs what it is given, and NAME may get there"
        for program, variable in self._taken:
            if variable in self._carriers | self._holders:
                yield f"{program} may take ${variable}, in which NAME is, for program text"
        for variable in sorted(self._holders):
            if re.search(rf"(\(\(|\[)[^)\]]*\b{re.escape(variable)}\b", text):
                yield f"arithmetic may take ${variable}, in which NAME is, for program text"
