"""A metric that hostd does not know, as a program of hostd's: its arguments, without a shell where none is needed."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hostd.vhostmd.importing.definitions import Definition
from hostd.vhostmd.importing.expansion import CONNECT, HOSTILE, URI, VARIABLES
from hostd.vhostmd.importing.remark import Remark, shown
from hostd.vhostmd.importing.shell import Rewritten, rewritten

MOST_ARGUMENT = 4096  # characters, as in `settings`
_SHELL = re.compile(r"[|&;<>()$`\\*?\[\]#~{}!\r\n]|^\s*[A-Za-z_]\w*=")
_BUILT_IN = re.compile(r"\.|:|alias|cd|command|eval|exec|exit|export|hash|read|set|shift|times|trap|type|ulimit|umask|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """With which options vhostmd was started, as far as they matter to actions."""

    connect: str | None = None  # -c
    user: str = ""  # -u


@dataclass(frozen=True, slots=True)
class Carried:
    """A [[vhostmd.metric]], and what is said of it. One that is not active has to be looked at first."""

    line: int
    table: Mapping[str, Any]
    remarks: tuple[Remark, ...]
    is_active: bool = True
    was: str = ""  # the action, where it was changed


def carried(metric: Definition, family: str, started: Started) -> Carried:
    """`metric` out of /metrics if it is a `family` there, else by its program."""
    table: dict[str, Any] = {"name": metric.name, "context": metric.context, "type": metric.type}
    if metric.unit and metric.type != "group":
        table["unit"] = metric.unit
    if family:
        text = f"{shown(metric.name)} is told out of hostd's own numbers"
        return Carried(
            metric.line, {**table, "metric": family}, (Remark(metric.line, text, metric.key, is_loud=False),)
        )
    script = rewritten(metric.action, is_vm=metric.context == "vm", has_connect=started.connect is not None)
    table["exec"] = _program(script)
    if metric.type == "group":
        table["variables"] = [_variable(name=each.name, type=each.type, unit=each.unit) for each in metric.variables]
    if started.user:
        table["user"] = started.user
    is_short = max(map(len, table["exec"])) <= MOST_ARGUMENT
    is_active = is_short and not (HOSTILE in script.tokens and script.dangers)
    texts = tuple(_texts(script, table["exec"], is_short=is_short, is_active=is_active))
    remarks = tuple(Remark(metric.line, f"{shown(metric.name)}: {text}", metric.key, loud) for text, loud in texts)
    return Carried(metric.line, table, remarks, is_active, metric.action if script.text != metric.action else "")


def _variable(**keys: str) -> dict[str, str]:
    return {key: value for key, value in keys.items() if value}


def _program(script: Rewritten) -> list[str]:
    """The arguments themselves if the shell would only have taken them apart."""
    if not script.tokens - {CONNECT} and not _SHELL.search(script.text):
        try:
            arguments = shlex.split(script.text)
        except ValueError:
            arguments = []
        if arguments and not _BUILT_IN.fullmatch(arguments[0]):
            return arguments
    return ["/bin/sh", "-c", script.text]


def _texts(script: Rewritten, program: list[str], *, is_short: bool, is_active: bool) -> Iterator[tuple[str, bool]]:
    """What is said, and whether on standard error, too."""
    if not is_active:
        why = (
            script.dangers[0] if is_short else f"its action is longer than {MOST_ARGUMENT} characters: make it a script"
        )
        yield f"is written as a comment, for you to look at first: {why}", True
    else:
        yield "is not known to hostd and is carried over as a program", True
    for danger in script.dangers[0 if is_active else 1 :]:
        yield f"look at it: {danger}", is_active
    if program[0] == "/bin/sh":
        yield "it needs a shell, which is given the text as it stands here: nothing is put into it", False
    for token in (token for token in VARIABLES if token in script.tokens):
        yield f"{token} was replaced by vhostmd and is now the variable {VARIABLES[token]}", False
    if HOSTILE in script.tokens:
        text = "a name may begin with a -, and be an option to a program; a UUID ($VIRTWIRE_DOMAIN_UUID) never is"
        yield text, False
    if CONNECT in script.tokens:
        has_uri = URI in script.text
        now = f"--connect with the variable {URI}" if has_uri else "nothing, as vhostmd had it without -c"
        yield f"CONNECT is {now}", False
    for word in script.accidents:
        yield f"{word} has a token of vhostmd's within it, which vhostmd replaced, too; is that meant?", True
    for name in script.kept:
        yield f"the variable {name} has a token of vhostmd's in its name, which is left as it is", True
