"""vhostmd's substitutions in shell text, made anew so that what is put in can never be shell code.

vhostmd puts a VM's name into the text of a command, wherever NAME is in it, and the shell reads the result: a VM called
`a;touch X` runs touch. Here NAME becomes an expansion of an environment variable, and what an expansion comes to is
never read as shell text again, within quotes or without. So no mistake of the reader below can make a name code: it
could only part it into several words, or leave the variable's name in place of its value.

What the reader is for is to have the value arrive whole: `"$VAR"` outside quotes, `${VAR}` within double ones, and
`'"$VAR"'` within single ones. And to see where a value goes on from there: awk or another shell may take it for program
text of theirs, and no quoting here helps against that. Such places are `dangers`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hostd.vhostmd.importing import programs
from hostd.vhostmd.importing.dangers import Dangers
from hostd.vhostmd.importing.expansion import CONNECT, HOSTILE, VARIABLES, Form
from hostd.vhostmd.importing.programs import Command

_WORDS_WITH_TOKENS = re.compile(r"\w*(?:CONNECT|NAME|VMID|UUID)\w*")
_PARAMETER = re.compile(r"\$\{([A-Za-z_]\w*|[0-9@*#?$!-])")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*|[?$!#@*0-9-])")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)\+?=")
_REDIRECTION = re.compile(r"<<-?|[<>]+[&|]?")
_COMMENT = re.compile(r"[^\n]*")
_BACKTICKS = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL)
_MOST_DEPTH = 50
_CASE = re.compile(r"\bcase\b")


@dataclass(frozen=True, slots=True)
class Rewritten:
    """An action as /bin/sh is given it, and what there is to know about it."""

    text: str
    tokens: frozenset[str]  # that were replaced
    programs: frozenset[str]  # that it runs, as far as can be seen
    accidents: tuple[str, ...]  # words that have a token within them, which may not have been meant
    kept: tuple[str, ...]  # names of variables with a token in them, which were left as they are
    dangers: tuple[str, ...]  # why it has to be looked at before it may run


def rewritten(action: str, *, is_vm: bool, has_connect: bool) -> Rewritten:
    """`action` with vhostmd's substitutions, in its order: CONNECT first; NAME, VMID and UUID only of a VM."""
    tokens = [CONNECT, *(VARIABLES if is_vm else ())]
    found = (word for word in _WORDS_WITH_TOKENS.findall(action) if any(token in word for token in tokens))
    accidents = tuple(dict.fromkeys(word for word in found if word not in tokens))
    text = action if has_connect else action.replace(CONNECT, "")
    reader = _Reader(text, re.compile("|".join(tokens[0 if has_connect else 1 :]) or r"(?!)"))
    reader.script("")
    reader.end_command()
    replaced = reader.replaced | ({CONNECT} if CONNECT in action else set())
    return Rewritten(
        text="".join(reader.out),
        tokens=frozenset(replaced),
        programs=frozenset(reader.programs),
        accidents=tuple(word for word in accidents if word not in reader.kept),
        kept=tuple(dict.fromkeys(reader.kept)),
        dangers=tuple(dict.fromkeys(reader.dangers.all(text, reader.programs))) if reader.replaced else (),
    )


