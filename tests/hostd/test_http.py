"""The HTTP side: its pages, the formats they come in, and its errors as problem documents."""

import asyncio
import gzip
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from hostd.exposition import OPENMETRICS, TEXT, Exposition
from hostd.http.negotiation import takes_gzip
from hostd.http.pages import PAGES
from hostd.http.server import CannotListen, application, serving
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.store import Store
from tests.support.builders import connected, full_domain, unconnected, world
from tests.support.hosts import CONNECTION_FACTS
from tests.support.pages import samples_of
from tests.support.running import GENEROUS_SECONDS

Client = TestClient[Request, Application]

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PLAIN = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@asynccontextmanager
async def client_of(*stores: Store, exposition: Exposition | None = None) -> AsyncIterator[Client]:
    """A client of hostd with these stores, whose Worlds of the moment are rendered."""
    exposition = exposition or Exposition()
    for store in stores:
        exposition.update(store.world)
    server = TestServer(application(stores, exposition))
    async with TestClient(server, auto_decompress=False) as client:
        yield client


@pytest.fixture
def store() -> Store:
    return Store(world(full_domain()))


@pytest.fixture
async def client(store: Store) -> AsyncIterator[Client]:
    async with client_of(store) as client:
        yield client


def store_of(name: str, *domains: Domain, uri: str = "qemu:///system") -> Store:
    """A store of one of several connections, which is up."""
    return Store(world(*domains, connection=replace(connected(), name=name, uri=uri)))


@pytest.mark.parametrize("path", [path for path, _, _ in PAGES])
async def test_every_page_answers_whether_libvirt_is_there_or_not(client: Client, store: Store, path: str) -> None:
    assert (await client.get(path)).status == 200
    assert (await client.head(path)).status == 200
    store.tell(changes.HypervisorLost(why="end of file"))
    assert (await client.get(path)).status == (503 if path == "/readyz" else 200)


async def test_prometheus_gets_the_format_it_prefers(client: Client) -> None:
    response = await client.get("/metrics", headers={"Accept": PROMETHEUS_3, "Accept-Encoding": "identity"})
    assert response.headers["Content-Type"] == OPENMETRICS
    assert samples_of(await response.text(), openmetrics=True)


@pytest.mark.parametrize("accept", [PLAIN, "*/*", "text/html", ""])
async def test_everybody_else_gets_plain_text(client: Client, accept: str) -> None:
    response = await client.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "identity"})
    assert response.headers["Content-Type"] == TEXT
    page = await response.text()
    assert ("libvirt_up", frozenset()) in samples_of(page)
    assert 'domain="alpha"' in page


@pytest.mark.parametrize("accept", [PROMETHEUS_3, PLAIN])
async def test_the_page_is_compressed_for_who_takes_that(client: Client, accept: str) -> None:
    plain = await client.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    response = await client.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    body = await response.read()
    assert b"libvirt_up 1\n" in gzip.decompress(body)
    assert len(body) < len(await plain.read()) / 2
    for answer in (plain, response):
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("accept_encoding", "is_compressed"),
    [
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("br , gzip ; q=1", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; Q=0.000", False),
        ("gzip;q=0, *;q=1", False),
        ("*;q=0", False),
        ("deflate", False),
        ("gzip;q=very", False),
        ("gzip;q=nan", False),
        (";;,,;q=", False),
    ],
)
def test_gzip_is_for_who_names_it_and_does_not_weigh_it_0(accept_encoding: str, *, is_compressed: bool) -> None:
    assert takes_gzip(accept_encoding) == is_compressed


async def test_head_says_what_get_would_without_a_body(client: Client) -> None:
    headers = {"Accept": PROMETHEUS_3, "Accept-Encoding": "gzip"}
    head = await client.head("/metrics", headers=headers)
    assert head.status == 200
    assert (head.headers["Content-Encoding"], head.headers["Content-Type"]) == ("gzip", OPENMETRICS)
    assert int(head.headers["Content-Length"]) > 0
    assert await head.read() == b""


