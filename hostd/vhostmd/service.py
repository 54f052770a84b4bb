"""What of vhostmd's side runs, as the configuration wants it: made here, run by the daemon."""

import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, NoReturn, TypeAlias

from hostd.model.world import World
from hostd.settings import VhostmdSettings
from hostd.store import Store
from hostd.vhostmd import disk, programs, server, xenstore
from hostd.vhostmd.documents import Documents
from hostd.vhostmd.printed import Printed

Service: TypeAlias = tuple[str, Coroutine[Any, Any, NoReturn]]


def check(settings: VhostmdSettings) -> None:
    """Whether `services` can be made and run here.

    Raises:
        ConfigError: a metric of the operator's own cannot be told, or its program not be run.

    """
    Documents(settings, Printed())
    programs.check(settings)


def services(stores: Sequence[Store], settings: VhostmdSettings, *, checks_peer: bool) -> list[Service]:
    """The services by their names: one for each connection, or one for all; what is not wanted is not there."""
    printed = Printed()
    documents = Documents(settings, printed)
    return [
        *_programs(stores, settings, printed),
        *_servers(stores, settings, documents, checks_peer=checks_peer),
        *_for_all(stores, settings, documents),
    ]


def _programs(stores: Sequence[Store], settings: VhostmdSettings, printed: Printed) -> Iterator[Service]:
    if any(metric.exec for metric in settings.metric):
        for store in stores:
            yield _named("vhostmd programs", store), programs.keep(store, settings, printed)


def _servers(
    stores: Sequence[Store], settings: VhostmdSettings, documents: Documents, *, checks_peer: bool
) -> Iterator[Service]:
    def answer(world: World, uuid: str) -> bytes:
        return documents.answer(world, uuid, time.time())

    if settings.virtio:
        for store in stores:
            yield _named("vhostmd", store), server.keep(store, answer, checks_peer=checks_peer)


def _for_all(stores: Sequence[Store], settings: VhostmdSettings, documents: Documents) -> Iterator[Service]:
    size, period = settings.disk_size_bytes, settings.period_seconds

    def of_all() -> bytes:
        return documents.of_all([store.world for store in stores], time.time())

    def of_domain(world: World, uuid: str) -> bytes:
        return documents.of_domain(world, uuid, time.time())

    def for_xenstore(world: World, uuid: str) -> bytes:
        return documents.for_xenstore(world, uuid, time.time())

    if settings.disk_path:
        yield "vhostmd disk", disk.keep_shared(settings.disk_path, size, period, of_all)
    if settings.disk_folder:
        yield "vhostmd disks", disk.keep_each(stores, settings.disk_folder, size, period, of_domain)
    if settings.xenstore:
        yield "vhostmd xenstore", xenstore.keep(stores, period, for_xenstore, xenstore.XenstoreProgram())


def _named(what: str, store: Store) -> str:
    return f"{what} {store.world.connection.name}".rstrip()
