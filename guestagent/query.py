"""`guestagent get`: what the host said, as a running agent keeps it, for a script, a program or Prometheus.

Light on purpose: no asyncio, no msgpack, no dataclasses, for scripts in small guests call it often. Where there is no
agent, or no Virtwire on the host, vhostmd's metrics stand in (`guestagent.vhostmd`, loaded only then).
"""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FOUND = 0
UNKNOWN = 1
NO_ANSWER = 2

AGENT = "agent"
SOURCES: dict[str, tuple[str, ...]] = {
    "auto": (AGENT, "disk", "port"),
    AGENT: (AGENT,),
    "disk": ("disk",),
    "port": ("port",),
}
"""What `--source` may be, and what is asked for it, in this order."""

ANSWER_SECONDS = 5.0
MAX_ANSWER_BYTES = 1 << 20


class NoAnswer(Exception):  # noqa: N818 - named for what is so
    """No agent answers, or it has nothing to say."""


def run(socket_path: str, names: Sequence[str], form: str, source: str = "auto") -> int:
    """Print the values of `names` (all, if there are none) in the given form; the exit code."""
    try:
        document = ask_one_of(SOURCES[source], socket_path)
    except NoAnswer as error:
        return complain(str(error), NO_ANSWER)
    values: Mapping[str, Any] = document["metrics"]
    unknown = [name for name in names if name not in values]
    if unknown:
        known = "\n".join(f"  {name}" for name in values)
        return complain(f"unknown: {', '.join(unknown)}; these are known:\n{known}", UNKNOWN)
    if document["source"] == AGENT and not document["connected"]:
        complain(f"the host is away; its values are {document['age_seconds']:.0f} s old", FOUND)
    sys.stdout.write(FORMS[form](document, names))
    missing = [name for name in names if values[name] is None]
    if missing:
        return complain(f"not shared by the host: {', '.join(missing)}", UNKNOWN)
    return FOUND


def ask_one_of(sources: Sequence[str], socket_path: str) -> dict[str, Any]:
    """What the first of the sources tells that has anything, with `source`: which it was. Says so if it stands in.

    Raises:
        NoAnswer: none of them has; the message is about each.

    """
    reasons = []
    if AGENT in sources:
        try:
            return {**ask(socket_path), "source": AGENT}
        except NoAnswer as error:
            reasons.append(str(error))
    ways = [source for source in sources if source != AGENT]
    if ways:
        from guestagent.vhostmd import told  # noqa: PLC0415 - only where nobody of ours answers
        from guestagent.vhostmd.source import SourceFailed  # noqa: PLC0415

        try:
            document = told.tell(ways)
        except SourceFailed as error:
            reasons.append(f"no metrics of vhostmd's: {error}")
        else:
            why = "".join(f" ({reason})" for reason in reasons)
            complain(f"these are vhostmd's, from the {document['source']} {document['where']}{why}", FOUND)
            return document
    raise NoAnswer("; ".join(reasons))


def ask(socket_path: str) -> dict[str, Any]:
    """What the agent behind `socket_path` tells, with what the host said.

    Raises:
        NoAnswer: there is none, or it has heard nothing from the host yet.

    """
    answer = fetch(socket_path)
    if answer["metrics"] is None:
        state = "in a session with the host" if answer["connected"] else "no host has answered it"
        raise NoAnswer(f"the agent has no values from the host yet ({state})")
    return answer


def fetch(socket_path: str) -> dict[str, Any]:
    """What the agent behind `socket_path` tells.

    Raises:
        NoAnswer: there is none.

    """
    try:
        document: dict[str, Any] = json.loads(_receive(socket_path))
    except (OSError, ValueError) as error:
        raise NoAnswer(f"no agent answers at {socket_path}: {error}") from error
    return document


def complain(message: str, code: int) -> int:
    """Say it where errors go; the exit code to go with it."""
    sys.stderr.write(f"guestagent: {message}\n")
    return code


def plain(document: Mapping[str, Any], names: Sequence[str]) -> str:
    """One value a line in the order asked, empty where the host shares none; without names `name value` lines."""
    values = document["metrics"]
    if names:
        return "".join(f"{'' if values[name] is None else values[name]}\n" for name in names)
    return "".join(f"{name} {value}\n" for name, value in values.items() if value is not None)


def as_json(document: Mapping[str, Any], names: Sequence[str]) -> str:
    """One object; `null` is what the host does not share."""
    values = document["metrics"]
    told = {key: document[key] for key in ("version", "source", "connected", "age_seconds")}
    return json.dumps({**told, "metrics": {name: values[name] for name in names or values}}, indent=2) + "\n"


def prometheus(document: Mapping[str, Any], names: Sequence[str]) -> str:
    """The text format 0.0.4, for a node exporter's textfile directory."""
    values = document["metrics"]
    return "".join(
        _family(name, values[name], document["about"].get(name, ""))
        for name in dict.fromkeys(names or values)
        if values[name] is not None
    )


FORMS: dict[str, Callable[[Mapping[str, Any], Sequence[str]], str]] = {
    "plain": plain,
    "json": as_json,
    "prometheus": prometheus,
}


def _family(name: str, value: object, about: str) -> str:
    """One metric; a text is a label of a series that is always 1, as Prometheus' customs have it."""
    sample = f"{name} {value}"
    kind = "counter" if name.endswith("_total") else "gauge"
    if isinstance(value, str):
        escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        name, sample = f"{name}_info", f'{name}_info{{{name}="{escaped}"}} 1'
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n{sample}\n"


def _receive(socket_path: str) -> bytes:
    answer = bytearray()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(socket_path)
        while len(answer) <= MAX_ANSWER_BYTES:
            piece = connection.recv(1 << 16)
            if not piece:
                break
            answer += piece
    return bytes(answer)
