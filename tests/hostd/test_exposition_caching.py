"""What a scrape costs: nothing that was done before."""

import gzip
import threading
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from hostd.exposition import Exposition, compression, known, page
from hostd.exposition.render import table_of
from hostd.metrics.row import Scope, gauge, whole
from hostd.model.domain import Domain
from hostd.model.world import World
from tests.support.builders import OTHER_UUID, REPORT, UUID, connected, full_domain, guest, world
from tests.support.hosts import POOL
from tests.support.pages import NOW, page_of

ALPHA, BETA = full_domain(UUID, "alpha"), full_domain(OTHER_UUID, "beta")


def scrape(subject: Exposition, *, openmetrics: bool = False, now: float = NOW) -> str:
    return subject.page(now=now, openmetrics=openmetrics, gzip=False).decode()


def asked_for(monkeypatch: pytest.MonkeyPatch, part: str | None = None) -> list[str]:
    """One metric of a domain (or of a part of it) instead of all; whose items were asked for, in order."""
    asked: list[str] = []

    def items(part: object) -> Iterable[tuple[tuple[str, ...], float]]:
        asked.append(part.name if isinstance(part, Domain) else type(part).__name__)
        yield (), 1

    of = whole if part is None else lambda domain: getattr(domain, part)
    scope: Scope[Domain, object, float] = Scope((), of, items, (gauge("t_value", "Help."),))
    for module in (known, page):
        monkeypatch.setattr(module, "DOMAIN_TABLES", (table_of(scope),))
    monkeypatch.setattr(known, "_WIDTHS", (1,))
    return asked