class _Reader:
    """Goes through shell text once, writing it anew."""

    def __init__(self, text: str, tokens: re.Pattern[str]) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.replaced: set[str] = set()
        self.programs: set[str] = set()
        self.kept: list[str] = []
        self._tokens = tokens
        self._commands = [Command()]  # the innermost last
        self.dangers = Dangers()
        self._is_bare = False
        self._depth = 0
        self._handlers: Mapping[str, Callable[[], None]] = {
            "\\": self._escape,
            "'": self._single,
            '"': self._double,
            "`": lambda: self._backticks(is_quoted=False),
            "$": lambda: self._dollar(is_quoted=False),
            "<": self._redirection,
            ">": self._redirection,
            "#": self._number_sign,
            **dict.fromkeys(" \t", self._blank),
            **dict.fromkeys("\n;&|)", self._separator),
            "(": self._subshell,
        }

    def script(self, end: str) -> None:
        """Read up to a bare `end`, or all there is."""
        self._depth += 1
        self._script(end)
        self._depth -= 1

    def _script(self, end: str) -> None:
        while self.at < len(self.text):
            char = self.text[self.at]
            if end and char == end:
                self.end_command()
                self._copy(1)
                return
            if not self._own_name() and not self._token(Form.UNQUOTED):
                self._handlers.get(char, self._plain)()
        if end:
            self.dangers.doubt(f"a {end} is missing")

    def end_command(self) -> None:
        """What comes next is another command."""
        command = self._commands[-1]
        command.end_word()
        program = programs.of(command.words)
        if program is not None:
            self.programs.add(program)
        self.dangers.command(command)
        self._commands[-1] = Command()

    def _copy(self, count: int) -> None:
        self.out.append(self.text[self.at : self.at + count])
        self.at += count

    def _add(self, count: int) -> None:
        self._commands[-1].add(self.text[self.at : self.at + count])
        self._copy(count)

    def _token(self, form: Form) -> str:
        """The token that is here, which is replaced; empty if there is none."""
        found = self._tokens.match(self.text, self.at)
        if found is None:
            return ""
        token = found[0]
        self.at = found.end()
        self.replaced.add(token)
        self.out.append((Form.BARE if self._is_bare else form).written(token))
        if token == HOSTILE:
            self.dangers.name(self._commands)
        self._commands[-1].add(token)
        return token

    def _own_name(self) -> bool:
        """A variable's name where one is made: it is left alone, as it is where the variable is used."""
        command = self._commands[-1]
        if command.word is not None:
            return False
        found = _ASSIGNED.match(self.text, self.at) if command.at_program else None
        if found is None and programs.makes_variables(command.words):
            found = _IDENTIFIER.match(self.text, self.at)
        if found is None:
            return False
        self._keep(found[0])
        self._add(len(found[0]))
        return True

    def _keep(self, text: str) -> None:
        if self._tokens.search(text):
            self.kept.append(text.rstrip("+="))

    def _plain(self) -> None:
        self._add(1)

    def _blank(self) -> None:
        self._commands[-1].end_word()
        self._copy(1)

    def _separator(self) -> None:
        self.end_command()
        self._copy(1)

    def _is_too_deep(self) -> bool:
        if self._depth < _MOST_DEPTH:
            return False
        self.dangers.doubt("it is nested too deep to be looked through")
        return True

    def _subshell(self) -> None:
        self._separator()
        if not self._is_too_deep():
            self.script(")")

    def _number_sign(self) -> None:
        if self._commands[-1].word is not None:
            self._plain()
            return
        comment = _COMMENT.match(self.text, self.at)
        assert comment is not None  # it may be empty
        self._copy(len(comment[0]))

    def _redirection(self) -> None:
        found = _REDIRECTION.match(self.text, self.at)
        assert found is not None  # one of both signs is here
        self._commands[-1].end_word()
        self._commands[-1].words.append(found[0][0])
        if found[0].startswith("<<"):
            self._is_bare = True
            self.dangers.doubt("a here-document is not looked through: see that its end is not in quotes")
        self._copy(len(found[0]))

    def _escape(self) -> None:
        """What is escaped is no token's beginning but itself, which it would be without the backslash as well."""
        if self._tokens.match(self.text, self.at + 1):
            self.at += 1
        elif self.text.startswith("\\\n", self.at):
            self._copy(2)
        else:
            self._add(2)

    def _single(self) -> None:
        self._commands[-1].add("")
        self._copy(1)
        while self.at < len(self.text):
            if self.text[self.at] == "'":
                self._copy(1)
                return
            if not self._token(Form.SINGLE):
                self._plain()
        self.dangers.doubt("a ' is missing")

    def _double(self) -> None:
        self._commands[-1].add("")
        self._copy(1)
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self._copy(1)
                return
            if not self._token(Form.DOUBLE):
                self._in_double(char)
        self.dangers.doubt('a " is missing')

    def _in_double(self, char: str) -> None:
        if char == "$":
            self._dollar(is_quoted=True)
        elif char == "`":
            self._backticks(is_quoted=True)
        elif char == "\\" and self._tokens.match(self.text, self.at + 1):
            self.out.append("\\")  # a second one, or the value's own $ were escaped
            self._plain()
        else:
            self._add(2 if char == "\\" else 1)

    def _dollar(self, *, is_quoted: bool) -> None:
        found = _VARIABLE.match(self.text, self.at)
        if found:
            self._keep(found[1])
            self.dangers.variable(found[1], self._commands)
            self._add(len(found[0]))
            return
        opening = self.text[self.at : self.at + 3]
        if opening.startswith("$(("):
            self._enclosed("$((", "(", ")", "arithmetic")
        elif opening.startswith("$(") and not self._is_too_deep():
            self._substitution()
        elif opening.startswith("${"):
            self._parameter()
        else:
            if opening.startswith("$'") and not is_quoted:
                self.dangers.doubt("$'…' is not the same in every shell")
            self._plain()

    def _substitution(self) -> None:
        self._copy(2)
        opened = len(self.out)
        self._commands.append(Command())
        self.script(")")
        self._commands.pop()
        self._commands[-1].add("$()")
        if _CASE.search("".join(self.out[opened:])):
            self.dangers.doubt("a `case` within $(…) is not looked through")

    def _parameter(self) -> None:
        found = _PARAMETER.match(self.text, self.at)
        if found is not None:
            self._keep(found[1])
            self.dangers.variable(found[1], self._commands)
            self._add(len(found[0]))
            self._enclosed("", "{", "}", "${…}", depth=1)
        else:
            self._enclosed("${", "{", "}", "${…}")

    def _enclosed(self, begin: str, opening: str, closing: str, what: str, depth: int = 0) -> None:
        """What is not looked through but for its end: there `${VAR}` is the one form that does no harm."""
        depth += begin.count(opening)
        self._add(len(begin))
        while self.at < len(self.text) and depth:
            char = self.text[self.at]
            token = self._token(Form.BARE)
            if token:
                if token == HOSTILE:
                    self.dangers.certain(f"NAME is within {what}, which some shells read as code of its own")
                continue
            if char in "'\"`\\":
                self.dangers.doubt(f"quotes within {what} are not looked through")
            depth += (char == opening) - (char == closing)
            self._plain()

    def _backticks(self, *, is_quoted: bool) -> None:
        """As $(…), where the same text needs no backslashes of its own; as it is if there is nothing to replace."""
        found = None if self._is_too_deep() else _BACKTICKS.match(self.text, self.at)
        if found is None:
            self.dangers.doubt("a ` is missing")
            self._plain()
            return
        inner = re.sub(r"\\([\\`$\"])" if is_quoted else r"\\([\\`$])", r"\1", found[1])
        whole, end, before, replaced = self.text, found.end(), len(self.out), set(self.replaced)
        self.text, self.at = inner, 0
        self.replaced.clear()
        self._commands.append(Command())
        self.script("")
        self.end_command()
        self._commands.pop()
        self._commands[-1].add("$()")
        inside = "".join(self.out[before:])
        self.out[before:] = [f"$( {inside}\n)" if self.replaced else found[0]]
        self.replaced |= replaced
        self.text, self.at = whole, end
