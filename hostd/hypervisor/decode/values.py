"""Single values and arrays out of libvirt's flat parameters. What is of the wrong kind is as good as absent."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from hostd.model.perf import Monitor

Params = Mapping[str, object]
T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB
NANOSECONDS = 1_000_000_000
MAX_ITEMS = 4096  # of any array; libvirt's own largest is 4096 vCPUs


def each(params: Params, count_key: str, group: str, one: Callable[[Params, int, str], T | None]) -> tuple[T, ...]:
    """The items of an array that libvirt numbers from 0: `one` gets the parameters, the number and the keys' prefix."""
    count = min(count_of(params, count_key) or 0, MAX_ITEMS)
    items = (one(params, index, f"{group}.{index}") for index in range(count))
    return tuple(item for item in items if item is not None)


def numbers_in(params: Params, group: str) -> list[int]:
    """The numbers of an array whose keys have to be looked for, since it is numbered as libvirt likes."""
    pattern = re.compile(re.escape(group) + r"\.(0|[1-9][0-9]{0,9})\.")
    return sorted({int(found[1]) for key in params if (found := pattern.match(key))})[:MAX_ITEMS]


def monitor_of(params: Params, prefix: str) -> Monitor | None:
    """Whose a monitor's numbers are; without a name nobody could tell them from another's."""
    name = text_of(params, f"{prefix}.name")
    return None if name is None else Monitor(name=name, vcpus=text_of(params, f"{prefix}.vcpus") or "")


def count_of(params: Params, key: str) -> int | None:
    """A whole number that is not negative: libvirt writes -1 for what it does not know."""
    value = params.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def number_of(params: Params, key: str) -> float | None:
    """A number, whole or not, that is not negative."""
    value = params.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < math.inf else None


def flag_of(params: Params, key: str) -> bool | None:
    """Whether something is so."""
    value = params.get(key)
    return value if isinstance(value, bool) else None


def seconds_of(params: Params, key: str) -> float | None:
    """Seconds, of which libvirt tells nanoseconds."""
    value = count_of(params, key)
    return None if value is None else value / NANOSECONDS


def kib_of(params: Params, key: str) -> int | None:
    """Bytes, of which libvirt tells KiB."""
    value = count_of(params, key)
    return None if value is None else value * KIB


def mib_of(params: Params, key: str) -> int | None:
    """Bytes, of which libvirt tells MiB."""
    value = count_of(params, key)
    return None if value is None else value * MIB


def text_of(params: Params, key: str) -> str | None:
    """A text."""
    value = params.get(key)
    return value if isinstance(value, str) else None
