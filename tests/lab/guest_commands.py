"""Runs in the guest: does the commands that the lab sends down its own virtio-serial port.

One JSON object a line each way. ``{"id"}`` is answered at once (is anybody there?); with ``argv``, the
command is run, one after the other, and answered with its ``status``, ``stdout`` and ``stderr``. Ids let the
host tell answers from left-overs of an earlier connection. Standard library of Python 3.9 only.
"""

import json
import os
import select
import subprocess
import time
from pathlib import Path

PORT_NAME = "io.virtwire.lab.0"
TIMED_OUT_STATUS = 124  # as timeout(1) says it


def main() -> None:
    """Serve the port for ever; init starts us again should it be unplugged."""
    fd = os.open(find_port(), os.O_RDWR | os.O_NONBLOCK)
    # While no host is connected the port is always "ready" and reads as empty; edge-triggered, it says so once.
    poller = select.epoll()
    poller.register(fd, select.EPOLLIN | select.EPOLLET)
    waiting = b""
    while True:
        waiting += read_all(fd)
        *lines, waiting = waiting.split(b"\n")
        for line in lines:
            answer(fd, line)
        if not lines:
            poller.poll()


def find_port() -> str:
    """Find the device by its name in sysfs: there is no udev here. Its driver may still be at it."""
    for _ in range(100):
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == PORT_NAME:
                return f"/dev/{name.parent.name}"
        select.select([], [], [], 0.05)
    raise SystemExit(f"no port named {PORT_NAME}")


def read_all(fd: int) -> bytes:
    """Read what has come, until the port is empty or says that nobody is connected."""
    data = b""
    try:
        while piece := os.read(fd, 65536):
            data += piece
    except BlockingIOError:
        pass
    return data


def answer(fd: int, line: bytes) -> None:
    """Do what one line asks for; noise between connections is not a line of ours."""
    try:
        request = json.loads(line)
    except ValueError:
        return
    reply = {"id": request["id"]}
    if "argv" in request:
        reply.update(run(request["argv"], request["timeout"], request["stdin"]))
    write_all(fd, json.dumps(reply).encode() + b"\n")


def run(argv: "list[str]", timeout: float, stdin: str) -> "dict[str, object]":
    """Run one command; what cannot be started answers like a shell would."""
    try:
        done = subprocess.run(argv, input=stdin.encode(), capture_output=True, timeout=timeout, check=False)
        status, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        status, out, err = TIMED_OUT_STATUS, late.stdout or b"", late.stderr or b""
    except OSError as error:
        status, out, err = 127, b"", str(error).encode()
    return {"status": status, "stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}


def write_all(fd: int, data: bytes) -> None:
    """Write an answer; if the host has gone for longer than a moment, nobody wants it."""
    end = time.monotonic() + 5
    while data and time.monotonic() < end:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select([], [fd], [], 0.05)


if __name__ == "__main__":
    main()
