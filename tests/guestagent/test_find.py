"""Finding a virtio port by its name, in a made-up /dev and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestagent import find
from guestagent.__main__ import PORT_NAME

NAME = "io.virtwire.agent.0"


class Guest:
    """A guest's ports."""

    def __init__(self, root: Path) -> None:
        self.dev = root / "dev"
        self.sys = root / "sys"
        self.dev.mkdir()
        self.ports = self.sys / "class" / "virtio-ports"

    def plug(self, entry: str, name: str | None = None) -> Path:
        (self.ports / entry).mkdir(parents=True)
        if name is not None:
            (self.ports / entry / "name").write_text(f"{name}\n", encoding="utf-8")
        node = self.dev / entry
        node.touch()
        return node

    def link(self, entry: str, name: str) -> Path:
        links = self.dev / "virtio-ports"
        links.mkdir(exist_ok=True)
        (links / name).symlink_to(f"../{entry}")
        return links / name

    def find(self) -> Path | None:
        return find.by_name(NAME, dev=self.dev, sys=self.sys)


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


def test_a_guest_without_virtio_serial_has_no_port(guest: Guest) -> None:
    assert guest.find() is None


def test_udevs_link_is_taken_first(guest: Guest) -> None:
    guest.plug("vport0p1", NAME)
    link = guest.link("vport0p1", NAME)
    assert guest.find() == link


def test_without_sysfs_udevs_link_is_believed(guest: Guest) -> None:
    (guest.dev / "vport0p1").touch()
    link = guest.link("vport0p1", NAME)
    assert guest.find() == link


@pytest.mark.parametrize("name", [None, "org.qemu.guest_agent.0"])
def test_a_link_to_what_has_become_another_port_is_not_taken(guest: Guest, name: str | None) -> None:
    guest.plug("vport0p1", name)
    guest.link("vport0p1", NAME)
    assert guest.find() is None


@pytest.mark.parametrize("name", ["", "\n"])
def test_a_consoles_port_which_has_no_name_is_never_taken(guest: Guest, name: str) -> None:
    guest.plug("vport0p0", name)
    assert find.by_name("", dev=guest.dev, sys=guest.sys) is None


def test_without_udev_the_name_is_looked_up_in_sysfs(guest: Guest) -> None:
    guest.plug("vport0p1", "org.qemu.guest_agent.0")
    node = guest.plug("vport1p2", NAME)
    assert guest.find() == node


def test_a_port_that_has_no_name_yet_is_passed_over_until_it_has(guest: Guest) -> None:
    node = guest.plug("vport0p3")
    assert guest.find() is None
    (guest.ports / "vport0p3" / "name").write_text(f"{NAME}\n", encoding="utf-8")
    assert guest.find() == node


def test_a_name_without_a_node_is_not_there_yet(guest: Guest) -> None:
    guest.plug("vport0p1", NAME).unlink()
    assert guest.find() is None


def test_a_link_left_over_from_an_unplugged_port_is_not_taken(guest: Guest) -> None:
    guest.link("vport0p1", NAME)
    assert guest.find() is None
    node = guest.plug("vport0p2", NAME)
    assert guest.find() == node


def test_a_port_that_comes_back_under_another_number_is_found(guest: Guest) -> None:
    guest.plug("vport0p1", NAME)
    (guest.ports / "vport0p1" / "name").unlink()
    node = guest.plug("vport0p2", NAME)
    assert guest.find() == node


def test_a_name_that_is_no_text_hides_no_other(guest: Guest) -> None:
    guest.plug("vport0p1", "")
    (guest.ports / "vport0p1" / "name").write_bytes(b"\xff\xfe\n")
    node = guest.plug("vport0p2", NAME)
    assert guest.find() == node


def test_a_node_is_a_virtio_port_by_sysfs_also_through_its_link(guest: Guest) -> None:
    node = guest.plug("vport0p1", NAME)
    link = guest.link("vport0p1", NAME)
    line = guest.dev / "ttyS0"
    line.touch()
    assert find.is_virtio(node, sys=guest.sys)
    assert find.is_virtio(link, sys=guest.sys)
    assert not find.is_virtio(line, sys=guest.sys)


def test_the_udev_rule_is_for_the_port_that_the_agent_looks_for() -> None:
    rules = Path(__file__).parents[2] / "packaging" / "70-virtwire-guestagent.rules"
    (rule,) = (line for line in rules.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    assert PORT_NAME == NAME
    assert rule == f'SUBSYSTEM=="virtio-ports", ATTR{{name}}=="{NAME}", GROUP="virtwire", MODE="0660"'
