"""Libvirt's own event loop, in a thread of its own.

Why not libvirtaio: it drives libvirt's timers and handles on the asyncio thread, which is not safe once any libvirt
call runs in another thread. Here libvirt keeps to its thread, and what it tells crosses over with
`call_soon_threadsafe`.
"""

import functools
import logging
import threading

import libvirt

_log = logging.getLogger(__name__)


@functools.cache
def start() -> None:
    """Register and run libvirt's event loop, once a process. Must come before a connection is opened."""
    libvirt.registerErrorHandler(_ignore, None)  # every error also arrives as an exception
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run, name="libvirt-events", daemon=True).start()


def _run() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError as error:
            _log.error("libvirt's event loop: %s", error)


def _ignore(_context: object, _error: object) -> None:
    return
