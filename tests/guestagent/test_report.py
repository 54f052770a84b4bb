"""Putting the report together: what may fail, and what has to fit."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestagent import __version__
from guestagent.probes import PROBES, Probe
from guestagent.report import Reporter
from protocol.connection import Connection
from protocol.errors import DropReason
from protocol.messages import MAX_FILESYSTEMS, PROTOCOL_VERSION, Drop, Filesystem, Hello, Report, Role, Welcome

if TYPE_CHECKING:
    from pathlib import Path


def constant(**values: Any) -> Probe:  # noqa: ANN401 - whatever a probe may return
    return Probe(tuple(values), lambda _: values)


def opened() -> Connection:
    return opened_pair()[0]


def opened_pair() -> tuple[Connection, Connection]:
    guest, host = Connection(Role.GUEST), Connection(Role.HOST)
    (hello,) = guest.send(Hello(version_min=1, version_max=1, nonce=1, agent_version="0"))
    list(host.receive(hello))
    (welcome,) = host.send(Welcome(version=1, nonce=1, session=1, report_interval_seconds=1))
    list(guest.receive(welcome))
    return guest, host


def wide(number: int, character: str = "x") -> Filesystem:
    return Filesystem(
        mountpoint=character * 128,
        device=character * 128,
        fstype=character * 64,
        size_bytes=number,
        free_bytes=2**62,
        available_bytes=2**62,
    )


def test_every_value_of_a_report_has_one_probe() -> None:
    filled = [field for probe in PROBES for field in probe.fields]
    assert sorted([*filled, "dropped_frames", "drops", "events_lost"]) == sorted(
        field.name for field in dataclasses.fields(Report)
    )


def test_a_report_holds_everything_that_could_be_read(root: Path) -> None:
    report = Reporter(root=root).report({DropReason.FRAMING: 2, DropReason.TYPE: 1}, 4)
    assert report.dropped_frames == 3
    assert report.drops == (Drop(reason="framing", count=2), Drop(reason="type", count=1))
    assert report.events_lost == 4
    assert report.cpus == 2
    assert None not in [getattr(report, field.name) for field in dataclasses.fields(Report)]


def test_this_machine_can_be_reported() -> None:
    assert Reporter().report({}, None).memory is not None


@pytest.mark.parametrize("ticks", ["9" * 400, "inf", "-1", "\u0661"])
def test_a_file_of_nonsense_costs_only_itself(root: Path, ticks: str) -> None:
    (root / "proc/stat").write_text(f"cpu  {ticks} 0 0 0 0\ncpu0 1 1 1 1\n", encoding="utf-8")
    report = Reporter(root=root).report({}, None)
    assert report.cpu is None
    assert report.memory is not None


def test_a_guest_without_proc_still_reports(tmp_path: Path) -> None:
    assert Reporter(root=tmp_path).report({}, None) == Report(dropped_frames=0, drops=(), time_seconds=ANY)


def test_a_probe_that_fails_is_logged_once_until_it_works_again(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    reporter, path = Reporter(root=root), root / "proc/uptime"
    text = path.read_text(encoding="utf-8")
    for content, is_known in [("", False), ("", False), (text, True), ("junk", False)]:
        path.write_text(content, encoding="utf-8")
        report = reporter.report({}, None)
        assert (report.uptime_seconds is not None) == is_known
        assert report.cpus == 2
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert all(warning.startswith("probe of uptime_seconds failed") for warning in warnings)


@pytest.mark.parametrize("cpus", [0, -1, 2**64, "two", 1.5])
def test_a_value_the_host_would_refuse_costs_only_itself(cpus: object) -> None:
    reporter = Reporter(probes=[constant(cpus=cpus), constant(uptime_seconds=1.0)])
    assert reporter.report({}, None) == Report(uptime_seconds=1.0, dropped_frames=0, drops=())


@given(st.lists(st.characters(), max_size=MAX_FILESYSTEMS))
def test_whatever_filesystems_are_called_the_report_can_be_sent(characters: list[str]) -> None:
    opened().send(Report(filesystems=tuple(wide(at, char) for at, char in enumerate(characters))))


def test_the_longest_report_there_can_be_arrives_whole() -> None:
    report = Report(filesystems=tuple(wide(at + 1, "\U00010000") for at in range(MAX_FILESYSTEMS)))
    guest, host = opened_pair()
    frames = guest.send(report)
    assert len(frames) > 1
    assert [piece.message for frame in frames for piece in host.receive(frame)] == [report]  # type: ignore[union-attr]


def test_a_clock_set_to_before_1970_costs_only_the_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: -5.0)
    report = Reporter(root=root).report({}, None)
    assert report.time_seconds is None
    assert report.cpus == 2


def test_a_greeting_names_the_agents_run(root: Path) -> None:
    first, second = Reporter(root=root), Reporter(root=root)
    assert first.hello().instance == first.hello().instance
    assert first.hello().instance != second.hello().instance


def test_a_greeting_says_who_and_what(root: Path) -> None:
    hello = Reporter(root=root).hello()
    assert (hello.agent_version, hello.version_max) == (__version__, PROTOCOL_VERSION)
    assert hello.boot_id == "7f0c1c8e-3a55-4f2e-8d7c-0e4a7d1f2b3c"
    assert hello.os_name == "Debian GNU/Linux 12 (bookworm)"
    Connection(Role.GUEST).send(hello)


def test_no_two_greetings_have_the_same_nonce(root: Path) -> None:
    reporter = Reporter(root=root)
    assert len({reporter.hello().nonce for _ in range(20)}) == 20
