"""The metrics disks are kept: one for all or one for each, whatever comes, goes or fails, and hostd with them."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hostd import telemetry
from hostd.model import changes
from hostd.model.domain import Domain, DomainFacts
from hostd.model.world import World
from hostd.store import Store
from hostd.vhostmd import disk
from hostd.vhostmd.disk import keep_each, keep_shared
from protocol import mdisk
from tests.hostd.vhostmd.disks import header, read
from tests.hostd.vhostmd.scripts import names_in
from tests.support.builders import OTHER_UUID, UUID, facts, shut_off, unconnected, world
from tests.support.running import running, until

SIZE = mdisk.STEP_BYTES
OFTEN = 0.001
SELDOM = 3600.0


def counted(result: str) -> float:
    return telemetry.REGISTRY.get_sample_value("hostd_vhostmd_disk_writes_total", {"result": result}) or 0.0


def behind() -> float | None:
    return telemetry.REGISTRY.get_sample_value("hostd_vhostmd_disks_behind")


def holds(path: Path, content: bytes) -> bool:
    try:
        return (read(path) or b"").rstrip() == content.rstrip()
    except (FileNotFoundError, mdisk.NotMetricsDisk):
        return False


def store_of(*known: DomainFacts) -> Store:
    return Store(world(*(Domain(facts=each) for each in known)))


def whose(known: World, uuid: str) -> bytes:
    domain = known.domains[uuid]
    return f"{domain.name} {'runs' if domain.is_active else 'is off'}\n".encode()


def each(stores: Sequence[Store], folder: Path, period_seconds: float = OFTEN) -> Coroutine[Any, Any, NoReturn]:
    return keep_each(stores, str(folder), SIZE, period_seconds, whose)


async def test_a_shared_disk_has_the_document_of_the_moment_and_the_last_one_at_the_end(tmp_path: Path) -> None:
    path, document = tmp_path / "vhostmd0", b"one\n"
    async with running(keep_shared(str(path), SIZE, OFTEN, lambda: document)):
        await until(lambda: holds(path, b"one"))
        inode = path.stat().st_ino
        document = b"two\n"
        await until(lambda: holds(path, b"two"))
    assert (holds(path, b"two"), header(path).is_busy, path.stat().st_ino) == (True, False, inode)
    document_bytes = telemetry.REGISTRY.get_sample_value("hostd_vhostmd_disk_document_bytes")
    assert document_bytes == 4


async def test_a_document_that_is_too_large_is_told_once_and_the_old_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, document = tmp_path / "vhostmd0", b"old\n"
    async with running(keep_shared(str(path), SIZE, OFTEN, lambda: document)):
        await until(lambda: holds(path, b"old"))
        document, before = b"x" * SIZE, counted("too_large")
        await until(lambda: counted("too_large") >= before + 3)
        assert (holds(path, b"old"), header(path).is_busy, behind()) == (True, False, 1)
        assert telemetry.REGISTRY.get_sample_value("hostd_vhostmd_disk_document_bytes") == SIZE
        document = b"new\n"
        await until(lambda: holds(path, b"new") and behind() == 0)
    assert len(caplog.records) == 1
    assert f"{path}: 65536 bytes of metrics do not fit into the 65520 bytes of the disk; raise" in caplog.text


async def test_a_disk_that_cannot_be_written_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "not" / "there" / "vhostmd0"
    before = counted("no_folder")
    async with running(keep_shared(str(path), SIZE, OFTEN, lambda: b"x\n")):
        await until(lambda: counted("no_folder") >= before + 3)
        path.parent.parent.mkdir()
        await until(lambda: holds(path, b"x"))
    assert len(caplog.records) == 1


async def test_every_domain_has_a_disk_whether_it_runs_or_not(tmp_path: Path) -> None:
    store, folder = store_of(facts(), shut_off(OTHER_UUID, "beta")), tmp_path / "disks"
    alpha, beta = (folder / f"{uuid}.vhostmd" for uuid in (UUID, OTHER_UUID))
    async with running(each([store], folder)):
        await until(lambda: holds(alpha, b"alpha runs") and holds(beta, b"beta is off"))
        inode = beta.stat().st_ino
        store.tell(changes.DomainDescribed(facts=facts(OTHER_UUID, "beta")))
        await until(lambda: holds(beta, b"beta runs"))
        assert beta.stat().st_ino == inode
    assert names_in(folder) == [alpha.name, beta.name]
    assert folder.stat().st_mode & 0o777 == 0o711


async def test_a_new_domains_disk_is_there_without_waiting_for_the_period(tmp_path: Path) -> None:
    store = store_of(facts())
    async with running(each([store], tmp_path, SELDOM)):
        await until(lambda: holds(tmp_path / f"{UUID}.vhostmd", b"alpha runs"))
        store.tell(changes.DomainDescribed(facts=shut_off(OTHER_UUID, "beta")))
        await until(lambda: holds(tmp_path / f"{OTHER_UUID}.vhostmd", b"beta is off"))
        store.tell(changes.DomainGone(uuid=OTHER_UUID))
        await until(lambda: not (tmp_path / f"{OTHER_UUID}.vhostmd").exists())


async def test_a_disk_stays_while_libvirt_is_away_and_goes_with_its_domain(tmp_path: Path) -> None:
    store, path = store_of(facts()), tmp_path / f"{UUID}.vhostmd"
    async with running(each([store], tmp_path)):
        await until(lambda: holds(path, b"alpha runs"))
        store.tell(changes.HypervisorLost(why="gone"))
        before = counted("unchanged")
        await until(lambda: counted("unchanged") >= before + 3)
        assert path.exists()
        store.tell(changes.DomainsListed(domains=()))
        await until(lambda: not path.exists())


async def test_what_an_earlier_hostd_left_goes_once_every_libvirt_has_said_who_is_there(tmp_path: Path) -> None:
    one, other = Store(unconnected()), Store(unconnected())
    kept, gone = tmp_path / f"{UUID}.vhostmd", tmp_path / f"{OTHER_UUID}.vhostmd"
    others = [f"{OTHER_UUID}.vhostmd.bak", "notes.vhostmd", f"x{OTHER_UUID}.vhostmd", f"{OTHER_UUID.upper()}.vhostmd"]
    for name in (kept.name, gone.name, *others[:3]):
        (tmp_path / name).write_bytes(b"left")
    link = tmp_path / f"33333333-{OTHER_UUID[9:]}.vhostmd"
    link.symlink_to(tmp_path / "notes.vhostmd")
    async with running(each([one, other], tmp_path, SELDOM)):
        await until(lambda: all((changes.DomainsListed,) in store._changed for store in (one, other)))
        one.tell(changes.DomainsListed(domains=(facts(),)))
        await until(lambda: holds(kept, b"alpha runs"))
        assert gone.exists()
        other.tell(changes.DomainsListed(domains=()))
        await until(lambda: not gone.exists())
    assert names_in(tmp_path) == sorted([kept.name, link.name, *others[:3]])


async def test_of_two_connections_that_know_a_domain_the_one_where_it_runs_counts(tmp_path: Path) -> None:
    path = tmp_path / f"{UUID}.vhostmd"
    async with running(each([store_of(shut_off()), store_of(facts()), store_of(shut_off())], tmp_path)):
        await until(lambda: holds(path, b"alpha runs"))


async def test_a_disk_that_fails_costs_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    many = [f"{number:08d}{UUID[8:]}" for number in range(50)]
    (tmp_path / f"{many[0]}.vhostmd").symlink_to("/etc/passwd")
    (tmp_path / f"{many[1]}.vhostmd").mkdir()
    async with running(each([store_of(*(facts(uuid) for uuid in many))], tmp_path)):
        await until(lambda: all(holds(tmp_path / f"{uuid}.vhostmd", b"alpha runs") for uuid in many[2:]))
        await until(lambda: behind() == 2)
    assert len(caplog.records) == 1


async def test_a_folder_that_is_gone_comes_back_with_all_disks(tmp_path: Path) -> None:
    folder = tmp_path / "disks"
    path = folder / f"{UUID}.vhostmd"
    async with running(each([store_of(facts())], folder)):
        await until(lambda: holds(path, b"alpha runs"))
        folder.rename(tmp_path / "elsewhere")
        await until(lambda: holds(path, b"alpha runs"))


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> "Hanging":
    """A dead file server: writes begin and do not end."""
    hanging = Hanging()
    monkeypatch.setattr("hostd.vhostmd.diskfile.os.pwrite", hanging.pwrite)
    monkeypatch.setattr(disk, "SLOW_SECONDS", 0.001)
    return hanging


class Hanging:
    def __init__(self) -> None:
        self.begun = 0
        self.may_end = threading.Event()
        self._pwrite = os.pwrite

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        self.begun += 1
        assert self.may_end.wait(60)
        return self._pwrite(descriptor, data, offset)


async def test_a_write_that_hangs_holds_up_no_more_than_the_disks(
    tmp_path: Path, hanging: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    store, before = store_of(facts()), counted("slow")
    async with running(each([store], tmp_path)):
        await until(lambda: counted("slow") > before)
        for number in range(100):  # the loop turns, things happen, and nothing else is begun
            store.tell(changes.DomainDescribed(facts=facts(f"{number:08d}{UUID[8:]}")))
            await asyncio.sleep(0)
        threads = [thread for thread in threading.enumerate() if thread.name == "vhostmd-disk"]
        assert (hanging.begun, len(threads), threads[0].daemon) == (1, 1, True)
        hanging.may_end.set()
        await until(lambda: holds(tmp_path / f"00000099{UUID[8:]}.vhostmd", b"alpha runs"))
    assert "metrics disks wait for it" in caplog.text


async def test_what_has_begun_at_the_stop_is_finished(tmp_path: Path, hanging: Hanging) -> None:
    path = tmp_path / "vhostmd0"
    async with running(keep_shared(str(path), SIZE, OFTEN, lambda: b"whole\n")):
        await until(lambda: hanging.begun > 0)
        asyncio.get_running_loop().call_soon(hanging.may_end.set)  # by then it has been told to stop
    assert holds(path, b"whole")


async def test_what_hangs_does_not_hold_up_the_stop(
    tmp_path: Path, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "STOP_SECONDS", 0.01)
    async with running(keep_shared(str(tmp_path / "vhostmd0"), SIZE, OFTEN, lambda: b"whole\n")):
        await until(lambda: hanging.begun > 0)
    hanging.may_end.set()
    await until(lambda: all(thread.name != "vhostmd-disk" for thread in threading.enumerate()))
