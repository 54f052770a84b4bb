"""Keeps the metrics disks: every period each gets the document of the moment, one for all domains or one for each.

Files are written in a thread, one piece of work at a time. Whatever holds it up, a dead file server, holds up the disks
and nobody else: nothing else is begun meanwhile, and hostd ends without it. What goes wrong with a disk costs only that
one, is told once and tried again in the next period.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from hostd import telemetry
from hostd.model import changes
from hostd.model.world import World
from hostd.store import Store
from hostd.vhostmd.aside import begun
from hostd.vhostmd.causes import Causes
from hostd.vhostmd.diskfile import Disk, DiskUnusable, failures_of

_log = logging.getLogger(__name__)

T = TypeVar("T")
Outcome = DiskUnusable | bool  # whether it had to be written

SLOW_SECONDS = 10.0  # a piece of work takes milliseconds; after this, somebody should know
STOP_SECONDS = 2.0  # what has begun by then is finished, unless it hangs
AT_ONCE = 20  # documents that are made before others have their turn on the loop

_WHO_IS_THERE = (changes.DomainsListed, changes.DomainDescribed, changes.DomainGone)
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SUFFIX = ".vhostmd"
_NAME = re.compile(_UUID + re.escape(_SUFFIX))


async def keep_shared(path: str, size_bytes: int, period_seconds: float, document: Callable[[], bytes]) -> NoReturn:
    """Keep one disk for all domains, for ever; cancelled, it leaves the last document whole."""
    disks = _Disks(size_bytes)
    try:
        while True:
            due = time.monotonic() + period_seconds
            disks.begin_round()
            await disks.write({Path(path): document()})
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    finally:
        await disks.close()


async def keep_each(
    stores: Sequence[Store],
    folder: str,
    size_bytes: int,
    period_seconds: float,
    document: Callable[[World, str], bytes],
) -> NoReturn:
    """Keep a disk of its own for every domain there is, active or not, for ever.

    QEMU opens it when it starts, so it is there before. `document` is asked for those that are not active as well.
    """
    async with asyncio.TaskGroup() as group:
        folder_ = _Folder(stores, Path(folder), _Disks(size_bytes), document)
        for store in stores:
            group.create_task(folder_.follow(store), name="vhostmd disks")
            group.create_task(folder_.await_listing(store), name="vhostmd disks: listing")
        await folder_.keep(period_seconds)
    raise AssertionError("it ends only by being cancelled")


class _Disks:
    """Open disks by their paths, and what is told of them."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._disks: dict[Path, Disk] = {}
        self._behind: set[Path] = set()
        self._causes = Causes()
        self._is_idle: Callable[[], bool] = lambda: True
        self._largest_bytes = 0

    @property
    def paths(self) -> Collection[Path]:
        """Those that there are or should be."""
        return self._disks.keys()

    def begin_round(self) -> None:
        """Each of them is written from here on."""
        self._largest_bytes = 0

    async def write(self, documents: Mapping[Path, bytes]) -> None:
        """Have these disks hold these documents, as far as possible."""
        work = [
            (self._disks.setdefault(path, Disk(path, self._size_bytes)), path, document)
            for path, document in documents.items()
        ]
        outcomes = await self._do(lambda: [_written(disk, document) for disk, _, document in work])
        for (_, path, _), outcome in zip(work, outcomes, strict=True):
            self._note(path, outcome)
        self._largest_bytes = max([self._largest_bytes, *map(len, documents.values())])
        telemetry.VHOSTMD_DOCUMENT_BYTES.set(self._largest_bytes)
        telemetry.VHOSTMD_DISKS_BEHIND.set(len(self._behind))

    async def remove(self, paths: Sequence[Path]) -> None:
        """Let go of these and delete them; one that cannot be is kept, to be removed another time."""
        work = [(self._disks.get(path), path) for path in paths]
        outcomes = await self._do(lambda: [_removed(disk, path) for disk, path in work])
        for path, outcome in zip(paths, outcomes, strict=True):
            if isinstance(outcome, DiskUnusable):
                self._note(path, outcome)
            else:
                self._disks.pop(path, None)
                self._behind.discard(path)
                telemetry.VHOSTMD_DISK_WRITES.labels("removed").inc()
        telemetry.VHOSTMD_DISKS_BEHIND.set(len(self._behind))

    async def strays(self, folder: Path) -> list[Path]:
        """The files of disks in the folder that are none of ours."""
        found = await self._do(lambda: _found(folder))
        return [path for path in found if path not in self._disks]

    async def close(self) -> None:
        """Let go of all, unless one of them hangs."""
        if self._is_idle():
            disks, self._disks = list(self._disks.values()), {}
            await self._do(lambda: _close(disks))

    async def _do(self, work: Callable[[], T]) -> T:
        """In the thread; what has begun is finished even by one who is cancelled, unless it hangs."""
        job = begun(work, name="vhostmd-disk")
        self._is_idle = job.done
        try:
            done, _ = await asyncio.wait([job], timeout=SLOW_SECONDS)
            if not done:
                self._tell_slow()
                await asyncio.wait([job])
        except asyncio.CancelledError:
            await asyncio.wait([job], timeout=STOP_SECONDS)
            raise
        return job.result()

    def _tell_slow(self) -> None:
        telemetry.VHOSTMD_DISK_WRITES.labels("slow").inc()
        if self._causes.is_news("slow"):
            some = next(iter(self._disks), "")
            _log.warning("%s: not written within %g s; metrics disks wait for it", some, SLOW_SECONDS)

    def _note(self, path: Path, outcome: Outcome) -> None:
        if isinstance(outcome, DiskUnusable):
            telemetry.VHOSTMD_DISK_WRITES.labels(outcome.reason).inc()
            self._behind.add(path)
            if self._causes.is_news(outcome.reason):
                _log.warning("metrics disk %s; what is on it stays (said once for all disks)", outcome)
        else:
            self._behind.discard(path)
            telemetry.VHOSTMD_DISK_WRITES.labels("written" if outcome else "unchanged").inc()


