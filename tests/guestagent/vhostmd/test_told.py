"""`guestagent get` where there is no Virtwire on the host: the same names, from vhostmd's metrics."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from guestagent import query
from guestagent.vhostmd import port, told
from guestagent.vhostmd.source import Found, SourceFailed
from protocol.vhostmd import INVALID, Metric, Style, document
from tests.guestagent.vhostmd.places import UUID, Machine

if TYPE_CHECKING:
    from pathlib import Path

OTHER = UUID.replace("2", "3")
SHARED = document(
    [
        Metric("NumberOfPhysicalCPUs", "16", type="uint32"),
        Metric("HostName", "h"),
        Metric("TotalCPUTime", "1.5", type="real64", context="vm", id="1", uuid=OTHER),
        Metric("TotalCPUTime", "2.5", type="real64", context="vm", id="2", uuid=UUID),
    ]
)
KUBEVIRT = document(
    [
        Metric("NumberOfPhysicalCPUs", "2", type="int64"),
        Metric("ResourceMemoryLimit", "1048576", type="uint64", context="vm", unit="KiB"),
    ],
    Style.KUBEVIRT,
)


@pytest.fixture
def here(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine that this guest is."""
    monkeypatch.setattr(told, "USUAL", told.Places(str(machine.dev), str(machine.sys)))
    return machine


def known(places: Machine) -> dict[str, object]:
    answer = told.tell(["disk"], told.Places(str(places.dev), str(places.sys)))
    return {name: value for name, value in answer["metrics"].items() if value is not None}


def test_of_a_shared_disk_the_hosts_values_and_our_own(machine: Machine) -> None:
    machine.is_called(UUID)
    machine.metrics_disk(SHARED)
    assert known(machine) == {"host_cpus": 16, "host_name": "h", "domain_cpu_time_seconds_total": 2.5}


def test_of_a_shared_disk_the_hosts_values_alone_where_nobody_says_who_we_are(machine: Machine) -> None:
    machine.metrics_disk(SHARED)
    assert known(machine) == {"host_cpus": 16, "host_name": "h"}


def test_kubevirts_values_are_ours_without_a_word(machine: Machine) -> None:
    machine.is_called(UUID)
    machine.metrics_disk(KUBEVIRT)
    assert known(machine) == {"host_cpus": 2, "domain_memory_limit_bytes": 1 << 30}


def test_text_that_is_no_xml_is_read_all_the_same(machine: Machine) -> None:
    machine.metrics_disk(b"<metrics>\n  <metric type='string' context='host'>\n<name>HostName</name><value>a & \xff")
    with pytest.raises(SourceFailed, match="0 metrics"):
        known(machine)
    machine.metrics_disk(SHARED.replace(b"<value>h<", b"<value>a & \xff\n<"), name="vdc").rename(machine.dev / "vdb")
    assert known(machine)["host_name"] == "a & \ufffd"


def test_where_the_disk_tells_nothing_the_port_may(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.metrics_disk(b"<metrics>\n</metrics>\n")
    monkeypatch.setattr(port, "read", lambda *_: Found(KUBEVIRT + b"\n", "/dev/vport0p2"))
    answer = told.tell(["disk", "port"], told.Places(str(machine.dev), str(machine.sys)))
    assert (answer["source"], answer["where"], answer["metrics"]["host_cpus"]) == ("port", "/dev/vport0p2", 2)


def test_a_host_that_refuses_is_no_source(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "read", lambda *_: Found(INVALID, "/dev/vport0p2"))
    with pytest.raises(SourceFailed, match=r"^/dev/vport0p2: the host does not understand"):
        told.tell(["port"])


# The command


def test_get_keeps_its_names_and_says_where_the_values_are_from(
    here: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = here.metrics_disk(KUBEVIRT)
    socket = str(tmp_path / "nobody")
    assert query.run(socket, ["host_cpus", "domain_memory_limit_bytes"], "plain") == query.FOUND
    output = capsys.readouterr()
    assert output.out == "2\n1073741824\n"
    assert output.err == (
        f"guestagent: these are vhostmd's, from the disk {node}"
        f" (no agent answers at {socket}: [Errno 2] No such file or directory)\n"
    )
    assert query.run(socket, ["host_load1", "host_cpus"], "plain") == query.UNKNOWN
    output = capsys.readouterr()
    assert output.out == "\n2\n"
    assert output.err.endswith("guestagent: not shared by the host: host_load1\n")
    assert query.run(socket, ["hostcpus"], "plain") == query.UNKNOWN
    assert "unknown: hostcpus; these are known:\n  host_cpus\n" in capsys.readouterr().err


def test_get_in_json_has_its_source(here: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here.metrics_disk(KUBEVIRT)
    assert query.run(str(tmp_path / "nobody"), ["host_cpus"], "json", "disk") == query.FOUND
    printed = json.loads(capsys.readouterr().out)
    del printed["version"]
    assert printed == {"source": "disk", "connected": False, "age_seconds": None, "metrics": {"host_cpus": 2}}


def test_get_for_prometheus_has_the_same_families(
    here: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here.metrics_disk(KUBEVIRT)
    assert query.run(str(tmp_path / "nobody"), ["host_cpus"], "prometheus", "disk") == query.FOUND
    about = "# HELP host_cpus CPUs of the host that are online.\n# TYPE host_cpus gauge\n"
    assert capsys.readouterr().out == f"{about}host_cpus 2\n"


def test_an_agent_that_knows_something_comes_first(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here.metrics_disk(KUBEVIRT)
    theirs = {"connected": True, "metrics": {"host_cpus": 4}}
    monkeypatch.setattr(query, "fetch", lambda _: theirs)
    assert query.run("socket", ["host_cpus"], "plain") == query.FOUND
    assert capsys.readouterr() == ("4\n", "")


def test_an_agent_that_has_heard_nothing_is_stood_in_for(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here.metrics_disk(KUBEVIRT)
    monkeypatch.setattr(query, "fetch", lambda _: {"connected": False, "metrics": None})
    assert query.run("socket", ["host_cpus"], "plain") == query.FOUND
    output = capsys.readouterr()
    assert output.out == "2\n"
    assert "(the agent has no values from the host yet (no host has answered it))" in output.err
    assert query.run("socket", ["host_cpus"], "plain", "agent") == query.NO_ANSWER


def test_without_any_source_all_that_was_tried_is_named(
    here: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = here.disk("vda", os.urandom(1024))
    assert query.run(str(tmp_path / "nobody"), ["host_cpus"], "plain") == query.NO_ANSWER
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"guestagent: no agent answers at {tmp_path}/nobody: ")
    assert f"no metrics of vhostmd's: no metrics disk among {node}; " in output.err
    assert f"{here.dev}/virtio-ports/org.github.vhostmd.1: No such file or directory" in output.err


def test_every_source_but_the_agent_is_a_way_that_is_known() -> None:
    assert {way for ways in query.SOURCES.values() for way in ways} == {query.AGENT, *told.READERS}
