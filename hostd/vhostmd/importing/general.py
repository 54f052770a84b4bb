"""The part of a vhostmd.conf that is not metrics: which ways to guests, which file of which size, how often."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hostd.settings import VhostmdSettings
from hostd.vhostmd.importing.reading import Element
from hostd.vhostmd.importing.remark import REFUSES, SILENT, Remark, shown

DEFAULT_DISK = "/dev/shm/vhostmd0"  # noqa: S108 - vhostmd's own
TRANSPORTS = ("vbd", "virtio", "xenstore")
_STEP = 64 << 10  # what libmetrics reads at a time
_LEAST, _MOST = 1 << 10, 256 << 20  # bytes that vhostmd allows
_MOST_SECONDS = 3600
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}
_WHOLE = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*(\d*)")  # as C's strtol has it
_MOST_DIGITS = 18
_DEFAULTS = VhostmdSettings()


@dataclass(slots=True)
class General:
    """What is written of it, and what is said of that."""

    virtio: bool = False
    disk_path: str = ""
    disk_size_bytes: int = _DEFAULTS.disk_size_bytes
    xenstore: bool = False
    period_seconds: float = _DEFAULTS.period_seconds
    program_path: str = _DEFAULTS.program_path
    remarks: list[Remark] = field(default_factory=list)

    def say(self, key: str, line: int, text: str, *, is_loud: bool = True) -> None:
        """Remark on something."""
        self.remarks.append(Remark(line, text, key, is_loud))


def read(root: Element) -> General:
    """All of it; where nothing is said, vhostmd's own default or ours."""
    general = General()
    of = root.first("globals") or Element("globals", root.line)
    disk = of.first("disk") or Element("disk", of.line)
    transports = list(_transports(general, of.all("transport"), of.line))
    general.virtio, general.xenstore = "virtio" in transports, "xenstore" in transports
    _read_virtio(general, of.all("virtio"))
    _read_path(general, disk, is_used="vbd" in transports)
    if "vbd" in transports:
        _read_size(general, disk.first("size") or Element("size", disk.line))
    _read_period(general, of.first("update_period") or Element("update_period", of.line))
    _read_program_path(general, of.first("path") or Element("path", of.line))
    return general


def _transports(general: General, elements: Sequence[Element], line: int) -> Iterator[str]:
    found = False
    for element in elements:
        name = _transport(element.text)
        if name is None:
            meant = _transport(element.text.strip())
            hint = f"; if {meant} was meant, set it here" if meant else ""
            text = f"{SILENT} of the transport {shown(element.text)}, which it does not know; nor is it here{hint}"
            general.say("virtio", element.line, text)
            continue
        if element.text != name:
            text = f"the transport {shown(element.text)} is {name} to vhostmd, which looks at the beginning alone"
            general.say("virtio", element.line, text, is_loud=False)
        if name == "xenstore":
            text = f"{REFUSES} with the transport xenstore unless built for it; here the program xenstore-write is run"
            general.say("xenstore", element.line, text)
        found = True
        yield name
    if not found:
        general.say("disk_path", line, "without a transport that it knows vhostmd takes vbd, and so is it here")
        yield "vbd"


def _transport(text: str) -> str | None:
    return next((name for name in TRANSPORTS if text.lower().startswith(name)), None)


def _read_virtio(general: General, elements: Sequence[Element]) -> None:
    if not general.virtio:
        line = elements[0].line if elements else 0
        general.say("virtio", line, "there is no transport virtio; true would harm nobody", is_loud=False)
    for element in elements[1:]:
        general.say("virtio", element.line, f"{SILENT} of another <virtio>; the first one counts")
    reasons = {
        "channel_path": "is not needed: where a domain's socket is stands in its XML",
        "max_channels": "is not needed: a channel costs nobody else anything, and each domain that has one is served",
        "expiration_time": "is not needed: a channel is served while its domain runs, with what is known when it asks",
    }
    for child in elements[0].children if elements else ():
        if child.tag in reasons:
            text = f"<{child.tag}> {shown(child.text)} {reasons[child.tag]}"
            general.say("virtio", child.line, text, is_loud=False)


