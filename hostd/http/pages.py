"""The pages for Prometheus, for supervisors and for somebody with a browser. To add one: a handler and its row."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from html import escape

from aiohttp import web

import hostd
from hostd.exposition import OPENMETRICS, TEXT, Exposition
from hostd.http.negotiation import takes_gzip, takes_openmetrics
from hostd.http.problems import problem
from hostd.model.host import Connection
from hostd.model.world import World
from hostd.store import Store

STORES: web.AppKey[Sequence[Store]] = web.AppKey("stores")
EXPOSITION = web.AppKey("exposition", Exposition)

_LANDING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>hostd</title>
<style>body{{font:1rem/1.6 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}}</style></head>
<body><h1>hostd {version}</h1>
<ul>{connections}</ul>
<ul>{links}</ul></body></html>
"""


async def metrics(request: web.Request) -> web.Response:
    """Everything known, in the format and the coding that are asked for; put together in a thread."""
    openmetrics = takes_openmetrics(request.headers.get("Accept", ""))
    gzip = takes_gzip(request.headers.get("Accept-Encoding", ""))
    exposition = request.app[EXPOSITION]
    page = await asyncio.to_thread(exposition.page, now=time.time(), openmetrics=openmetrics, gzip=gzip)
    headers = {"Content-Type": OPENMETRICS if openmetrics else TEXT, "Vary": "Accept, Accept-Encoding"}
    return web.Response(body=page, headers=headers | ({"Content-Encoding": "gzip"} if gzip else {}))


async def health(_request: web.Request) -> web.Response:
    """200 while the event loop turns: what a supervisor should restart hostd for the lack of."""
    return web.Response(text="ok\n")


async def readiness(request: web.Request) -> web.Response:
    """200 while every libvirt answers, else 503, and which does not and why."""
    connections = [store.world.connection for store in request.app[STORES]]
    down = [f"{_title(connection)}: {connection.why_down}" for connection in connections if not connection.is_up]
    return problem(503, "libvirt is not reachable", "; ".join(down)) if down else web.Response(text="ok\n")


async def landing(request: web.Request) -> web.Response:
    """What this is, what it is connected to, and where to go."""
    connections = "".join(f"<li>{escape(_state(store.world))}</li>" for store in request.app[STORES])
    links = "".join(f'<li><a href="{path}">{path}</a>: {about}</li>' for path, _, about in PAGES if about)
    page = _LANDING.format(version=hostd.__version__, connections=connections, links=links)
    return web.Response(text=page, content_type="text/html", charset="utf-8")


def _title(connection: Connection) -> str:
    return f"{connection.name} ({connection.uri})" if connection.name else connection.uri


def _state(world: World) -> str:
    count = len(world.domains)
    state = "connected to libvirt" if world.connection.is_up else "not connected to libvirt, trying again"
    return f"{_title(world.connection)}: {state}; {count} domain{'' if count == 1 else 's'}"


PAGES: tuple[tuple[str, Callable[[web.Request], Awaitable[web.Response]], str], ...] = (
    ("/", landing, ""),
    ("/metrics", metrics, "everything, for Prometheus"),
    ("/healthz", health, "whether hostd itself is well"),
    ("/readyz", readiness, "whether libvirt answers"),
)
