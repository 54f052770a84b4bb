"""What this guest says of itself: the report and the greeting, out of the probes.

A probe that fails, or whose value breaks the wire's own rules (the host would refuse the whole report for it), costs
its own fields and is logged once.
"""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestagent import __version__
from guestagent.probes import FAILURES, PROBES, identity
from protocol import schema
from protocol.errors import ProtocolError
from protocol.messages import OLDEST_VERSION, PROTOCOL_VERSION, Drop, Hello, Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guestagent.probes import Probe
    from protocol.errors import DropReason

ROOT = Path("/")

_logger = logging.getLogger(__name__)
_record = schema.Record(Report)
_chance = random.SystemRandom()  # as `secrets` has it, without the 700 kB that importing that takes


class Reporter:
    """Runs the probes. Remembers which have failed, so that each is logged once until it works again."""

    def __init__(self, *, root: Path = ROOT, probes: Sequence[Probe] = PROBES) -> None:
        self._root = root
        self._probes = probes
        self._failed: set[Probe] = set()
        self._instance = _chance.getrandbits(64)

    def report(self, drops: Mapping[DropReason, int], events_lost: int | None) -> Report:
        """Everything measured now, and what was lost so far; what is not known is `None`."""
        measured: dict[str, Any] = {}
        for probe in self._probes:
            measured.update(self._read(probe))
        return Report(
            dropped_frames=sum(drops.values()),
            drops=tuple(Drop(reason=reason.value, count=count) for reason, count in drops.items()),
            events_lost=events_lost,
            **measured,
        )

    def hello(self) -> Hello:
        """A greeting, with a nonce that no earlier one had."""
        return Hello(
            version_min=OLDEST_VERSION,
            version_max=PROTOCOL_VERSION,
            nonce=_chance.getrandbits(64),
            agent_version=__version__,
            boot_id=identity.boot_id(self._root),
            os_name=identity.os_name(self._root),
            kernel_release=identity.kernel_release(),
            machine=identity.machine(),
            hostname=identity.hostname(),
            instance=self._instance,
        )

    def _read(self, probe: Probe) -> Mapping[str, Any]:
        try:
            values = probe.read(self._root)
            schema.unpack(_record, schema.pack(_record, Report(**values)))
        except (*FAILURES, ProtocolError) as error:
            if probe not in self._failed:
                self._failed.add(probe)
                _logger.warning("probe of %s failed, its values are left out: %s", probe.fields[0], error)
            return {}
        self._failed.discard(probe)
        return values
