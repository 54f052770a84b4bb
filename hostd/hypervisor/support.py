"""Which calls a driver does not have: learnt at the first that says so, told once, and never made again.

Libxl and LXC have no bulk call, the test driver has no control info, an older libvirt has less of everything. Nobody
can ask beforehand; the call itself says so.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import libvirt

from hostd import telemetry
from hostd.hypervisor.link import in_one_line

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Support:
    """What one connection's driver lacks. Asked from several threads: the worst of a race is a line told twice."""

    def __init__(self, connection_name: str) -> None:
        self._connection_name = connection_name
        self._missing: set[str] = set()

    def ask(self, call: str, question: Callable[[], T]) -> T | None:
        """What `question` returns, or None if the driver does not have `call`.

        Raises:
            libvirt.libvirtError: any other failure.

        """
        if call in self._missing:
            return None
        try:
            return question()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                raise
            self._learn(call, in_one_line(error))
            return None

    def _learn(self, call: str, why: str) -> None:
        if call in self._missing:
            return
        self._missing.add(call)
        telemetry.COLLECTOR_SUCCESS.labels(self._connection_name, call).set(0)
        telemetry.COLLECTOR_UNSUPPORTED.labels(self._connection_name, call).set(1)
        _log.info("%s%s: not with this driver: %s", self._connection_name and f"{self._connection_name}: ", call, why)
