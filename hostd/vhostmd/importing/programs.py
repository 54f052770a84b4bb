"""What is known of the programs that shell text runs: which one a command is, and which take text for program text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

RESERVED = re.compile(r"if|then|elif|else|fi|while|until|do|done|esac|!|\{|\}|time")
"""Words after which a command begins, or another may."""

_WRAPPERS = re.compile("chrt|command|env|exec|ionice|nice|nohup|setsid|stdbuf|sudo|taskset|timeout")
_OPTIONS_WITH_VALUES = frozenset({"-g", "-k", "-s", "-u"})  # of these
_NAMING = re.compile("declare|export|getopts|local|read|readonly|typeset|unset")
_NAMING_BY_OPTION = frozenset({"[", "printf", "test"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_REDIRECTIONS = frozenset("<>")

_SHELLS = ("ash", "bash", "dash", "ksh", "mksh", "sh", "zsh")
READING_PROGRAMS = frozenset({*_SHELLS, ".", "at", "batch", "eval", "parallel", "source", "ssh", "su", "xargs"})
"""Programs that run what they read, or what others printed."""

_INTERPRETERS = re.compile(
    r"[gmn]?awk|g?sed|perl[\d.]*|python[\d.]*|ruby[\d.]*|lua[\d.]*|tclsh|expect|node|php[\d.]*|jq|dc|m4|find|watch"
    r"|mysql|psql|sqlite3|gdb|runuser|chroot|nsenter|script|systemd-run|busybox|trap|alias|let|set|declare|typeset|\[\["
    "|" + "|".join(map(re.escape, sorted(READING_PROGRAMS)))
)
"""Programs that take an argument for program text, or run another program that may."""


def of(words: Sequence[str]) -> str | None:
    """The program that a command of these words runs, without its folder; None while they do not say."""
    is_wrapped = is_skipped = False
    for word in words:
        if is_skipped:
            is_skipped = False
        elif word in _REDIRECTIONS or (is_wrapped and word in _OPTIONS_WITH_VALUES):
            is_skipped = True
        elif _ASSIGNMENT.match(word) or (is_wrapped and (word[:1] == "-" or word[:1].isdigit())):
            continue
        elif _WRAPPERS.fullmatch(_base(word)):
            is_wrapped = True
        else:
            return _base(word)
    return None


def interpreters(words: Sequence[str], word: str) -> Iterator[str]:
    """Those among a command's words that may take the next one, of which `word` has been read, for program text."""
    is_variable = words[-1:] == ["-v"] and bool(_ASSIGNMENT.match(word))
    if "-v" in words and _base(words[0]) in _NAMING_BY_OPTION:
        yield words[0]
    for each in words:
        base = _base(each)
        if _INTERPRETERS.fullmatch(base) and not (is_variable and base.endswith("awk")):
            yield base


def makes_variables(words: Sequence[str]) -> bool:
    """Whether the next word is the name of a variable."""
    return list(words) == ["for"] or (bool(words) and bool(_NAMING.fullmatch(words[0])))


def _base(word: str) -> str:
    return word.rpartition("/")[2]


@dataclass(slots=True)
class Command:
    """A simple command as far as it has been read."""

    words: list[str] = field(default_factory=list)
    word: str | None = None  # that is being read

    @property
    def at_program(self) -> bool:
        """Whether what comes now is (part of) the program's name."""
        return of(self.words) is None and not (self.word and _ASSIGNMENT.match(self.word))

    def add(self, text: str) -> None:
        """Of the word that is being read."""
        self.word = (self.word or "") + text

    def end_word(self) -> None:
        """What comes next is another word."""
        if self.word is not None:
            self.words.append(self.word)
            self.word = None
        if len(self.words) == 1 and RESERVED.fullmatch(self.words[0]):
            self.words.clear()
