"""The socket to a guest's channel: what is connected to, with whom it is spoken, and what a restart leaves of it."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hostd import telemetry
from hostd.channels import line as line_module
from hostd.channels import peer
from hostd.channels.line import Line, NotOpened, Outcome
from hostd.systemd import Supervisor
from tests.support.builders import UUID
from tests.support.running import GENEROUS_SECONDS
from tests.support.systemd import Systemd, is_hung_up

SOMEBODY = 4242  # a user who is not root
NOBODY = 2**22 + 1  # no process has this number


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "SETTLE_SECONDS", ())


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "alpha.sock")


@contextmanager
def listening(path: str, *, backlog: int = 1) -> Iterator[socket.socket]:
    """QEMU's socket; whoever connects waits until a test accepts it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(GENEROUS_SECONDS)
        listener.bind(path)
        listener.listen(backlog)
        yield listener


async def accepted(listener: socket.socket, stack: ExitStack) -> socket.socket:
    """QEMU takes up the next connection."""
    return stack.enter_context((await asyncio.to_thread(listener.accept))[0])


def owner_of(path: str) -> int:
    """Whose folder it is in."""
    return Path(path).parent.stat().st_uid


async def received(channel: socket.socket) -> bytes:
    """What has come, once something has."""
    return await asyncio.get_running_loop().sock_recv(channel, 100)


async def outcome_of(line: Line) -> tuple[Outcome, str]:
    """How opening fails."""
    before = counted(line)
    with pytest.raises(NotOpened) as caught:
        async with line.opened():
            raise AssertionError("it was opened")
    outcome = caught.value.outcome
    assert counted(line) == {**before, outcome.value: before.get(outcome.value, 0) + 1}
    return outcome, str(caught.value)


def counted(line: Line) -> dict[str, float]:
    """Attempts by their outcome, as the page has them."""
    return {
        sample.labels["outcome"]: sample.value
        for family in telemetry.GUEST_CONNECTS.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["connection"] == line.connection
    }


async def test_a_line_carries_bytes_both_ways_and_is_hung_up_at_its_end(path: str, stack: ExitStack) -> None:
    listener = stack.enter_context(listening(path))
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(accepted(listener, stack))
        async with Line(path=path).opened() as channel:
            qemu = await taking
            qemu.sendall(b"from the guest")
            assert await received(channel) == b"from the guest"
            channel.send(b"from the host")
            assert await asyncio.to_thread(qemu.recv, 100) == b"from the host"
    assert qemu.recv(1) == b""


async def test_a_path_longer_than_an_address_holds_is_connected_to(tmp_path: Path, stack: ExitStack) -> None:
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)
    path = str(folder / "io.virtwire.agent.0")
    at = os.open(folder, os.O_PATH)
    stack.callback(os.close, at)
    listener = stack.enter_context(listening(f"/proc/self/fd/{at}/io.virtwire.agent.0"))
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(accepted(listener, stack))
        async with Line(path=path).opened():
            await taking


async def test_what_is_not_there_is_absent(path: str) -> None:
    assert (await outcome_of(Line(path=path)))[0] is Outcome.ABSENT


async def test_what_nobody_listens_at_is_refused(path: str) -> None:
    with listening(path):
        pass
    assert (await outcome_of(Line(path=path)))[0] is Outcome.REFUSED


async def test_a_file_is_not_connected_to(path: str) -> None:
    os.mknod(path)
    assert (await outcome_of(Line(path=path)))[0] is Outcome.NOT_A_SOCKET


async def test_a_link_is_not_followed_not_even_to_a_socket(path: str, stack: ExitStack) -> None:
    stack.enter_context(listening(f"{path}.other"))
    os.symlink(f"{path}.other", path)  # noqa: PTH211 - a Path in an async function is another complaint
    assert (await outcome_of(Line(path=path)))[0] is Outcome.NOT_A_SOCKET


