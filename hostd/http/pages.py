"""The pages for Prometheus, for supervisors and for somebody with a browser. To add one: a handler and its row."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

import hostd
from hostd.exposition import OPENMETRICS, TEXT, Exposition
from hostd.http.problems import problem
from hostd.store import Store

STORE = web.AppKey("store", Store)
EXPOSITION = web.AppKey("exposition", Exposition)

_LANDING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>hostd</title>
<style>body{{font:1rem/1.6 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}}</style></head>
<body><h1>hostd {version}</h1>
<p>{state}</p>
<ul>{links}</ul></body></html>
"""


async def metrics(request: web.Request) -> web.Response:
    """Everything known, in the format that was asked for. Made in a thread, from a World that cannot change."""
    openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
    world = request.app[STORE].world
    page = await asyncio.to_thread(request.app[EXPOSITION].page, world, now=time.time(), openmetrics=openmetrics)
    response = web.Response(body=page, headers={"Content-Type": OPENMETRICS if openmetrics else TEXT})
    response.enable_compression()
    return response


async def health(_request: web.Request) -> web.Response:
    """200 while the event loop turns: what a supervisor should restart hostd for the lack of."""
    return web.Response(text="ok\n")


async def readiness(request: web.Request) -> web.Response:
    """200 while libvirt answers, else 503 and why."""
    connection = request.app[STORE].world.connection
    if connection.is_up:
        return web.Response(text="ok\n")
    return problem(503, "libvirt is not reachable", f"{connection.uri}: {connection.why_down}")


async def landing(request: web.Request) -> web.Response:
    """What this is and where to go."""
    world = request.app[STORE].world
    count = len(world.domains)
    state = (
        f"Connected to libvirt; {count} domain{'' if count == 1 else 's'}."
        if world.connection.is_up
        else ("Not connected to libvirt; trying again.")
    )
    links = "".join(f'<li><a href="{path}">{path}</a>: {about}</li>' for path, _, about in PAGES if about)
    page = _LANDING.format(version=hostd.__version__, state=state, links=links)
    return web.Response(text=page, content_type="text/html", charset="utf-8")


PAGES: tuple[tuple[str, Callable[[web.Request], Awaitable[web.Response]], str], ...] = (
    ("/", landing, ""),
    ("/metrics", metrics, "everything, for Prometheus"),
    ("/healthz", health, "whether hostd itself is well"),
    ("/readyz", readiness, "whether libvirt answers"),
)
