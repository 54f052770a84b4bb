"""What the operator lets each disk do (libvirt's iotune), by the domain's XML. To add a limit here: a row of `_LIMITS`.

A limit that is not set has no series: libvirt's 0 for it would read as "may do nothing", and the share of a limit that
is used (`rate(…) / …`) exists only where there is one. A family for each operation, since the total is no third beside
reads and writes, and a sum over all would mean nothing.
"""

from collections.abc import Iterable
from typing import Any

from hostd.metrics.row import Metric, Scope, gauge
from hostd.model.block import IoTune
from hostd.model.devices import Hardware
from hostd.model.domain import Domain

_OPERATIONS = (("total", "read and write"), ("read", "read"), ("write", "write"))
_LIMITS = (  # the name behind the operation, what it says, and the model's field
    ("bytes_per_second", "Bytes that the guest may {} in a second", "bytes_per_second"),
    ("requests_per_second", "Requests with which the guest may {} in a second", "requests_per_second"),
    ("burst_bytes_per_second", "Bytes that the guest may {} in a second of a burst", "burst_bytes_per_second"),
    (
        "burst_requests_per_second",
        "Requests with which the guest may {} in a second of a burst",
        "burst_requests_per_second",
    ),
    ("burst_bytes_length_seconds", "How long the guest may {} as many bytes as in a burst", "burst_bytes_seconds"),
    (
        "burst_requests_length_seconds",
        "How long the guest may {} with as many requests as in a burst",
        "burst_requests_seconds",
    ),
)


def _limit(name: str, help_: str, path: str) -> Metric[IoTune]:
    return gauge(f"libvirt_domain_block_iotune_{name}", f"{help_}; not there without a limit.", path)


IOTUNE: tuple[Metric[IoTune], ...] = (
    *(
        _limit(f"{operation}_{name}", help_.format(what), f"{operation}_{field}")
        for operation, what in _OPERATIONS
        for name, help_, field in _LIMITS
    ),
    _limit("request_bytes", "Length beyond which a request counts as several", "request_bytes"),
)

GROUP: tuple[Metric[float], ...] = (
    gauge(
        "libvirt_domain_block_iotune_info",
        "Which group shares the disk's limits: its disks may do together what each of them is said to.",
    ),
)


def _tuned(hardware: Hardware) -> Iterable[tuple[tuple[str, ...], IoTune]]:
    for disk in hardware.disks:
        if disk.iotune is not None:
            yield (disk.device,), disk.iotune


def _groups(hardware: Hardware) -> Iterable[tuple[tuple[str, ...], float]]:
    for disk in hardware.disks:
        if disk.iotune is not None and disk.iotune.group:
            yield (disk.device, disk.iotune.group), 1


SCOPES: tuple[Scope[Domain, Any, Any], ...] = (
    Scope(("target_device",), lambda d: d.facts.hardware, _tuned, IOTUNE),
    Scope(("target_device", "group"), lambda d: d.facts.hardware, _groups, GROUP),
)