def _read_path(general: General, disk: Element, *, is_used: bool) -> None:
    element = disk.first("path") or Element("path", disk.line)
    path = element.text.strip()
    if not is_used:
        if path:
            text = f"vhostmd makes {shown(path)} and leaves it empty without the transport vbd; it is not made here"
            general.say("disk_path", element.line, text, is_loud=False)
        return
    if path != element.text:
        text = f"vhostmd takes the blanks around {shown(element.text)} for part of the path; they are left out here"
        general.say("disk_path", element.line, text)
    if path and not path.startswith("/"):
        general.say("disk_path", element.line, f"{shown(path)} begins in / for vhostmd, as its daemon does")
        path = f"/{path}"
    if not path:
        general.say("disk_path", element.line, f"an empty path is {DEFAULT_DISK} to vhostmd", is_loud=False)
    general.disk_path = path or DEFAULT_DISK
    text = "each domain sees the others' names and numbers there; disk_folder has a file for each domain instead"
    general.say("disk_path", element.line, text, is_loud=False)


def _read_size(general: General, size: Element) -> None:
    number, rest = _whole(size.text)
    unit = size.attributes.get("unit", "")
    factor = _UNITS.get(unit[:1].lower())
    default = f"; {general.disk_size_bytes} bytes are taken"
    if number is None:
        general.say("disk_size_bytes", size.line, f"{REFUSES}: the size {shown(size.text)} is no number{default}")
        return
    if factor is None:
        general.say("disk_size_bytes", size.line, f"{REFUSES}: the unit {shown(unit)} is neither k nor M{default}")
        return
    if rest.strip():
        general.say("disk_size_bytes", size.line, f"{SILENT} of {shown(rest.strip())} after the size, nor counts it")
    wanted = number * factor
    if not _LEAST <= wanted <= _MOST:
        text = f"{REFUSES}: {wanted} bytes are not between {_LEAST} and {_MOST}; what is nearest is taken"
        general.say("disk_size_bytes", size.line, text)
    rounded = -(-min(max(wanted, _LEAST), _MOST) // _STEP) * _STEP
    if rounded != wanted:
        text = f"{wanted} bytes are made a multiple of {_STEP}: guests read that much at a time, or not at all"
        general.say("disk_size_bytes", size.line, text)
    general.disk_size_bytes = rounded


def _read_period(general: General, period: Element) -> None:
    number, rest = _whole(period.text)
    if number is None or number < 1:
        text = f"{REFUSES}: the period {shown(period.text)} is no number from 1; {general.period_seconds} is taken"
        general.say("period_seconds", period.line, text)
        return
    if rest.strip():
        text = f"{SILENT} of {shown(rest.strip())} after the period, nor counts it; neither is it here"
        general.say("period_seconds", period.line, text)
    if number > _MOST_SECONDS:
        text = f"a period of {number} s is longer than {_MOST_SECONDS}, the longest there is here"
        general.say("period_seconds", period.line, text)
    general.period_seconds = float(min(number, _MOST_SECONDS))


def _read_program_path(general: General, path: Element) -> None:
    wanted = path.text.strip()
    if wanted != path.text:
        general.say("program_path", path.line, "the blanks around the path are left out", is_loud=False)
    if wanted:
        general.program_path = wanted
    else:
        text = "an empty path leaves vhostmd with the PATH it was started with; this is the default"
        general.say("program_path", path.line, text, is_loud=False)


def _whole(text: str) -> tuple[int | None, str]:
    """The number that `text` begins with, and the rest; one beyond all bounds is as good as any other such."""
    found = _WHOLE.match(text)
    assert found is not None  # all of it may be empty
    digits, rest = found[2], text[found.end() :]
    if not digits and not text[: found.end()].endswith("0"):
        return None, text
    return int(f"{found[1]}{digits[:_MOST_DIGITS] or '0'}"), rest
