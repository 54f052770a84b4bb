"""The HTTP side: its pages, the formats they come in, and its errors as problem documents."""

import gzip
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from hostd.exposition import OPENMETRICS, TEXT
from hostd.http.pages import PAGES
from hostd.http.server import CannotListen, application, serving
from hostd.model import changes
from hostd.store import Store
from tests.support.builders import CONNECTION_FACTS, full_domain, unconnected, world
from tests.support.pages import samples_of

Client = TestClient[Request, Application]

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PLAIN = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.fixture
def store() -> Store:
    return Store(world(full_domain()))


@pytest.fixture
async def client(store: Store) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(store))) as client:
        yield client


@pytest.mark.parametrize("path", [path for path, _, _ in PAGES])
async def test_every_page_answers_whether_libvirt_is_there_or_not(client: Client, store: Store, path: str) -> None:
    assert (await client.get(path)).status == 200
    assert (await client.head(path)).status == 200
    store.tell(changes.HypervisorLost(why="end of file"))
    assert (await client.get(path)).status == (503 if path == "/readyz" else 200)


async def test_prometheus_gets_the_format_it_prefers(client: Client) -> None:
    response = await client.get("/metrics", headers={"Accept": PROMETHEUS_3})
    assert response.headers["Content-Type"] == OPENMETRICS
    assert samples_of(await response.text(), openmetrics=True)


@pytest.mark.parametrize("accept", [PLAIN, "*/*", "text/html", ""])
async def test_everybody_else_gets_plain_text(client: Client, accept: str) -> None:
    response = await client.get("/metrics", headers={"Accept": accept})
    assert response.headers["Content-Type"] == TEXT
    page = await response.text()
    assert ("libvirt_up", frozenset()) in samples_of(page)
    assert 'domain="alpha"' in page


async def test_the_page_is_compressed_for_who_takes_that(store: Store) -> None:
    async with TestClient(TestServer(application(store)), auto_decompress=False) as client:
        plain = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain.headers
        response = await client.get("/metrics", headers={"Accept-Encoding": "gzip"})
        assert response.headers["Content-Encoding"] == "gzip"
        body = await response.read()
        assert b"libvirt_up 1\n" in gzip.decompress(body)
        assert len(body) < len(await plain.read()) / 2


async def test_hostd_is_ready_when_libvirt_answers_and_says_why_when_not() -> None:
    store = Store(unconnected())
    async with TestClient(TestServer(application(store))) as client:
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


@pytest.mark.parametrize(("domains", "said"), [(0, "0 domains"), (1, "1 domain."), (2, "2 domains")])
async def test_the_landing_page_says_what_there_is_and_where_to_go(domains: int, said: str) -> None:
    store = Store(world(*(full_domain(str(number), str(number)) for number in range(domains))))
    async with TestClient(TestServer(application(store))) as client:
        response = await client.get("/")
        page = await response.text()
        assert response.content_type == "text/html"
        assert f"Connected to libvirt; {said}" in page
        for path, _, about in PAGES:
            assert not about or f'<a href="{path}">{path}</a>: {about}' in page
        store.tell(changes.HypervisorLost(why="<script>"))
        page = await (await client.get("/")).text()
        assert "Not connected to libvirt" in page
        assert "<script>" not in page


async def test_an_address_that_is_taken_is_named(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"^cannot listen on 127\.0\.0\.1:{port}: Address already in use$"):
            async with serving(store, "127.0.0.1", port):
                pass


async def test_an_address_that_is_not_this_machines_is_named(store: Store) -> None:
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:9177: Cannot assign requested address"):
        async with serving(store, "192.0.2.1", 9177):
            pass


async def test_the_port_that_the_system_chose_is_told_and_free_again_afterwards(store: Store) -> None:
    async with serving(store, "127.0.0.1", 0) as port, ClientSession() as session:
        response = await session.get(f"http://127.0.0.1:{port}/healthz")
        assert await response.text() == "ok\n"
    async with serving(store, "127.0.0.1", port) as again:
        assert again == port
