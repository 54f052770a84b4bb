"""KVM's own statistics, which libvirt hands through by the kernel's names: `PREFIX.NAME.cur`, `.sum` and `.max`.

There are about sixty of a virtual CPU, and the kernel may rename any, so only those on an allow-list are looked for.
"""

from collections.abc import Iterator, Sequence

from hostd.hypervisor.decode.values import NANOSECONDS, Params
from hostd.model.kvm import KvmStat


def kvm_of(params: Params, prefix: str, names: Sequence[str]) -> tuple[KvmStat, ...]:
    """Those of `names` that are there."""
    return tuple(_stats(params, prefix, names))


def _stats(params: Params, prefix: str, names: Sequence[str]) -> Iterator[KvmStat]:
    for name in names:
        current = _value(params, f"{prefix}.{name}.cur")
        total = _value(params, f"{prefix}.{name}.sum")
        peak = _value(params, f"{prefix}.{name}.max")
        if current is None and total is None and peak is None:
            continue
        if name.endswith("_ns"):
            yield KvmStat(
                name=name.removesuffix("_ns"),
                total_seconds=_seconds(total),
                current_seconds=_seconds(current),
                peak_seconds=_seconds(peak),
            )
        else:
            yield KvmStat(name=name, total=total, current=current, peak=peak)


def _value(params: Params, key: str) -> int | None:
    """A count, or a truth, which is 0 or 1 here: KVM has both under one roof."""
    value = params.get(key)
    return int(value) if isinstance(value, int) and value >= 0 else None


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / NANOSECONDS