def calls_of(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """The calls of a function of `page`, which are passed on."""
    calls: list[str] = []
    function = getattr(page, name)

    def spy(*arguments: object, **others: object) -> object:
        calls.append(name)
        return function(*arguments, **others)

    monkeypatch.setattr(page, name, spy)
    return calls


def test_a_domain_that_did_not_change_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_for(monkeypatch)
    subject = Exposition(CollectorRegistry())
    subject.update(world(ALPHA, BETA))
    first = scrape(subject)
    subject.update(world(ALPHA, BETA))
    assert scrape(subject) == first
    assert asked == ["alpha", "beta"]
    subject.update(world(ALPHA, replace(BETA, answered_at=1.0)))
    scrape(subject, openmetrics=True)
    assert asked == ["alpha", "beta", "beta"]


def test_a_part_of_a_domain_that_did_not_change_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_for(monkeypatch, "stats")
    subject = Exposition(CollectorRegistry())
    reported = replace(ALPHA, guest=guest(report=replace(REPORT, cpus=8)))
    for domain in (ALPHA, reported, replace(reported, stats=replace(reported.stats, vcpus_current=1))):  # type: ignore[type-var]
        subject.update(world(domain))
    assert asked == ["DomainStats", "DomainStats"]


def test_a_scrape_renders_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_for(monkeypatch)
    subject = Exposition(CollectorRegistry())
    subject.update(world(ALPHA, BETA))
    asked.clear()
    for openmetrics in (False, True):
        for compressed in (False, True):
            subject.page(now=NOW, openmetrics=openmetrics, gzip=compressed)
    assert asked == []


def test_an_update_joins_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = calls_of(monkeypatch, "_joined")
    subject = Exposition(CollectorRegistry())
    subject.update(world(ALPHA))
    subject.update(world(ALPHA, BETA))
    assert joined == []


def test_what_is_the_same_is_joined_and_compressed_once_for_each_format(monkeypatch: pytest.MonkeyPatch) -> None:
    joined, deflated = calls_of(monkeypatch, "_joined"), calls_of(monkeypatch, "deflated")
    subject = Exposition(CollectorRegistry())
    first = world(ALPHA)
    subject.update(first)
    for now in (NOW, NOW + 1, NOW + 2):
        for openmetrics in (False, True):
            for compressed in (False, True):
                subject.page(now=now, openmetrics=openmetrics, gzip=compressed)
    assert (len(joined), len(deflated)) == (2, 2)
    subject.update(replace(first, domains=dict(first.domains)))  # another World, and nothing in it is new
    subject.page(now=NOW, openmetrics=False, gzip=True)
    assert (len(joined), len(deflated)) == (2, 2)
    subject.update(world(BETA))
    subject.page(now=NOW, openmetrics=False, gzip=True)
    assert (len(joined), len(deflated)) == (3, 3)


def test_scrapes_at_once_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    joined, deflated = calls_of(monkeypatch, "_joined"), calls_of(monkeypatch, "deflated")
    subject = Exposition(CollectorRegistry())
    subject.update(world(ALPHA, BETA))
    together = threading.Barrier(8)

    def one(_: int) -> bytes:
        together.wait()
        return subject.page(now=NOW, openmetrics=False, gzip=True)

    with ThreadPoolExecutor(8) as pool:
        pages = set(pool.map(one, range(8)))
    assert len(pages) == 1
    assert (len(joined), len(deflated)) == (1, 1)


def test_worlds_of_several_connections_may_be_told_from_several_threads_at_once() -> None:
    subject = Exposition(CollectorRegistry())
    worlds = [world(ALPHA, BETA, connection=replace(connected(), name=f"c{at}")) for at in range(8)]
    together = threading.Barrier(len(worlds))

    def one(known_world: World) -> None:
        together.wait()
        subject.update(known_world)
        scrape(subject)

    with ThreadPoolExecutor(len(worlds)) as pool:
        list(pool.map(one, worlds))
    assert scrape(subject) == page_of(*worlds)


CHANGES = [
    lambda w: replace(w, domains={}),
    lambda w: replace(w, domains={UUID: replace(ALPHA, stats=None), OTHER_UUID: BETA}),
    lambda w: replace(w, domains={OTHER_UUID: BETA, UUID: ALPHA}),
    lambda w: replace(w, domains={UUID: full_domain(UUID, "renamed"), OTHER_UUID: BETA}),
    lambda w: replace(w, domains={UUID: replace(ALPHA, guest=guest(report=None)), OTHER_UUID: BETA}),
    lambda w: replace(w, domains={UUID: replace(ALPHA, events={("started", "booted"): 2})}),
    lambda w: replace(w, domains={UUID: replace(ALPHA, facts=replace(ALPHA.facts, promoted=(("team", "red"),)))}),
    lambda w: replace(w, pools={}),
    lambda w: replace(w, pools={POOL.uuid: replace(POOL, volumes=(*POOL.volumes, *POOL.volumes))}),
    lambda w: replace(w, connection=replace(w.connection, facts=None)),
    lambda w: replace(w, host=replace(w.host, load1=9.5)),
]


@given(st.lists(st.sampled_from(CHANGES), max_size=6))
def test_whatever_happened_before_the_page_is_that_of_the_world_now(changes: list[object]) -> None:
    subject = Exposition(CollectorRegistry())
    now = world(ALPHA, BETA)
    subject.update(now)
    for change in changes:
        now = change(now)  # type: ignore[operator]
        subject.update(now)
        assert sorted(scrape(subject).splitlines()) == sorted(page_of(now).splitlines())


def test_a_domain_that_is_gone_leaves_nothing_behind() -> None:
    subject = Exposition(CollectorRegistry())
    subject.update(world(ALPHA))
    scrape(subject)
    subject.update(world())
    assert UUID not in scrape(subject)
    assert subject._known[""].domains == {}


def test_hostds_own_metrics_are_those_of_the_moment() -> None:
    registry = CollectorRegistry()
    counter = Counter("t_scrapes", "Help.", registry=registry)
    subject = Exposition(registry)
    subject.update(world(ALPHA))
    for count in (0.0, 1.0, 2.0):
        assert f"t_scrapes_total {count}\n" in scrape(subject)
        counter.inc()


@pytest.mark.parametrize("openmetrics", [False, True])
def test_a_compressed_page_is_one_gzip_member_of_the_very_same_page(*, openmetrics: bool) -> None:
    subject = Exposition()
    for known_world in (world(), world(ALPHA), world(ALPHA, BETA)):
        subject.update(known_world)
        for now in (NOW, NOW + 5.25):
            packed = subject.page(now=now, openmetrics=openmetrics, gzip=True)
            reader = zlib.decompressobj(zlib.MAX_WBITS | 16)  # takes a single member
            opened = reader.decompress(packed)
            assert (reader.eof, reader.unused_data) == (True, b"")
            assert gzip.decompress(packed) == opened  # and checks the CRC and the size
            assert b"libvirt_up 1\n" in opened


@given(st.lists(st.binary(max_size=300)), st.binary(max_size=300))
def test_any_beginning_and_any_tail_make_one_member(start: list[bytes], tail: bytes) -> None:
    packed = compression.member(compression.deflated(start), tail)
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert reader.decompress(packed) == b"".join(start) + tail
    assert (reader.eof, reader.unused_data) == (True, b"")
