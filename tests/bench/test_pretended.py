"""The pretended node, given to the driver that has to take it."""

from pathlib import Path

import libvirt

from bench.pretended import node_xml


def test_the_test_driver_runs_every_domain_with_its_devices(tmp_path: Path) -> None:
    node = tmp_path / "node.xml"
    node.write_text(node_xml(300))
    connection = libvirt.open(f"test://{node}")
    try:
        domains = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        assert len({domain.UUIDString() for domain in domains}) == 300
        assert {("<disk" in domain.XMLDesc(), "<interface" in domain.XMLDesc()) for domain in domains} == {(True, True)}
    finally:
        connection.close()
