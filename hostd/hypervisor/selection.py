"""Which things are looked at, by shell patterns of their names: the operator's include and exclude. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """By patterns of names; one that is excluded is out even if it is included."""

    include: Sequence[str] = ()  # all, if there is no pattern
    exclude: Sequence[str] = ()

    @property
    def is_all(self) -> bool:
        """Whether nothing is passed over."""
        return not self.include and not self.exclude

    @property
    def is_none(self) -> bool:
        """Whether the patterns say already that everything is passed over."""
        return "*" in self.exclude

    def has(self, name: str) -> bool:
        """Whether what has that name is looked at."""
        is_included = not self.include or any(fnmatchcase(name, pattern) for pattern in self.include)
        return is_included and not any(fnmatchcase(name, pattern) for pattern in self.exclude)


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """Which of every domain's devices, by what their series are labelled with: the name of the target device.

    An interface without one is known by its place (`#0`), which counts those that are passed over, too: what is left
    out makes no other another one.
    """

    disks: Selection = EVERYTHING
    interfaces: Selection = EVERYTHING


ALL_DEVICES = Devices()
