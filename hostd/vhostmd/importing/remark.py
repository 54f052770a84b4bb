"""What an operator is told of one place in a vhostmd.conf: what vhostmd does with it, and what becomes of it here."""

from dataclasses import dataclass

REFUSES = "vhostmd refuses to start"
WARNS = "vhostmd warns and leaves it out"
SILENT = "vhostmd says nothing"

MOST_SHOWN = 60  # characters of somebody's text within a sentence


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence about one line. `key` is the setting it is put beside; empty is the head of the file."""

    line: int
    text: str
    key: str = ""
    is_loud: bool = True  # said on standard error, too: somebody has to look


def shown(text: str) -> str:
    """`text` within a sentence: in quotes, on one line, and not all of it if it is long."""
    cut = text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
    return repr(cut)
