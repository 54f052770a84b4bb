"""`hostd import-vhostmd`: a vhostmd.conf of any age becomes our [vhostmd], with what has to be looked at beside it.

`reading` has the XML, `structure` holds it against vhostmd's DTDs, `general` and `definitions` say what it means,
`choosing` finds the set of metrics that hostd tells by itself (by the table in `known`), and `carrying` makes programs
of the rest (by `shell`, which makes names harmless). `writing` writes. What vhostmd refuses is taken as it is meant.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hostd.vhostmd.importing import choosing, definitions, general, structure
from hostd.vhostmd.importing.carrying import Carried, Started, carried
from hostd.vhostmd.importing.reading import NotVhostmdError, Source, parse
from hostd.vhostmd.importing.remark import REFUSES, Remark, shown
from hostd.vhostmd.importing.writing import written

__all__ = ["Imported", "NotVhostmdError", "Started", "imported"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What to write, and what to tell the operator."""

    toml: str
    remarks: tuple[Remark, ...]

    @property
    def loud(self) -> tuple[Remark, ...]:
        """Those that somebody has to look at, by line."""
        return tuple(sorted((remark for remark in self.remarks if remark.is_loud), key=lambda remark: remark.line))


def imported(path: Path, data: bytes, started: Started) -> Imported:
    """Our settings for `data`, which `path` holds.

    Raises:
        NotVhostmdError: it is no configuration of vhostmd.

    """
    source = parse(data, str(path))
    basis, metrics = general.read(source.root), definitions.read(source.root)
    choice = choosing.choose(metrics)
    of_lines = [*structure.breaks(source.root), *choice.remarks, *(say for each in metrics for say in each.remarks)]
    tables = [_with_remarks(carried(each, family, started), of_lines) for each, family in choice.others]
    placed = {f"metric {table.line}" for table in tables}
    rest = [
        *_of_doctype(source, path),
        *_of_generations(source),
        *_of_connection(started),
        *basis.remarks,
        # what is said of a metric that has no place of its own is said where the set is
        *(
            replace(say, key="set") if say.key.startswith("metric") else say
            for say in of_lines
            if say.key not in placed
        ),
    ]
    toml = written(_head(path), _values(basis, choice.set), tables, _once(rest))
    return Imported(toml, (*_once(rest), *(say for table in tables for say in table.remarks)))


def _with_remarks(table: Carried, remarks: Iterable[Remark]) -> Carried:
    own = (say for say in remarks if say.key == f"metric {table.line}")
    return replace(table, remarks=(*_once(own), *table.remarks))


def _once(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    return tuple(dict.fromkeys(remarks))


def _head(path: Path) -> list[str]:
    goes = "goes into /etc/virtwire/hostd.toml, and `hostd check-config` says whether all is well"
    return [
        f"What {path} said to vhostmd, for hostd: it {goes}.",
        "A table that is a comment has to be looked at before it may be one no more.",
        "vhostmd's options -d, -p and -v have no counterpart: a supervisor starts hostd, and has its log.",
        "A program has 5 s, unless its timeout_seconds says otherwise; vhostmd waited for ever.",
        "vhostmd's values end in a newline unless it is SUSE's; newline_in_values = true keeps that.",
    ]


def _values(basis: general.General, name_of_set: str) -> dict[str, Any]:
    return {
        "virtio": basis.virtio,
        "disk_path": basis.disk_path,
        "disk_size_bytes": basis.disk_size_bytes,
        "xenstore": basis.xenstore,
        "set": name_of_set,
        "period_seconds": basis.period_seconds,
        "program_path": basis.program_path,
    }


def _of_doctype(source: Source, path: Path) -> Iterator[Remark]:
    doctype = source.doctype
    if doctype is None or doctype.system_id is None:
        line = 1 if doctype is None else doctype.line
        yield Remark(line, f"{REFUSES}: no DOCTYPE names a DTD; none is needed here")
        return
    if ":" in doctype.system_id.partition("/")[0]:
        yield Remark(doctype.line, f"the DTD {shown(doctype.system_id)} is not fetched", is_loud=False)
        return
    if not _is_there(path.parent / doctype.system_id):
        yield Remark(doctype.line, f"{REFUSES}: its DTD {shown(doctype.system_id)} is not there; none is needed here")
    if doctype.system_id.rpartition("/")[2] != "vhostmd.dtd":
        text = f"its DTD is {shown(doctype.system_id)}, which may allow more than vhostmd's own; it is not read here"
        yield Remark(doctype.line, text, is_loud=False)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # as of a name that is too long
        return False


def _of_generations(source: Source) -> Iterator[Remark]:
    """Which releases read it; that none does is said aloud."""
    generations = list(structure.generations(source.root))
    readers = [generation.name for generation, reasons in generations if not reasons]
    yield Remark(0, f"its form is that of vhostmd {'; '.join(readers) or 'of no release'}", is_loud=not readers)
    for generation, reasons in generations:
        for reason in reasons:
            text = f"vhostmd {generation.name} would refuse it: {reason.text}"
            yield Remark(reason.line, text, is_loud=not readers)


def _of_connection(started: Started) -> Iterator[Remark]:
    if started.connect is None:
        text = "if vhostmd was started with -c, import again with --connect; hostd's connections are in [[connection]]"
        yield Remark(0, text, is_loud=False)
    else:
        yield Remark(0, f"vhostmd was started with -c: [[connection]] has to have uri = {shown(started.connect)}")
    if not started.user:
        yield Remark(
            0, "if vhostmd was started with -u, import again with --user; programs run as hostd's user", is_loud=False
        )
