"""One question on vhostmd's port and its answer; a socket pair stands for the port, which behaves alike once open."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from guestagent.vhostmd import port
from guestagent.vhostmd.source import SourceFailed
from protocol.vhostmd import CHANNEL, INVALID, REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.guestagent.vhostmd.places import Machine

ANSWER = b"<metrics>\n</metrics>\n\n"
LONG_SECONDS = 60.0  # a busy machine may take some; nothing waits for it to pass


class Line:
    """A port that is open, and the host at its other end."""

    def __init__(self) -> None:
        self.guest, self.host = socket.socketpair()
        self.guest.setblocking(False)
        self.heard = b""

    def ask(self, seconds: float = LONG_SECONDS) -> bytes:
        return port.ask(self.guest.fileno(), seconds)

    def answers(self, *pieces: bytes) -> threading.Thread:
        """Reads the question, then writes these."""
        thread = threading.Thread(target=self._answer, args=(pieces,))
        thread.start()
        return thread

    def _answer(self, pieces: Sequence[bytes]) -> None:
        while not self.heard.endswith(b"\n\n"):
            self.heard += self.host.recv(4096)
        for piece in pieces:
            self.host.sendall(piece)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.guest.close()
    line.host.close()


def failure(line: Line, seconds: float = 0.05) -> tuple[str, str]:
    with pytest.raises(SourceFailed) as caught:
        line.ask(seconds)
    return str(caught.value), caught.value.said


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ([ANSWER], ANSWER),
        ([ANSWER[at : at + 1] for at in range(len(ANSWER))], ANSWER),
        ([b"x" * 3_000_000, b"\n\n"], b"x" * 3_000_000 + b"\n\n"),
        ([INVALID], INVALID),
        ([b"<metrics>\0</metrics>\n\n"], b"<metrics>"),
        ([b"<metrics></metrics>\n\n\0\0"], b"<metrics></metrics>\n\n"),
        ([b"<metrics>AT&T</metrics>\n\n"], b"<metrics>AT&T</metrics>\n\n"),
    ],
)
def test_the_answer_is_what_came_up_to_a_nul(line: Line, pieces: list[bytes], answer: bytes) -> None:
    host = line.answers(*pieces)
    assert line.ask() == answer
    host.join()
    assert line.heard == REQUEST


def test_what_somebody_else_did_not_wait_for_is_not_our_answer(line: Line) -> None:
    line.host.sendall(b"<metrics>old</metrics>\n\n")
    host = line.answers(ANSWER)
    assert line.ask() == ANSWER
    host.join()


@pytest.mark.parametrize("rest", [b"rics>\n\n" + ANSWER, b"rics>\n\n", b"</metrics>\n\n" + ANSWER])
def test_nor_is_the_rest_of_it(line: Line, rest: bytes) -> None:
    line.host.sendall(b"<metrics>old</met")
    host = line.answers(rest, ANSWER) if not rest.endswith(ANSWER) else line.answers(rest)
    assert line.ask() == ANSWER
    host.join()


def test_where_the_rest_never_comes_the_answer_does(line: Line) -> None:
    line.host.sendall(b"<metrics>old</met")
    host = line.answers(ANSWER)
    assert line.ask() == ANSWER
    host.join()


def test_a_host_that_does_not_answer(line: Line) -> None:
    assert failure(line) == (
        "Unable to read metrics - timeout after 0.05s; the host has not answered",
        "get_virtio_metrics(): Unable to read metrics - timeout after 0.05s",
    )


def test_a_host_that_goes_in_the_midst_of_its_answer(line: Line) -> None:
    host = line.answers(b"<metrics>")
    host_end = line.host

    def leave() -> None:
        host.join()
        host_end.shutdown(socket.SHUT_RDWR)

    leaver = threading.Thread(target=leave)
    leaver.start()
    assert "Unable to read metrics - timeout after 0.5s" in failure(line, 0.5)[1]
    leaver.join()


def test_a_host_that_never_ends_its_answer(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "MAX_ANSWER_BYTES", 100_000)
    host = line.answers(b"x" * 120_000)
    assert failure(line, LONG_SECONDS)[1] == "get_virtio_metrics(): Unable to read metrics - more than 100000 bytes"
    host.join()


def test_nobody_takes_the_question(line: Line) -> None:
    while True:  # as many as fit
        try:
            line.guest.send(b"x" * 4096)
        except BlockingIOError:
            break
    assert failure(line) == (
        "Unable to send metrics request - timeout after 0.05s; no host reads what is written",
        "get_virtio_metrics(): Unable to send metrics request - timeout after 0.05s",
    )


def test_a_question_that_goes_out_in_parts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    host = line.answers(ANSWER)
    assert line.ask() == ANSWER
    host.join()
    assert line.heard == REQUEST


@pytest.mark.parametrize(("call", "said"), [("write", "send metrics request"), ("read", "read metrics")])
def test_a_port_that_is_unplugged(line: Line, monkeypatch: pytest.MonkeyPatch, call: str, said: str) -> None:
    def fail(*_: object) -> int:
        raise OSError(19, os.strerror(19))

    monkeypatch.setattr(os, call, fail)
    assert failure(line)[1] == f"get_virtio_metrics(): Unable to {said} - No such device"


def test_waiting_for_a_host_that_is_away_takes_no_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port with no host is ready and empty for ever; so is a socket whose other end has shut down."""
    guest, host = socket.socketpair()
    guest.setblocking(False)
    host.shutdown(socket.SHUT_WR)
    reads, read = [], os.read

    def counted(descriptor: int, size: int) -> bytes:
        reads.append(size)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", counted)
    with pytest.raises(SourceFailed, match="timeout"):
        port.ask(guest.fileno(), 1.0)
    guest.close()
    host.close()
    assert len(reads) < 20


