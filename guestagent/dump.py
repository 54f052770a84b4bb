"""`guestagent dump`, or `vm-dump-metrics`, which it stands in for: with its options, output, exit codes and words.

What it does not do is wait for ever. Light on purpose, and each source is loaded only when it is asked.
"""

from __future__ import annotations

import getopt
import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from guestagent.vhostmd.source import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DUMPED = 0
FAILED = 1
USAGE = 2

SOCKET = "/run/virtwire/guestagent.sock"

_USAGE = """\
usage: vm-dump-metrics [OPTION]...

Prints what the host tells this guest of itself and of this guest, as vhostmd's XML document.

  -b, --vbd        from vhostmd's metrics disk
  -i, --virtio     from the virtio port org.github.vhostmd.1
  -x, --xenstore   from xenstore, by the program xenstore-read
  -a, --agent      from the running guestagent: what a Virtwire host told it
  -d FILE, --dest=FILE
                   into FILE, which is overwritten, instead of standard output
  -v, --verbose    no effect
  -h, --help       this, on standard error

Of several sources the last in the order b, i, x counts, and -a only by itself. Without any, the disk, the port,
xenstore and the agent are tried in this order; what is wrong with those that fail is said on standard error.
A disk that is being written is waited for, for 15 s; the port's host has 5 s to read the question, and 5 s to answer.

exit codes:
  0  printed
  1  there are no metrics, or they cannot be written to FILE
  2  this text was asked for, or the options are wrong
"""


class Places(NamedTuple):
    """Where the sources are."""

    dev: str = "/dev"
    sys: str = "/sys"
    xenstore: str = "xenstore-read"
    socket: str = SOCKET


USUAL = Places()


class Source(NamedTuple):
    """One source: its option's letter and name, and what asks it."""

    letter: str
    name: str
    read: Callable[[Places], bytes]


def main(argv: Sequence[str] | None = None, places: Places = USUAL) -> int:
    """Dump once; the exit code."""
    try:
        options = _options(list(sys.argv[1:] if argv is None else argv))
    except getopt.GetoptError as error:
        sys.stderr.write(f"vm-dump-metrics: {error}\n{_USAGE}")
        return USAGE
    names = {name for name, _ in options}
    if names & {"-h", "--help"}:
        sys.stderr.write(_USAGE)
        return USAGE
    files = [value for name, value in options if name in {"-d", _DEST}]
    chosen = [source for source in SOURCES if names & {f"-{source.letter}", f"--{source.name}"}]
    content = _first(chosen[:1] or UNASKED, places)
    return FAILED if content is None else _write(content, files[-1] if files else None)


_DEST = "--\0dest"  # cannot be given: `dest` takes a value after `=` alone, for which getopt has no word
_LONG = ["verbose", "help", "vbd", "virtio", "xenstore", "agent", "dest", _DEST[2:] + "="]
_WITH_VALUE = re.compile(r"--d(?:e(?:s(?:t)?)?)?=(.*)", re.DOTALL)
_WANTS_VALUE = re.compile(r"-[vbixah]*d")


def _options(argv: list[str]) -> list[tuple[str, str]]:
    return getopt.gnu_getopt(list(_respelt(argv)), "vbixahd:", _LONG)[0]


def _respelt(argv: list[str]) -> Iterator[str]:
    """The arguments, with each `--dest=FILE` as getopt can read it."""
    is_over = is_value = False
    for each in argv:
        found = None if is_over or is_value else _WITH_VALUE.fullmatch(each)
        yield f"{_DEST}={found[1]}" if found else each
        is_over = is_over or (each == "--" and not is_value)
        is_value = not is_value and _WANTS_VALUE.fullmatch(each) is not None


def _first(sources: Sequence[Source], places: Places) -> bytes | None:
    """What the first source that works brings; what is wrong with the others is said."""
    for source in sources:
        try:
            return source.read(places)
        except SourceFailed as error:
            for line in error.said.splitlines():
                _say(line)
    return None


def _vbd(places: Places) -> bytes:
    from guestagent.vhostmd import disk  # noqa: PLC0415 - only what is asked

    found = disk.read(places.dev, places.sys)
    return _well_formed(found.content, found.where, disk.SAID)


def _virtio(places: Places) -> bytes:
    from guestagent.vhostmd import port  # noqa: PLC0415

    return port.read(places.dev, places.sys).content


def _xenstore(places: Places) -> bytes:
    from guestagent.vhostmd import xenstore  # noqa: PLC0415

    found = xenstore.read(places.xenstore)
    content = b'<?xml version="1.0"?>\n' + found.content + b"\n"
    return _well_formed(content, found.where, "get_xenstore_metrics(): Unable to export metrics")


def _agent(places: Places) -> bytes:
    from guestagent import query  # noqa: PLC0415
    from guestagent.vhostmd import values  # noqa: PLC0415
    from protocol import vhostmd  # noqa: PLC0415

    try:
        told = query.ask(places.socket)
    except query.NoAnswer as error:
        raise SourceFailed(str(error), f"get_agent_metrics(): Unable to export metrics: {error}") from error
    if not told["connected"]:
        _say(f"get_agent_metrics(): the host is away; its values are {told['age_seconds']:.0f} s old")
    return vhostmd.document(values.theirs(told["metrics"]))


SOURCES = (
    Source("x", "xenstore", _xenstore),
    Source("i", "virtio", _virtio),
    Source("b", "vbd", _vbd),
    Source("a", "agent", _agent),
)
"""Of several that are asked for the first counts."""

UNASKED = (SOURCES[2], SOURCES[1], SOURCES[0], SOURCES[3])


def _well_formed(content: bytes, where: str, said: str) -> bytes:
    """The content, if it is XML: libmetrics brings nothing else from here, and others go on to parse it.

    Raises:
        SourceFailed: it is not.

    """
    from xml.parsers import expat  # noqa: PLC0415 - it builds nothing, and entities are refused

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError) as error:
        why = f"{where}: not well-formed: {error}"
        raise SourceFailed(why, f"{said}\n{why}") from error
    return content


def _refuse(*_: object) -> None:
    raise ValueError("a declaration of entities")


def _write(content: bytes, path: str | None) -> int:
    try:
        if path is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            with open(path, "wb") as file:  # noqa: PTH123 - pathlib costs more than all the rest
                file.write(content)
    except OSError as error:
        _say(f"dump_metrics(): Unable to write metrics: {path or 'standard output'}: {error.strerror}")
        if path is None:  # Python would try again at its end, and complain once more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return DUMPED


def _say(words: str) -> None:
    sys.stderr.write(f"LIBMETRICS: {words}\n")


if __name__ == "__main__":
    sys.exit(main())
