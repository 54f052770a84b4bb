"""What a host without Virtwire tells this guest by vhostmd's ways, as a document like the agent's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from guestagent import __version__
from guestagent.vhostmd import values, whose
from guestagent.vhostmd.source import SourceFailed
from protocol import vhostmd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guestagent.vhostmd.source import Found


class Places(NamedTuple):
    """Where the kernel's and udev's files are."""

    dev: str = "/dev"
    sys: str = "/sys"


USUAL = Places()


def tell(ways: Sequence[str], places: Places | None = None) -> dict[str, Any]:
    """What the first of the ways that knows anything brings, with `source`: which of them, and where.

    Raises:
        SourceFailed: none of them brings anything; the message is about them all.

    """
    places = places or USUAL
    reasons = []
    for way in ways:
        try:
            found = READERS[way](places)
            known = _known(found, places)
        except SourceFailed as error:
            reasons.append(str(error))
        else:
            return {
                "version": __version__,
                "connected": False,
                "age_seconds": None,
                "source": way,
                "where": found.where,
                "metrics": known,
                "about": {row.ours: row.about for row in values.ROWS},
            }
    raise SourceFailed("; ".join(reasons), "")


def _disk(places: Places) -> Found:
    from guestagent.vhostmd import disk  # noqa: PLC0415 - only what is asked

    return disk.read(places.dev, places.sys)


def _port(places: Places) -> Found:
    from guestagent.vhostmd import port  # noqa: PLC0415

    return port.read(places.dev, places.sys)


READERS: dict[str, Callable[[Places], Found]] = {"disk": _disk, "port": _port}


def _known(found: Found, places: Places) -> dict[str, object]:
    if found.content == vhostmd.INVALID:
        raise SourceFailed(f"{found.where}: the host does not understand vhostmd's request", "")
    metrics = vhostmd.metrics_in(found.content.decode("utf-8", "replace"))
    known = values.ours(vhostmd.own(metrics, whose.uuid(places.sys)))
    if not any(value is not None for value in known.values()):
        raise SourceFailed(f"{found.where}: {len(metrics)} metrics, and none that we have a name for", "")
    return known
