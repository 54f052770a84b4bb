"""systemd, told over its own kind of socket: what is said, what is kept, and what a process that comes after has."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hostd import systemd, telemetry
from hostd.systemd import Supervisor, from_environment
from tests.support.running import running, until
from tests.support.systemd import Systemd, is_hung_up


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, and QEMU's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def kept_sockets() -> float | None:
    return telemetry.REGISTRY.get_sample_value("hostd_kept_sockets")


def test_what_hostd_tells_arrives(supervisor: Supervisor, manager: Systemd) -> None:
    assert supervisor.tell(READY=1, STATUS="2 of 2 libvirt connections up")
    assert manager.next() == {"READY": "1", "STATUS": "2 of 2 libvirt connections up"}


def test_what_is_kept_is_not_hung_up_when_our_copy_is_closed(
    supervisor: Supervisor, manager: Systemd, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    supervisor.keep("guest//a/1", ours)
    assert manager.next() == {"FDSTORE": "1", "FDNAME": "guest//a/1"}
    assert kept_sockets() == 1
    ours.close()
    assert not is_hung_up(theirs)
    supervisor.forget("guest//a/1")
    assert manager.next() == {"FDSTOREREMOVE": "1", "FDNAME": "guest//a/1"}
    assert is_hung_up(theirs)
    assert kept_sockets() == 0


def test_what_is_not_kept_cannot_be_forgotten(supervisor: Supervisor, manager: Systemd) -> None:
    supervisor.forget("guest//a/1")
    supervisor.tell(READY=1)
    assert manager.next() == {"READY": "1"}


def test_once_sealed_nothing_is_forgotten_and_what_is_kept_outlives_the_process(
    supervisor: Supervisor, manager: Systemd, pair: tuple[socket.socket, socket.socket]
) -> None:
    supervisor.keep("guest//a/1", pair[0])
    assert not supervisor.holds("guest//a/1")
    supervisor.seal()
    assert supervisor.holds("guest//a/1")
    assert not supervisor.holds("guest//b/1")
    supervisor.forget("guest//a/1")
    supervisor.tell(STOPPING=1)
    assert [set(manager.next()) for _ in range(2)] == [{"FDSTORE", "FDNAME"}, {"STOPPING"}]


def test_what_was_handed_over_is_taken_once(pair: tuple[socket.socket, socket.socket]) -> None:
    supervisor = Supervisor(handed={"guest//a/1": pair[0]})
    assert supervisor.take("guest//b/1") is None
    assert supervisor.take("guest//a/1") is pair[0]
    assert supervisor.take("guest//a/1") is None


def test_what_was_handed_over_and_is_not_wanted_is_closed_and_removed(manager: Systemd) -> None:
    with ExitStack() as stack:
        names = ("guest//a/1", "guest//b/1", "guest/other/c/1")
        ends = {name: socket.socketpair() for name in names}
        for name, (ours, theirs) in ends.items():
            stack.enter_context(ours)
            stack.enter_context(theirs)
            manager.put(name, os.dup(ours.fileno()))
        supervisor = Supervisor(manager.address, handed={name: ours for name, (ours, _) in ends.items()})
        supervisor.forget_all_but({"guest//b/1"}, of=lambda name: name.startswith("guest//"))
        assert manager.next() == {"FDSTOREREMOVE": "1", "FDNAME": "guest//a/1"}
        assert [is_hung_up(theirs) for _, theirs in ends.values()] == [True, False, False]
        assert supervisor.take("guest//b/1") is ends["guest//b/1"][0]
        supervisor.close()


async def test_the_event_loop_feeds_the_watchdog_and_tells_a_status_that_changed(manager: Systemd) -> None:
    supervisor = Supervisor(manager.address, watchdog_seconds=0.003)
    told = iter(["one", "one", "two"])
    async with running(supervisor.beat(lambda: next(told, "two"))):
        for expected in ({"STATUS": "one"}, {}, {"STATUS": "two"}, {}):
            await until(lambda: manager.has_more)
            assert manager.next() == {"WATCHDOG": "1", **expected}
    supervisor.close()


def test_without_a_supervisor_nothing_is_told_or_kept(pair: tuple[socket.socket, socket.socket]) -> None:
    supervisor = Supervisor()
    assert not supervisor.tell(READY=1)
    supervisor.keep("guest//a/1", pair[0])
    supervisor.seal()
    assert not supervisor.holds("guest//a/1")


def test_a_supervisor_that_is_gone_is_counted_and_no_reason_to_stop(
    supervisor: Supervisor, manager: Systemd, pair: tuple[socket.socket, socket.socket]
) -> None:
    before = telemetry.REGISTRY.get_sample_value("hostd_notify_failures_total") or 0.0
    manager.close()
    assert not supervisor.tell(READY=1)
    supervisor.keep("guest//a/1", pair[0])
    supervisor.seal()
    assert not supervisor.holds("guest//a/1")
    assert telemetry.REGISTRY.get_sample_value("hostd_notify_failures_total") == before + 2


def test_the_environment_is_read_once_and_leaves_nothing_to_children() -> None:
    environment = {
        "NOTIFY_SOCKET": "@abstract",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "LISTEN_PID": "1",
        "LISTEN_FDS": "3",
        "LISTEN_FDNAMES": "a:b:c",
        "PATH": "/bin",
    }
    supervisor = from_environment(environment)
    assert environment == {"PATH": "/bin"}
    assert (supervisor._watchdog_seconds, supervisor._handed) == (30.0, {})  # the files are another process's
    supervisor.close()


def test_a_watchdog_of_another_process_is_not_ours_to_feed() -> None:
    assert from_environment({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"})._watchdog_seconds is None


def test_what_is_handed_over_is_known_by_its_name_and_what_is_no_socket_is_closed(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    with (tmp_path / "file").open("w") as file:
        first = max(pair[0].fileno(), pair[1].fileno(), file.fileno()) + 50
        os.dup2(pair[0].fileno(), first)
        os.dup2(file.fileno(), first + 1)
        os.dup2(pair[1].fileno(), first + 2)
    monkeypatch.setattr(systemd, "FIRST_HANDED", first)
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "4", "LISTEN_FDNAMES": "one:file:two"}
    handed = from_environment(environment)._handed
    assert sorted(handed) == ["one", "two"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first + 1)
    handed["one"].sendall(b"x")
    assert handed["two"].recv(1) == b"x"
    assert not handed["one"].get_inheritable()
    for each in handed.values():
        each.close()
