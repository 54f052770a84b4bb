"""What a figure comes to: readings with their units, and how they are written for a person."""

import enum
from dataclasses import dataclass

_MILLISECONDS_BELOW = 1.0
_MEGABYTE = 1e6
_FRACTION_BELOW = 0.34  # 1/20 says more than 0.05


class Unit(enum.Enum):
    """What a reading counts; the value is what stands behind the number."""

    SECONDS = "s"
    BYTES = "MB"
    CORES = "% of a core"
    INTERVALS = "intervals"
    COUNT = "count"
    RATIO = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One number that was measured, and a few words on what it is of."""

    value: float
    unit: Unit
    of: str = ""

    def __str__(self) -> str:
        return f"{_number(self.value, self.unit)} {self.of}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A figure's readings: ours, what it stands beside, and the one that the target is about."""

    measured: Reading
    judged: Reading
    beside: Reading | None = None
    holds: bool = True  # whatever else the target asks for


def ratio(ours: Reading, theirs: Reading) -> Reading:
    """How many times theirs ours is."""
    return Reading(value=ours.value / theirs.value, unit=Unit.RATIO)


def _number(value: float, unit: Unit) -> str:  # noqa: PLR0911 - a unit each
    match unit:
        case Unit.SECONDS if value < _MILLISECONDS_BELOW:
            return f"{value * 1e3:.1f} ms"
        case Unit.BYTES if value < _MEGABYTE:
            return f"{value / 1e3:.1f} kB"
        case Unit.BYTES:
            return f"{value / 1e6:.1f} MB"
        case Unit.CORES:
            return f"{value * 100:.2f} % of a core"
        case Unit.COUNT:
            return f"{value:,.0f}"
        case Unit.RATIO if 0 < value < _FRACTION_BELOW:
            return f"1/{1 / value:.1f}"
        case _:
            return f"{value:.2f} {unit.value}".rstrip()
