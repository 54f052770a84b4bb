"""Which services run: those that the configuration wants, one for each connection or one for all."""

from typing import Any

import pytest

from hostd.config import ConfigError
from hostd.model.host import Connection
from hostd.model.world import World
from hostd.settings import VhostmdMetric, VhostmdSettings
from hostd.store import Store
from hostd.vhostmd import service
from hostd.vhostmd.importing import known
from hostd.vhostmd.sets import SETS

STORES = [Store(World(connection=Connection(uri="test:///default", name=name))) for name in ("here", "there")]
PROGRAM = VhostmdMetric(name="Tier", exec=("/bin/true",))


def names(**settings: Any) -> list[str]:  # noqa: ANN401 - any setting's
    services = service.services(STORES, VhostmdSettings(**settings), checks_peer=True)
    for _, coroutine in services:
        coroutine.close()
    return [name for name, _ in services]


@pytest.mark.parametrize(
    ("settings", "running"),
    [
        ({}, ["vhostmd here", "vhostmd there"]),
        ({"virtio": False}, []),
        ({"virtio": False, "metric": (PROGRAM,)}, ["vhostmd programs here", "vhostmd programs there"]),
        ({"virtio": False, "disk_path": "/a"}, ["vhostmd disk"]),
        ({"virtio": False, "disk_folder": "/a"}, ["vhostmd disks"]),
        ({"virtio": False, "xenstore": True}, ["vhostmd xenstore"]),
    ],
)
def test_what_is_wanted_runs_and_nothing_else(settings: dict[str, Any], running: list[str]) -> None:
    assert names(**settings) == running


@pytest.mark.parametrize(
    "metric",
    [
        VhostmdMetric(name="a", metric="libvirt_host_laod1"),
        VhostmdMetric(name="a", exec=("/bin/true",), user="no.body"),
    ],
)
def test_what_cannot_be_told_or_run_here_is_said_before_anything_runs(metric: VhostmdMetric) -> None:
    with pytest.raises(ConfigError, match=r"vhostmd\.metric\[0\]"):
        service.check(VhostmdSettings(metric=(metric,)))


@pytest.mark.parametrize("chosen", known.SETS)
def test_what_an_import_takes_for_a_set_is_what_that_set_tells(chosen: str) -> None:
    taken = {
        (name, type_, unit, each.context)
        for each in known.SETS[chosen]
        for name, type_, unit in zip(each.names, each.types, each.units, strict=True)
    }
    assert taken == {(row.name, row.type, row.unit, row.context) for row in SETS[chosen]}
