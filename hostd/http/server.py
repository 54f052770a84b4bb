"""The listener: starts, says which port it got, and ends without waiting for idle clients."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from hostd.exposition import Exposition
from hostd.http.pages import EXPOSITION, PAGES, STORES
from hostd.http.problems import problems
from hostd.store import Store

SHUTDOWN_SECONDS = 0.5  # for answers under way; systemd and Prometheus both come again


class CannotListen(Exception):  # noqa: N818 - named after the state of things
    """The address cannot be had; the message says which and why."""


def application(stores: Sequence[Store], exposition: Exposition) -> web.Application:
    """The routes over `stores`, one a connection; the metrics are what `exposition` was told."""
    app = web.Application(middlewares=[problems])
    app[STORES] = stores
    app[EXPOSITION] = exposition
    app.add_routes([web.get(path, handler) for path, handler, _ in PAGES])
    return app


@asynccontextmanager
async def serving(stores: Sequence[Store], exposition: Exposition, host: str, port: int) -> AsyncIterator[int]:
    """Serve for as long as the context lasts; gives the port, which the system chose if `port` is 0.

    Raises:
        CannotListen: the address is taken or is not this machine's.

    """
    runner = web.AppRunner(application(stores, exposition), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CannotListen(f"cannot listen on {host}:{port}: {reason}") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