async def test_a_full_backlog_is_not_taken_for_a_connection(path: str, stack: ExitStack) -> None:
    stack.enter_context(listening(path, backlog=0))
    stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
    assert (await outcome_of(Line(path=path)))[0] is Outcome.FULL


async def test_the_process_that_libvirt_names_is_spoken_with_and_no_other(
    path: str, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "credentials_of", lambda _: (os.getpid(), SOMEBODY))
    listener = stack.enter_context(listening(path, backlog=5))
    pid_file = tmp_path / "alpha.pid"
    line = Line(path=path, pid_file=pid_file)
    pid_file.write_text(f"{NOBODY}\n")
    outcome, message = await outcome_of(line)
    assert outcome is Outcome.STRANGER
    assert f"process {os.getpid()} of user {SOMEBODY} listens there" in message
    assert message.endswith("find out what it is, or set guests.check_peer = false")
    await accepted(listener, stack)
    pid_file.write_text(f"{os.getpid()}\n")
    async with asyncio.TaskGroup() as group:
        group.create_task(accepted(listener, stack))
        async with line.opened():
            pass


async def test_libvirt_who_listens_until_qemu_does_is_waited_out(
    path: str, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "SETTLE_SECONDS", (0.001, 0.001))
    pids = iter((NOBODY, NOBODY, os.getpid()))
    monkeypatch.setattr(peer, "credentials_of", lambda _: (next(pids), SOMEBODY))
    listener = stack.enter_context(listening(path, backlog=5))
    pid_file = tmp_path / "alpha.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(accepted(listener, stack))
        async with Line(path=path, pid_file=pid_file).opened():
            pass


async def test_root_may_listen_since_libvirts_daemon_does(
    path: str, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "credentials_of", lambda _: (NOBODY, 0))
    listener = stack.enter_context(listening(path))
    pid_file = tmp_path / "alpha.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    async with asyncio.TaskGroup() as group:
        group.create_task(accepted(listener, stack))
        async with Line(path=path, pid_file=pid_file).opened():
            pass


async def test_who_it_is_need_not_be_checked(path: str, tmp_path: Path, stack: ExitStack) -> None:
    listener = stack.enter_context(listening(path))
    pid_file = tmp_path / "alpha.pid"
    pid_file.write_text(f"{NOBODY}\n")
    async with asyncio.TaskGroup() as group:
        group.create_task(accepted(listener, stack))
        async with Line(path=path, pid_file=pid_file, checks_peer=False).opened():
            pass


@pytest.mark.parametrize("pid", [0, NOBODY])
async def test_where_the_process_cannot_be_told_its_user_has_to_be_plausible(
    path: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    listener = stack.enter_context(listening(path, backlog=5))
    stranger = owner_of(path) + 1
    monkeypatch.setattr(peer, "credentials_of", lambda _: (pid, stranger))
    line = Line(path=path, pid_file=Path(path).with_name("none.pid"))
    assert (await outcome_of(line))[0] is Outcome.STRANGER
    await accepted(listener, stack)
    monkeypatch.setattr(peer, "credentials_of", lambda _: (pid, 0))
    async with asyncio.TaskGroup() as group:
        group.create_task(accepted(listener, stack))
        async with line.opened():
            pass


HOLD = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"


async def test_another_program_that_has_the_channel_is_named(
    path: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "ACCEPT_SECONDS", 0.01)
    listener = stack.enter_context(listening(path))
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, path, stdin=subprocess.PIPE)
    await accepted(listener, stack)
    outcome, message = await outcome_of(Line(path=path))
    await other.communicate(b"")
    assert outcome is Outcome.OCCUPIED
    assert re.fullmatch(
        rf"process {other.pid} \(python[0-9.]*\) is connected, and QEMU takes one at a time; end the other", message
    )


