"""The xenstore is written by Xen's own program, of which a stand-in keeps what it was told: nothing here is Xen."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hostd import telemetry
from hostd.model import changes
from hostd.model.domain import Domain, DomainFacts
from hostd.model.world import World
from hostd.store import Store
from hostd.vhostmd.xenstore import MAX_CALL_BYTES, XenstoreMissing, XenstoreProgram, keep
from protocol.vhostmd import Metric, Style, document
from tests.hostd.vhostmd.scripts import script
from tests.support.builders import OTHER_UUID, UUID, facts, shut_off, world
from tests.support.running import running, until

SYSTEM = "/usr/bin:/bin"
STAND_IN = r"""
for key in "$@"; do case "$key" in /local/domain/13/*) echo 'no such domain' >&2; exit 1;; esac; done
{ for argument in "$@"; do printf '%s\0' "$argument"; done; printf '\0'; } >>$here/calls
"""


class Xen:
    """What the stand-in was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script(folder, "xenstore-write", STAND_IN)

    @property
    def port(self) -> XenstoreProgram:
        return XenstoreProgram(path=f"{self.folder}:{SYSTEM}")

    @property
    def calls(self) -> list[list[bytes]]:
        """The arguments of each call, as bytes."""
        told = self.folder / "calls"
        text = told.read_bytes() if told.exists() else b""
        return [call.split(b"\0") for call in text.split(b"\0\0")[:-1]]

    @property
    def written(self) -> dict[bytes, bytes]:
        return {key: value for _, *pairs in self.calls for key, value in zip(pairs[::2], pairs[1::2], strict=True)}


@pytest.fixture
def xen(tmp_path: Path) -> Xen:
    return Xen(tmp_path)


def counted(result: str) -> float:
    return telemetry.REGISTRY.get_sample_value("hostd_vhostmd_xenstore_writes_total", {"result": result}) or 0.0


def store_of(*known: DomainFacts) -> Store:
    return Store(world(*(Domain(facts=each) for each in known)))


def name_of(known: World, uuid: str) -> bytes:
    return known.domains[uuid].name.encode()


def kept(
    store: Store, port: XenstoreProgram, document: Callable[[World, str], bytes] = name_of
) -> Coroutine[Any, Any, NoReturn]:
    return keep([store], 0.001, document, port)


async def test_each_value_is_written_as_it_is_by_one_call_for_all(xen: Xen) -> None:
    hostile = "a;touch X\n$(id) `id` '\" \\x41 \\\\ -R é"
    value = document([Metric(name="A", value=hostile)], Style.XENSTORE)
    values = {"/local/domain/1/metrics": value, "/local/domain/2/metrics": b"\xff<metrics/>"}
    assert await xen.port.write(values) == {}
    keys = (b"/local/domain/1/metrics", b"/local/domain/2/metrics")
    assert xen.calls == [[b"-R", keys[0], value, keys[1], b"\xff<metrics/>"]]


async def test_as_many_calls_are_made_as_their_arguments_need(xen: Xen) -> None:
    values = {f"/local/domain/{1000 + number}/metrics": b"%04d" % number * 1000 for number in range(40)}
    assert await xen.port.write(values) == {}
    assert xen.written == {key.encode(): value for key, value in values.items()}
    assert [len(call) // 2 for call in xen.calls] == [16, 16, 8]
    assert max(sum(len(part) + 1 for part in call[1:]) for call in xen.calls) <= MAX_CALL_BYTES


async def test_one_that_cannot_be_written_costs_no_other(xen: Xen) -> None:
    values = {f"/local/domain/{number}/metrics": b"%d" % number for number in (12, 13, 14)}
    failed = await xen.port.write(values)
    assert failed == {"/local/domain/13/metrics": "xenstore-write: exit status 1; it said 'no such domain'"}
    assert xen.written == {b"/local/domain/12/metrics": b"12", b"/local/domain/14/metrics": b"14"}


async def test_without_the_program_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(XenstoreMissing, match="there is no program xenstore-write; install it"):
        await XenstoreProgram(path=str(tmp_path)).write({"a": b"b"})


async def test_active_domains_are_written_and_what_has_changed_alone_again(xen: Xen) -> None:
    store = store_of(facts(name="one", id=5), shut_off(OTHER_UUID, "off"))
    five, six = b"/local/domain/5/metrics", b"/local/domain/6/metrics"
    async with running(kept(store, xen.port)):
        await until(lambda: xen.written == {five: b"one"})
        store.tell(changes.DomainDescribed(facts=facts(OTHER_UUID, "two", id=6)))
        await until(lambda: xen.written == {five: b"one", six: b"two"})
        store.tell(changes.DomainDescribed(facts=facts(name="new", id=5)))
        await until(lambda: xen.written == {five: b"new", six: b"two"})
    assert [call[1::2] for call in xen.calls] == [[five], [six], [five]]


async def test_what_the_xenstore_has_no_room_for_is_left_out(xen: Xen, caplog: pytest.LogCaptureFixture) -> None:
    key = "/local/domain/5/metrics"
    sizes = {UUID: 4096 - len(key) - 1, OTHER_UUID: 4096 - len(key)}
    store, before = store_of(facts(id=5), facts(OTHER_UUID, id=6)), counted("too_large")
    async with running(kept(store, xen.port, lambda _world, uuid: b"x" * sizes[uuid])):
        await until(lambda: counted("too_large") >= before + 2 and bool(xen.calls))
    assert xen.written == {key.encode(): b"x" * sizes[UUID]}
    assert len(caplog.records) == 1


async def test_what_failed_is_tried_again_and_told_once(xen: Xen, caplog: pytest.LogCaptureFixture) -> None:
    store, before = store_of(facts(id=13), facts(OTHER_UUID, id=6)), counted("failed")
    async with running(kept(store, xen.port)):
        await until(lambda: counted("failed") >= before + 3)
    assert xen.written == {b"/local/domain/6/metrics": b"alpha"}
    assert len(caplog.records) == 1
    assert "/local/domain/13/metrics: xenstore-write: exit status 1; it said 'no such domain'" in caplog.text


async def test_a_program_that_is_missing_is_told_once_and_used_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted("missing")
    port = XenstoreProgram(path=f"{tmp_path}:{SYSTEM}")
    async with running(kept(store_of(facts()), port)):
        await until(lambda: counted("missing") >= before + 3)
        xen = Xen(tmp_path)
        await until(lambda: xen.written == {b"/local/domain/1/metrics": b"alpha"})
    assert len(caplog.records) == 1


async def test_a_stop_ends_a_call_that_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    script(tmp_path, "xenstore-write", "echo begun >$here/begun; cat $here/pipe")
    port = XenstoreProgram(path=f"{tmp_path}:{SYSTEM}")
    async with running(kept(store_of(facts()), port)):
        await until((tmp_path / "begun").exists)
    await until(lambda: all(thread.name != "vhostmd-xenstore" for thread in threading.enumerate()))


async def test_any_way_to_it_will_do() -> None:
    class Memory:
        def __init__(self) -> None:
            self.values: dict[str, bytes] = {}

        async def write(self, values: Mapping[str, bytes]) -> Mapping[str, str]:
            self.values |= values
            return {}

    memory = Memory()
    async with running(keep([store_of(facts(id=3))], 0.001, name_of, memory)):
        await until(lambda: memory.values == {"/local/domain/3/metrics": b"alpha"})
    await asyncio.sleep(0)