# Opening


def read(machine: Machine, seconds: float = LONG_SECONDS) -> bytes:
    return port.read(str(machine.dev), str(machine.sys), seconds).content


def opening_failure(machine: Machine) -> tuple[str, str]:
    with pytest.raises(SourceFailed) as caught:
        read(machine)
    return str(caught.value), caught.value.said


def test_no_port_is_told_in_the_words_that_others_look_for(machine: Machine) -> None:
    path = f"{machine.dev}/virtio-ports/{CHANNEL}"
    assert opening_failure(machine) == (
        f"{path}: No such file or directory (has the domain such a channel?)",
        f"get_virtio_metrics(): Unable to export metrics: open({path}) No such file or directory",
    )


@pytest.mark.parametrize("number", [13, 16, 6])
def test_a_port_that_cannot_be_opened(machine: Machine, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    message, said = opening_failure(machine)
    path = f"{machine.dev}/virtio-ports/{CHANNEL}"
    assert said == f"get_virtio_metrics(): Unable to export metrics: open({path}) {os.strerror(number)}"
    assert message.startswith(f"{path}: {os.strerror(number)}")


@pytest.mark.parametrize("is_linked", [True, False])
def test_the_port_is_found_by_udevs_link_or_by_its_name_in_sysfs(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, line: Line, is_linked: bool
) -> None:
    node = machine.dev / "vport0p2"
    node.touch()
    entry = machine.sys / "class/virtio-ports/vport0p2"
    entry.mkdir(parents=True)
    (entry / "name").write_text(CHANNEL + "\n")
    link = machine.dev / "virtio-ports" / CHANNEL
    if is_linked:
        link.parent.mkdir()
        link.symlink_to("../vport0p2")
    opened = []

    def pretend(path: str, flags: int) -> int:
        opened.append(path)
        assert flags & os.O_NONBLOCK
        assert flags & os.O_RDWR
        return os.dup(line.guest.fileno())

    monkeypatch.setattr(os, "open", pretend)
    host = line.answers(ANSWER)
    assert read(machine) == ANSWER
    host.join()
    assert opened == [str(link if is_linked else node)]


def test_a_question_that_fails_names_the_port(machine: Machine, monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    monkeypatch.setattr(os, "open", lambda *_: os.dup(line.guest.fileno()))
    with pytest.raises(SourceFailed, match=rf"{CHANNEL}: Unable to read metrics - timeout after 0.05s"):
        read(machine, 0.05)
