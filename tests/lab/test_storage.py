"""A file server that is away costs what is on it: the pool, the domain's disk. Nothing else, and only until it is back.

What is on it is a folder of the lab's on which libvirtd's file operations do not return (``blocked.py``), so that
libvirtd itself waits with the pool's, or the domain's, lock held, as it does for a dead NFS server.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

from tests.lab.blocked import BlockableFolder
from tests.lab.conftest import StartHostd, shown
from tests.lab.daemon import Hostd
from tests.lab.libvirtd import PrivateLibvirt, private_libvirt
from tests.lab.tiny import define_tiny, start_tiny
from tests.lab.waiting import wait_for

CAPACITY = "libvirt_storage_pool_capacity_bytes"
ROUNDS = 12
BLOCK = "libvirt_domain_block_stats_read_bytes_total"


@pytest.fixture(scope="module")
def remote(logs: list[Path]) -> Iterator[BlockableFolder]:
    """A folder that its libvirtd has, as it were, from a file server."""
    with private_libvirt() as own, shown(logs, own.log):
        folder = BlockableFolder(own, "remote")
        own.stop()
        own.start(env=folder.env)
        yield folder


@pytest.fixture(scope="module")
def host(remote: BlockableFolder) -> PrivateLibvirt:
    """A libvirt with a pool on the file server, a local one and a domain on local storage."""
    libvirtd = remote.libvirtd
    _start_pool(libvirtd, "local", str(libvirtd.subfolder("pool")))
    _start_pool(libvirtd, "remote", str(remote.path))
    start_tiny(libvirtd, "near")
    return libvirtd


@pytest.fixture
def far(host: PrivateLibvirt) -> Iterator[str]:
    """A domain with its disk on the file server."""
    domain = define_tiny(host, "far", folder="remote")
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    yield domain.name()
    domain.destroy()
    domain.undefine()


@pytest.fixture
def hostd(host: PrivateLibvirt, start_hostd: StartHostd) -> Hostd:
    """One that has seen all of this in good health."""
    hostd = start_hostd(host.uri, interval_seconds=0.5)
    _wait_told(hostd, "local", "remote")
    _wait_sampled(hostd, "near")
    return hostd


def test_a_pool_is_told_with_its_state_and_its_sizes(host: PrivateLibvirt, hostd: Hostd) -> None:
    state, capacity, _, _ = host.connection.storagePoolLookupByName("remote").info()

    assert state == libvirt.VIR_STORAGE_POOL_RUNNING
    assert hostd.value(CAPACITY, storage_pool="remote") == capacity
    assert hostd.value("libvirt_storage_pool_state", storage_pool="remote", state="running") == 1
    assert hostd.value("libvirt_storage_pool_state", storage_pool="remote", state="inactive") == 0


def test_a_pool_that_libvirtd_is_stuck_in_costs_the_pools_and_no_domain_and_few_threads_until_it_is_let_go(
    host: PrivateLibvirt, remote: BlockableFolder, hostd: Hostd
) -> None:
    with _stuck_in_refresh(host, remote):
        wait_for("the pool is told as stuck", lambda: _is_told_as_stuck(hostd), deadline=60, evidence=hostd.evidence)
        assert hostd.value(CAPACITY, storage_pool="remote") is None
        hostd.wait_for_sample("hostd_libvirt_stuck_calls", {}, lambda calls: calls > 0)
        threads = hostd.threads
        for _ in range(ROUNDS):
            hostd.wait_until_sampled(domain="near")
        assert hostd.threads < threads + ROUNDS / 2  # a leak is one a round; asyncio's own pool fills up by the way
        assert hostd.value("hostd_domain_responsive", domain="near") == 1
        assert hostd.value("hostd_collector_success", collector="domains") == 1
        assert hostd.value("libvirt_up") == 1

    _wait_told(hostd, "local", "remote")
    hostd.wait_for_sample("hostd_libvirt_stuck_calls", {}, lambda calls: calls == 0)


def test_pages_answer_while_libvirtd_is_stuck_in_a_domains_disk_and_all_is_right_once_it_is_let_go(
    remote: BlockableFolder, hostd: Hostd, far: str
) -> None:
    """Libvirtd holds the domain's lock meanwhile, so even its list of domains does not return: no exporter has one."""
    _wait_sampled(hostd, "near", far)

    with remote.blocked():
        wait_for(
            "the numbers of the stuck domain are dropped",
            lambda: hostd.value(BLOCK, domain=far) is None,
            deadline=60,
            evidence=hostd.evidence,
        )
        assert hostd.value("libvirt_domain_info", domain=far) == 1
        assert hostd.page("/healthz") == "ok\n"

    _wait_sampled(hostd, "near", far)
    hostd.wait_for_sample("hostd_libvirt_stuck_calls", {}, lambda calls: calls == 0)


def test_a_pool_that_comes_stops_and_is_forgotten_is_told_as_such(host: PrivateLibvirt, hostd: Hostd) -> None:
    pool = _start_pool(host, "passing", str(host.subfolder("passing")))
    _wait_told(hostd, "passing")

    pool.destroy()
    inactive = {"storage_pool": "passing", "state": "inactive"}
    hostd.wait_for_sample("libvirt_storage_pool_state", inactive, lambda is_so: is_so == 1)
    pool.undefine()

    wait_for(
        "the pool is off the page",
        lambda: hostd.value("libvirt_storage_pool_state", **inactive) is None,
        deadline=60,
        evidence=hostd.evidence,
    )
    _wait_told(hostd, "local", "remote")


def _start_pool(libvirtd: PrivateLibvirt, name: str, path: str) -> libvirt.virStoragePool:
    xml = f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
    pool = libvirtd.connection.storagePoolDefineXML(xml)
    pool.create()
    return pool


@contextmanager
def _stuck_in_refresh(host: PrivateLibvirt, remote: BlockableFolder) -> Iterator[None]:
    """Let libvirtd look at the pool's folder, which does not return for as long as the block lasts."""
    refresh = threading.Thread(target=host.connection.storagePoolLookupByName("remote").refresh)
    try:
        with remote.blocked():
            refresh.start()
            yield
    finally:
        refresh.join()


def _wait_sampled(hostd: Hostd, *names: str) -> None:
    for name in names:
        hostd.wait_until_sampled(domain=name)
        hostd.wait_for_sample(BLOCK, {"domain": name})


def _wait_told(hostd: Hostd, *pools: str) -> None:
    hostd.wait_for_sample("hostd_collector_success", {"collector": "storage"}, lambda success: success == 1)
    for pool in pools:
        hostd.wait_for_sample("hostd_storage_pool_responsive", {"storage_pool": pool}, lambda is_so: is_so == 1)
        hostd.wait_for_sample(CAPACITY, {"storage_pool": pool}, lambda size: size > 0)


def _is_told_as_stuck(hostd: Hostd) -> bool:
    """Whether the pool is known to be stuck, or all pools are: libvirt's list of them may hang for one."""
    pool = hostd.value("hostd_storage_pool_responsive", storage_pool="remote")
    pools = hostd.value("hostd_collector_success", collector="storage")
    return 0 in (pool, pools)
