"""Puts each active domain's metrics where Xen's guests look for them: /local/domain/ID/metrics in the xenstore.

Nobody is known to rely on it any more; it is here for those who do. Tried with a stand-in for `xenstore-write`, and
never on a real Xen.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NoReturn, Protocol

from hostd import telemetry
from hostd.model.world import World
from hostd.store import Store
from hostd.vhostmd import execution
from hostd.vhostmd.aside import begun
from hostd.vhostmd.causes import Causes
from hostd.vhostmd.execution import Outcome, Program, Stop

_log = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES = 4096  # of one message to the xenstore: the key, a NUL and the value
MAX_CALL_BYTES = 64 * 1024  # of one program's arguments; Linux allows twice as much at least
DEADLINE_SECONDS = 10.0
STOP_SECONDS = 2.0
AT_ONCE = 20  # documents that are made before others have their turn on the loop
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/xen/bin"

MISSING = "missing"


class XenstoreMissing(Exception):  # noqa: N818 - named for what is so
    """There is no way to it; the message says what to install."""


class Xenstore(Protocol):
    """A way to the xenstore."""

    async def write(self, values: Mapping[str, bytes]) -> Mapping[str, str]:
        """Write values by their keys; for those that could not be written, why.

        Raises:
            XenstoreMissing: there is no way to it.

        """


async def keep(
    stores: Sequence[Store], period_seconds: float, document: Callable[[World, str], bytes], port: Xenstore
) -> NoReturn:
    """Every period, for ever, write the documents of active domains that have changed."""
    written: dict[str, bytes] = {}
    causes = Causes()
    while True:
        due = time.monotonic() + period_seconds
        values = await _values(stores, document, causes)
        written = {key: value for key, value in written.items() if key in values}
        changed = {key: value for key, value in values.items() if written.get(key) != value}
        try:
            failed = await port.write(changed) if changed else {}
        except XenstoreMissing as error:
            telemetry.VHOSTMD_XENSTORE_WRITES.labels(MISSING).inc(len(changed))
            _tell(causes, MISSING, str(error))
        else:
            telemetry.VHOSTMD_XENSTORE_WRITES.labels("written").inc(len(changed) - len(failed))
            telemetry.VHOSTMD_XENSTORE_WRITES.labels("failed").inc(len(failed))
            for key, why in failed.items():
                _tell(causes, f"failed: {why}", f"{key}: {why}")
            written |= {key: value for key, value in changed.items() if key not in failed}
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _values(
    stores: Sequence[Store], document: Callable[[World, str], bytes], causes: Causes
) -> Mapping[str, bytes]:
    values: dict[str, bytes] = {}
    active = [(store, uuid) for store in stores for uuid, domain in store.world.domains.items() if domain.is_active]
    for number, (store, uuid) in enumerate(active, start=1):
        world = store.world
        if uuid in world.domains and world.domains[uuid].is_active:
            key, value = f"/local/domain/{world.domains[uuid].facts.id}/metrics", document(world, uuid)
            if _size(key, value) <= MAX_PAYLOAD_BYTES:
                values[key] = value
            else:
                telemetry.VHOSTMD_XENSTORE_WRITES.labels("too_large").inc()
                why = f"{len(value)} bytes of metrics are more than the xenstore takes; choose another vhostmd.set"
                _tell(causes, "too_large", f"{key}: {why}, or fewer of vhostmd.metric")
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return values


def _tell(causes: Causes, cause: str, message: str) -> None:
    if causes.is_news(cause):
        _log.warning("xenstore: %s (said once for all domains)", message)


def _size(key: str, value: bytes) -> int:
    return len(key.encode()) + 1 + len(value)


class XenstoreProgram:
    """The xenstore by Xen's own program, several values a call, which writes all of them or none.

    `-R` has it take values as they are: else a backslash in one would begin a character by its number.
    """

    def __init__(self, *, path: str = PATH, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._path = path
        self._deadline_seconds = deadline_seconds
        self._stop = Stop()

    async def write(self, values: Mapping[str, bytes]) -> Mapping[str, str]:
        """As `Xenstore` says. Those of a call that failed are written one by one: one domain may just have gone."""
        failed: dict[str, str] = {}
        for some in _calls(values):
            why = await self._call(some)
            if why is not None and len(some) > 1:
                tried = {key: await self._call({key: value}) for key, value in some.items()}
                failed |= {key: why for key, why in tried.items() if why is not None}
            elif why is not None:
                failed |= dict.fromkeys(some, why)
        return failed

    async def _call(self, values: Mapping[str, bytes]) -> str | None:
        """Why it failed, if it did."""
        pairs = [part for key, value in values.items() for part in (key, value)]
        program = Program(
            arguments=("xenstore-write", "-R", *pairs),
            environment={"PATH": self._path, "LANG": "C.UTF-8"},
            timeout_seconds=self._deadline_seconds,
        )
        job = begun(partial(_run, program, self._stop), name="vhostmd-xenstore")
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait([job], timeout=STOP_SECONDS)
            raise
        outcome = job.result()
        if outcome is None:
            raise XenstoreMissing(
                "there is no program xenstore-write; install it (Debian: xenstore-utils, others: Xen's tools), or set "
                "vhostmd.xenstore to false"
            )
        if outcome.result == execution.SUCCEEDED:
            return None
        said = outcome.errors.decode(errors="replace").strip()
        return f"xenstore-write: {outcome.why}" + (f"; it said {said!r}" if said else "")


def _run(program: Program, stop: Stop) -> Outcome | None:
    """In the thread; None without such a program."""
    if shutil.which("xenstore-write", path=program.environment["PATH"]) is None:
        return None
    return execution.run(program, stop)


def _calls(values: Mapping[str, bytes]) -> Iterator[Mapping[str, bytes]]:
    """The values in as many parts as calls are needed."""
    some: dict[str, bytes] = {}
    size = 0
    for key, value in values.items():
        more = _size(key, value) + 1
        if some and size + more > MAX_CALL_BYTES:
            yield some
            some, size = {}, 0
        some[key] = value
        size += more
    if some:
        yield some
