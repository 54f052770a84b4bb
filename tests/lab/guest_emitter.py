"""Runs in the guest: hands in one numbered event after the other, and writes down which the agent says it has kept.

``python3 guest_emitter.py RUN FOLDER FIRST SECONDS``: RUN tells these events from others, FIRST is the first number, a
pause of SECONDS follows each. A number is never handed in twice: of one that was not answered, because the agent ended
meanwhile, nobody knows whether it was kept. Ends when there is a file FOLDER/stop. Standard library of Python 3.9 only.
"""

import json
import os
import select
import socket
import sys
from pathlib import Path

SOCKET = "/run/virtwire/guestagent-emit.sock"
KIND = "lab.tick"
PADDING = "x" * 400  # so that a batch of events is a long frame


def main() -> None:
    """Emit until told to stop."""
    run, folder, number, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    with (folder / "kept").open("a") as kept:
        while not (folder / "stop").exists():
            if is_kept(run, number):
                kept.write(f"{number}\n")
                kept.flush()
                os.fsync(kept.fileno())  # a guest that reboots has to know what it was promised
            number += 1
            select.select([], [], [], seconds)
    (folder / "done").touch()


def is_kept(run: str, number: int) -> bool:
    """Hand one in; whether the agent says that it will tell the host."""
    event = {"kind": KIND, "severity": "info", "text": PADDING, "details": [["run", run], ["n", str(number)]]}
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(SOCKET)
            connection.sendall(json.dumps(event).encode() + b"\n")
            with connection.makefile("rb") as answer:
                return "number" in json.loads(answer.readline())
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main()