async def test_that_hostd_itself_has_the_channel_is_said(
    path: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = stack.enter_context(listening(path))
    async with asyncio.TaskGroup() as group:
        group.create_task(accepted(listener, stack))
        async with Line(path=path).opened():
            monkeypatch.setattr(line_module, "ACCEPT_SECONDS", 0.01)
            assert "this hostd itself" in (await outcome_of(Line(path=path)))[1]


async def test_a_connection_that_nobody_takes_up_is_given_up(
    path: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "ACCEPT_SECONDS", 0.01)
    stack.enter_context(listening(path))
    assert (await outcome_of(Line(path=path)))[0] is Outcome.NOT_ACCEPTED


async def test_where_the_kernel_does_not_tell_a_connection_counts_as_taken_up(
    path: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.enter_context(listening(path))
    monkeypatch.setattr(peer, "is_accepted", lambda _: None)
    async with Line(path=path).opened():
        pass


async def test_an_open_line_is_kept_until_it_is_closed(
    path: str, stack: ExitStack, manager: Systemd, supervisor: Supervisor
) -> None:
    listener = stack.enter_context(listening(path))
    line = Line(path=path, uuid=UUID, supervisor=supervisor)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(accepted(listener, stack))
        async with line.opened():
            qemu = await taking
            assert manager.next() == {"FDSTORE": "1", "FDNAME": line.name}
    assert is_hung_up(qemu)  # whoever else has a copy
    assert manager.next() == {"FDSTOREREMOVE": "1", "FDNAME": line.name}


async def test_a_line_that_ends_with_the_process_is_not_hung_up_and_the_next_process_has_it(
    path: str, stack: ExitStack, manager: Systemd, supervisor: Supervisor
) -> None:
    listener = stack.enter_context(listening(path))
    line = Line(path=path, uuid=UUID, supervisor=supervisor)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(accepted(listener, stack))
        async with line.opened():
            qemu = await taking
            manager.next()
            supervisor.seal()
    assert not is_hung_up(qemu)
    qemu.sendall(b"while there is no hostd")

    stored = socket.socket(fileno=os.dup(manager.stored[line.name]))
    after = Line(path=path, uuid=UUID, supervisor=Supervisor(handed={line.name: stored}))
    async with after.opened() as channel:
        assert await received(channel) == b"while there is no hostd"
    assert counted(line)["reused"] >= 1


async def test_a_kept_socket_that_qemu_has_closed_is_let_go_and_a_new_one_opened(path: str, stack: ExitStack) -> None:
    listener = stack.enter_context(listening(path))
    ours, theirs = socket.socketpair()
    theirs.close()
    name = Line(path=path, uuid=UUID).name
    supervisor = Supervisor(handed={name: ours})
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(accepted(listener, stack))
        async with Line(path=path, uuid=UUID, supervisor=supervisor).opened() as channel:
            (await taking).sendall(b"new")
            assert await received(channel) == b"new"
    assert ours.fileno() == -1


async def test_a_kept_socket_is_not_used_if_its_other_end_is_not_the_domains_qemu(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "credentials_of", lambda _: (os.getpid(), SOMEBODY))
    ours, theirs = socket.socketpair()
    pid_file = tmp_path / "alpha.pid"
    pid_file.write_text(f"{NOBODY}\n")
    supervisor = Supervisor(handed={Line(path=path, uuid=UUID).name: ours})
    line = Line(path=path, uuid=UUID, pid_file=pid_file, supervisor=supervisor)
    assert (await outcome_of(line))[0] is Outcome.ABSENT
    assert is_hung_up(theirs)
    theirs.close()


def test_a_name_is_one_that_systemd_takes_and_tells_domains_channels_and_connections_apart() -> None:
    paths = ("/run/a:b\n/x", "/run/" + "long/" * 400)
    names = [
        Line(path=path, uuid=uuid, connection=connection).name
        for path in paths
        for uuid in (UUID, UUID[::-1])
        for connection in ("", "c" * 64)
    ]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 255 and name.isascii() and name.isprintable() and ":" not in name for name in names)
