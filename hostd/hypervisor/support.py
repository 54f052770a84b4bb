"""Which calls a driver does not have: learnt at the first that says so, told once, and never made again.

Libxl and LXC have no bulk call, the test driver has no control info, an older libvirt has less of everything. Nobody
can ask beforehand; the call itself says so.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from hostd import telemetry
from hostd.hypervisor.link import in_one_line, is_alive

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Support:
    """What one connection's driver lacks. Asked from several threads: the worst of a race is a line told twice."""

    def __init__(self, connection_name: str) -> None:
        self.connection_name = connection_name
        self._prefix = connection_name and f"{connection_name}: "
        self._missing: set[str] = set()
        self._failing: set[str] = set()

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

    def attempt(self, call: str, question: Callable[[], T], connection: Any) -> T | None:  # noqa: ANN401 - no types
        """The same for a question of several, which may fail without the others: None then, and it is told when new.

        Raises:
            libvirt.libvirtError: the connection broke, so that the others have no answer either.

        """
        try:
            answer = self.ask(call, question)
        except libvirt.libvirtError as error:
            if not is_alive(connection):
                raise
            self._fail(call, in_one_line(error))
            return None
        if call in self._failing:
            self._failing.discard(call)
            telemetry.COLLECTOR_SUCCESS.labels(self.connection_name, call).set(1)
        return answer

    def _fail(self, call: str, why: str) -> None:
        if call in self._failing:
            return
        self._failing.add(call)
        telemetry.COLLECTOR_SUCCESS.labels(self.connection_name, call).set(0)
        _log.warning("%s%s: %s", self._prefix, call, why)

    def _learn(self, call: str, why: str) -> None:
        if call in self._missing:
            return
        self._missing.add(call)
        telemetry.COLLECTOR_SUCCESS.labels(self.connection_name, call).set(0)
        telemetry.COLLECTOR_UNSUPPORTED.labels(self.connection_name, call).set(1)
        _log.info("%s%s: not with this driver: %s", self._prefix, call, why)
