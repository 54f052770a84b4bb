"""Which of a guest's names may become labels: so many at once, so many in all, and so many new ones an hour. Pure.

Each new label value is a series for ever in whoever scrapes us, and a guest can mount a filesystem of another name
every second. So what is new has a budget of its own, and what was here before costs nothing. Who came first keeps its
place: what is over is dropped and counted, by why.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from hostd.metrics.guest import FILESYSTEM
from protocol.bucket import full
from protocol.messages import Filesystem, Hello, Report

SERIES_EACH = len(FILESYSTEM)
NEW_PER_SECOND = 64 / 3600
NEW_RESERVE = 192.0  # two different sets of all that one report can hold, and then some
MOST_REMEMBERED = 1_024  # past it, only what is mounted now is known

_Names = tuple[str | None, ...]


class LeftOut(Enum):
    """Why a filesystem is not told of."""

    GUEST = "guest"  # this guest has too many series
    ALL = "all"  # all guests together have
    NEW = "new"  # it has had too many new names of late


@dataclass(slots=True)
class Allowance:
    """The series that all guests may have together."""

    left: int


class Labels:
    """One guest's, for as long as it is attended to."""

    def __init__(self, allowance: Allowance, max_series: int) -> None:
        self._allowance = allowance
        self._most = max_series // SERIES_EACH
        self._held = 0  # of the allowance
        self._seen: dict[_Names, None] = {}
        self._new = full(NEW_PER_SECOND, NEW_RESERVE)

    def admit(self, report: Report, now: float) -> tuple[Report, Mapping[LeftOut, int]]:
        """The report without the filesystems that may not be told of, and how many these are."""
        left_out: Counter[LeftOut] = Counter()
        self.release()
        kept: list[Filesystem] = []
        for filesystem in report.filesystems or ():
            why = self._why_not(filesystem, len(kept), now)
            if why is None:
                kept.append(filesystem)
                self._allowance.left -= SERIES_EACH
                self._held += SERIES_EACH
            else:
                left_out[why] += 1
        if len(self._seen) > MOST_REMEMBERED:
            self._seen = dict.fromkeys(map(_names, kept))
        return (replace(report, filesystems=tuple(kept)) if left_out else report), left_out

    def introduce(self, hello: Hello, now: float) -> Hello:
        """The hello, without what the agent says of its system if that is new too often."""
        about: _Names = (hello.os_name, hello.kernel_release, hello.machine, hello.hostname, hello.agent_version)
        if self._is_known(about, now):
            return hello
        return replace(hello, os_name=None, kernel_release=None, machine=None, hostname=None, agent_version="not told")

    def release(self) -> None:
        """What the guest has of the allowance is free again."""
        self._allowance.left += self._held
        self._held = 0

    def _why_not(self, filesystem: Filesystem, kept: int, now: float) -> LeftOut | None:
        if kept >= self._most:
            return LeftOut.GUEST
        if self._allowance.left < SERIES_EACH:
            return LeftOut.ALL
        return None if self._is_known(_names(filesystem), now) else LeftOut.NEW

    def _is_known(self, names: _Names, now: float) -> bool:
        if names in self._seen:
            return True
        if not self._new.take(now, 1.0):
            return False
        self._seen[names] = None
        return True


def _names(filesystem: Filesystem) -> _Names:
    return filesystem.mountpoint, filesystem.device, filesystem.fstype
