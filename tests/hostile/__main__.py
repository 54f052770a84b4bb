"""`python -m tests.hostile ATTACK (--socket PATH | --port DEVICE)`: be a guest that means harm; see what hostd does.

With --socket it listens at PATH as QEMU does for a channel, and hostd connects to it; with --port it runs in a guest,
in the agent's place. It attacks nothing but the host at the other end of that line. `list` names the attacks.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.hostile.attacks import ATTACKS, Attack
from tests.hostile.lines import Line, device, listening_at, port_at
from tests.hostile.waging import Tally, wage

PROGRESS_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and attack."""
    options = _parser().parse_args(arguments)
    if options.attack == "list":
        for name, attack in ATTACKS.items():
            _say(f"{name:14} {attack.about}")
        return 0
    if options.socket is None and options.port is None:
        sys.stderr.write("tests.hostile: name a line to attack over: --socket PATH or --port DEVICE\n")
        return 64
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    attack = ATTACKS[options.attack]
    _say(f"{options.attack}: {attack.about}; watch {', '.join(map(str, attack.moves))}")
    if options.socket is not None:
        with listening_at(options.socket) as socket:
            _go(options.attack, attack, socket, options)
    else:
        with port_at(device(options.port)) as port:
            _go(options.attack, attack, port, options)
    return 0


def _go(name: str, attack: Attack, line: Line, options: argparse.Namespace) -> None:
    tally, until = Tally(), time.monotonic() + options.seconds
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(PROGRESS_SECONDS):
            _say(f"{name}: {tally}")

    threading.Thread(target=tell, daemon=True).start()
    try:
        wage(attack, line, lambda: time.monotonic() >= until, tally=tally, bytes_per_second=options.rate)
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
        _say(f"{name}: in the end: {tally}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("attack", choices=["list", *ATTACKS], metavar="ATTACK", help=f"list, {', '.join(ATTACKS)}")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", type=Path, metavar="PATH", help="listen here, as QEMU does")
    where.add_argument("--port", metavar="DEVICE", help="a virtio port's path or name, or a tty")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long (until it is ended)")
    parser.add_argument("--rate", type=float, metavar="BYTES", help="at most so many bytes a second (as many as go)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