class _Folder:
    """The disks of domains, each its own."""

    def __init__(
        self, stores: Sequence[Store], folder: Path, disks: _Disks, document: Callable[[World, str], bytes]
    ) -> None:
        self._stores = stores
        self._folder = folder
        self._disks = disks
        self._document = document
        self._unlisted = len(stores)
        self._changed = asyncio.Event()
        self._has_swept = False

    async def follow(self, store: Store) -> None:
        """Wake `keep` for domains that come and go."""
        async for _ in store.worlds(*_WHO_IS_THERE):
            self._changed.set()

    async def await_listing(self, store: Store) -> None:
        """Until libvirt has said who is there: what is known before that may be nothing."""
        worlds = store.worlds(changes.DomainsListed)
        await anext(worlds)  # as it was: perhaps of a listing, and perhaps of none
        await anext(worlds)
        self._unlisted -= 1
        self._changed.set()

    async def keep(self, period_seconds: float) -> NoReturn:
        """Write them all every period, and those of new domains at once."""
        try:
            while True:
                due = time.monotonic() + period_seconds
                self._disks.begin_round()
                await self._write(self._wanted())
                await self._attend_until(due)
        finally:
            await self._disks.close()

    async def _attend_until(self, due: float) -> None:
        while time.monotonic() < due:
            self._changed.clear()
            wanted = self._wanted()
            await self._write({path: of for path, of in wanted.items() if path not in self._disks.paths})
            await self._clear_away(wanted)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await self._changed.wait()

    async def _clear_away(self, wanted: Mapping[Path, tuple[Store, str]]) -> None:
        gone = [path for path in self._disks.paths if path not in wanted]
        if not self._unlisted and not self._has_swept:
            self._has_swept = True
            gone += [path for path in await self._disks.strays(self._folder) if path not in wanted]
        if gone:
            await self._disks.remove(gone)

    async def _write(self, wanted: Mapping[Path, tuple[Store, str]]) -> None:
        paths = list(wanted)
        for at in range(0, len(paths), AT_ONCE):
            some = [(path, *wanted[path]) for path in paths[at : at + AT_ONCE]]
            documents = {
                path: self._document(store.world, uuid) for path, store, uuid in some if uuid in store.world.domains
            }
            await self._disks.write(documents)

    def _wanted(self) -> Mapping[Path, tuple[Store, str]]:
        """Whose disks there are to be, and which store knows best of them: one where it is active."""
        wanted: dict[Path, tuple[Store, str]] = {}
        for store in self._stores:
            for uuid, domain in store.world.domains.items():
                path = self._folder / f"{uuid}{_SUFFIX}"
                if _NAME.fullmatch(path.name) and (domain.is_active or path not in wanted):
                    wanted[path] = (store, uuid)
        return wanted


def _written(disk: Disk, document: bytes) -> Outcome:
    try:
        return disk.write(document)
    except DiskUnusable as error:
        return error


def _close(disks: Iterable[Disk]) -> None:
    for disk in disks:
        disk.close()


def _removed(disk: Disk | None, path: Path) -> Outcome:
    """A link would be removed, and not what it leads to."""
    try:
        with failures_of(path):
            path.unlink(missing_ok=True)
    except DiskUnusable as error:
        return error
    if disk is not None:
        disk.close()
    return True


def _found(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    return []