class Slow(Exposition):
    """Takes as long over a page as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = threading.Event()
        self.is_free = threading.Event()

    def page(self, *, now: float, openmetrics: bool, gzip: bool) -> bytes:
        self.is_asked.set()
        assert self.is_free.wait(GENEROUS_SECONDS)
        return super().page(now=now, openmetrics=openmetrics, gzip=gzip)


async def test_a_page_that_takes_long_keeps_nobody_else_waiting(store: Store) -> None:
    slow = Slow()
    async with client_of(store, exposition=slow) as client, asyncio.TaskGroup() as group:
        scrape = group.create_task(client.get("/metrics").__aenter__())
        assert await asyncio.to_thread(slow.is_asked.wait, GENEROUS_SECONDS)
        assert (await client.get("/healthz")).status == 200
        assert not scrape.done()
        slow.is_free.set()
        assert (await scrape).status == 200


async def test_all_connections_are_on_one_page() -> None:
    async with client_of(store_of("east", full_domain()), store_of("west", full_domain())) as client:
        page = await (await client.get("/metrics", headers={"Accept-Encoding": "identity"})).text()
        connections = {dict(labels)["connection"] for name, labels in samples_of(page) if name == "libvirt_up"}
        assert connections == {"east", "west"}


async def test_hostd_is_ready_when_libvirt_answers_and_says_why_when_not() -> None:
    store = Store(unconnected())
    async with client_of(store) as client:
        response = await client.get("/readyz")
        assert (response.status, response.content_type) == (503, "application/problem+json")
        assert await response.json() == {
            "type": "about:blank",
            "status": 503,
            "title": "libvirt is not reachable",
            "detail": "test:///default: not connected yet",
        }
        store.tell(changes.HypervisorConnected(facts=CONNECTION_FACTS))
        assert (await client.get("/readyz")).status == 200
        assert (await client.get("/healthz")).status == 200


async def test_hostd_is_ready_when_every_libvirt_answers_and_names_each_that_does_not() -> None:
    stores = [store_of("east"), store_of("west", uri="xen:///system"), store_of("south")]
    async with client_of(*stores) as client:
        assert (await client.get("/readyz")).status == 200
        stores[0].tell(changes.HypervisorLost(why="end of file"))
        stores[1].tell(changes.HypervisorLost(why="refused"))
        response = await client.get("/readyz")
        assert response.status == 503
        assert (await response.json())["detail"] == "east (qemu:///system): end of file; west (xen:///system): refused"


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/metrics/alpha", "/%00", "/..%2fetc/passwd"])
async def test_a_page_that_is_not_there_is_a_problem_document(client: Client, path: str) -> None:
    response = await client.get(path)
    assert (response.status, response.content_type) == (404, "application/problem+json")
    assert (await response.json())["title"] == "Not Found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_method_that_a_page_does_not_take_is_a_problem_document_that_says_which_it_does(
    client: Client, method: str
) -> None:
    response = await client.request(method, "/metrics")
    assert (response.status, response.content_type) == (405, "application/problem+json")
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}
    assert (await response.json())["detail"] == f"{method} /metrics"


@pytest.mark.parametrize(("domains", "said"), [(0, "0 domains<"), (1, "1 domain<"), (2, "2 domains<")])
async def test_the_landing_page_says_what_there_is_and_where_to_go(domains: int, said: str) -> None:
    store = Store(world(*(full_domain(str(number), str(number)) for number in range(domains))))
    async with client_of(store) as client:
        response = await client.get("/")
        page = await response.text()
        assert response.content_type == "text/html"
        assert f"test:///default: connected to libvirt; {said}" in page
        for path, _, about in PAGES:
            assert not about or f'<a href="{path}">{path}</a>: {about}' in page
        store.tell(changes.HypervisorLost(why="end of file"))
        assert "test:///default: not connected to libvirt" in await (await client.get("/")).text()


async def test_the_landing_page_names_each_connection_and_lets_no_name_be_markup() -> None:
    stores = [store_of("east", full_domain()), store_of("<script>", uri="test:///a?b=<i>&c")]
    async with client_of(*stores) as client:
        page = await (await client.get("/")).text()
        assert "east (qemu:///system): connected to libvirt; 1 domain<" in page
        assert "&lt;script&gt; (test:///a?b=&lt;i&gt;&amp;c): connected to libvirt; 0 domains<" in page


async def test_an_address_that_is_taken_is_named(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"^cannot listen on 127\.0\.0\.1:{port}: Address already in use$"):
            async with serving([store], Exposition(), "127.0.0.1", port):
                pass


async def test_an_address_that_is_not_this_machines_is_named(store: Store) -> None:
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:9177: Cannot assign requested address"):
        async with serving([store], Exposition(), "192.0.2.1", 9177):
            pass


async def test_the_port_that_the_system_chose_is_told_and_free_again_afterwards(store: Store) -> None:
    async with serving([store], Exposition(), "127.0.0.1", 0) as port, ClientSession() as session:
        response = await session.get(f"http://127.0.0.1:{port}/healthz")
        assert await response.text() == "ok\n"
    async with serving([store], Exposition(), "127.0.0.1", port) as again:
        assert again == port
