"""What this guest says of itself: the report and the greeting, out of the probes.

A probe that fails, or whose value breaks the wire's own rules (the host would refuse the whole report for it), costs
its own fields and is logged once. A report that would not fit a frame loses filesystems, and says how many.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestagent import __version__
from guestagent.probes import FAILURES, PROBES, identity
from protocol import schema
from protocol.errors import RemoteProtocolError
from protocol.framing import MAX_FRAME_BYTES
from protocol.messages import OLDEST_VERSION, PROTOCOL_VERSION, Hello, Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guestagent.probes import Probe

ROOT = Path("/")

MOST_BODY_BYTES = MAX_FRAME_BYTES - 1024
"""What header, checksum, stuffing and delimiters leave of a frame, and some."""

_logger = logging.getLogger(__name__)
_record = schema.Record(Report)
_chance = random.SystemRandom()  # as `secrets` has it, without the 700 kB that importing that takes


class Reporter:
    """Runs the probes. Remembers which have failed, so that each is logged once until it works again."""

    def __init__(self, *, root: Path = ROOT, probes: Sequence[Probe] = PROBES) -> None:
        self._root = root
        self._probes = probes
        self._failed: set[Probe] = set()

    def report(self, dropped_frames: int) -> Report:
        """Everything measured now; what could not be is `None`."""
        measured: dict[str, Any] = {}
        for probe in self._probes:
            measured.update(self._read(probe))
        return fit(Report(dropped_frames=dropped_frames, **measured))

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
        )

    def _read(self, probe: Probe) -> Mapping[str, Any]:
        try:
            values = probe.read(self._root)
            _record.decode(_record.encode(Report(**values)), "report")
        except (*FAILURES, RemoteProtocolError) as error:
            if probe not in self._failed:
                self._failed.add(probe)
                _logger.warning("probe of %s failed, its values are left out: %s", probe.fields[0], error)
            return {}
        self._failed.discard(probe)
        return values


def fit(report: Report) -> Report:
    """The report, cut to what one frame takes: 64 mountpoints of long names in a wide script do not."""
    while len(schema.pack(_record, report)) > MOST_BODY_BYTES:
        kept = report.filesystems or ()
        left_out = (report.filesystems_left_out or 0) + len(kept) - len(kept) // 2
        report = dataclasses.replace(report, filesystems=kept[: len(kept) // 2], filesystems_left_out=left_out)
    return report
