"""Real live migration of a running domain from one private libvirt to another.

``migrate`` moves a domain; ``migrating`` has it move at a crawl, so that a test can look at it meanwhile and then let
it ``finish`` or ``abort`` it. The memory goes through a socket in the target's folder, so that labs at the same time
cannot take each other's ports. A domain has no disk here, or one that both hosts reach by the same path; libvirt cannot
know that, and is told that it is safe. Channels have to be at paths of libvirt's choice: the two QEMUs run beside each
other on one machine, and the one that ends removes the socket of the other at a path that was given.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import libvirt

from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.waiting import wait_for

_FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_UNSAFE
)
_DEADLINE = 120.0
_CRAWL_MIB_PER_SECOND = 2  # QEMU's limit; a guest of 384 MiB needs a minute
_FULL_MIB_PER_SECOND = 4096


def migrate(domain: str, source: PrivateLibvirt, target: PrivateLibvirt) -> None:
    """Move a running domain with its definition, and return when the source has forgotten it: 2 to 4 s for a guest.

    A ``Guest`` is then reached at the other end once its ``libvirtd`` is set to the target.
    """
    _migrate(domain, source, target, {})


class Migration:
    """A migration that is under way."""

    def __init__(self, domain: libvirt.virDomain, done: "Future[None]") -> None:
        """Hold the domain at the source and what the call that moves it will come to."""
        self._domain = domain
        self._done = done

    def finish(self) -> None:
        """Let it go on at full speed, to its end."""
        self._domain.migrateSetMaxSpeed(_FULL_MIB_PER_SECOND)
        self._done.result(_DEADLINE)

    def abort(self) -> None:
        """Have libvirt give it up; the domain goes on at the source."""
        self._domain.abortJob()
        error = self._done.exception(_DEADLINE)
        code = error.get_error_code() if isinstance(error, libvirt.libvirtError) else None
        if code != libvirt.VIR_ERR_OPERATION_ABORTED:
            raise AssertionError(f"the migration was not aborted: {error!r}")

    @property
    def is_over(self) -> bool:
        """Whether the call that moves it has come back."""
        return self._done.done()

    def has_begun(self) -> bool:
        """Whether memory is on its way; if it has ended instead, that is raised."""
        if self.is_over:
            self._done.result()
        return bool(self._domain.jobStats().get("memory_processed"))


@contextlib.contextmanager
def migrating(domain: str, source: PrivateLibvirt, target: PrivateLibvirt) -> Iterator[Migration]:
    """Have a domain on its way, at a crawl, while the block lasts; what the block does not end is aborted."""
    crawl = {libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: _CRAWL_MIB_PER_SECOND}
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(_migrate, domain, source, target, crawl)
        migration = Migration(source.connection.lookupByName(domain), done)
        wait_for(f"{domain} is on its way", migration.has_begun, deadline=_DEADLINE)
        try:
            yield migration
        finally:
            if not migration.is_over:
                migration.abort()


def _migrate(domain: str, source: PrivateLibvirt, target: PrivateLibvirt, parameters: dict[str, Any]) -> None:
    moving = source.connection.lookupByName(domain)
    uri = f"unix://{target.folder}/run/migration-{moving.ID()}.sock"
    moving.migrate3(target.connection, {libvirt.VIR_MIGRATE_PARAM_URI: uri, **parameters}, _FLAGS)
