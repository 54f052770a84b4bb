"""`python -m tests.fuzz`: search for bytes that break the contract, from the corpus on, for so many seconds.

With atheris (libFuzzer that sees which lines run) where it is installed, else with random changes of the corpus. What
breaks the contract is left in `crash-…` where it was started, and belongs into `tests/fuzz/corpus/` once it is mended.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import sys
import tempfile
import time
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Read the command line and search."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long (60)")
    parser.add_argument("--keep", type=Path, help="a folder for inputs that reach new lines (atheris only)")
    parser.add_argument("--blind", action="store_true", help="random changes, even where atheris is installed")
    arguments = parser.parse_args()
    if arguments.blind or importlib.util.find_spec("atheris") is None:
        blindly(arguments.seconds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            by_coverage(arguments.seconds, arguments.keep or Path(folder))


def by_coverage(seconds: int, kept: Path) -> None:
    """Let libFuzzer search; it ends the process."""
    import atheris  # noqa: PLC0415 - only here, and not everywhere

    with atheris.instrument_imports(include=["protocol"]):
        from tests.fuzz import target  # noqa: PLC0415 - instrumented as it is imported
    options = [f"-max_total_time={seconds}", "-max_len=70000", "-timeout=10", "-rss_limit_mb=1024"]
    atheris.Setup([sys.argv[0], *options, str(kept), str(CORPUS)], target.run)
    atheris.Fuzz()


def blindly(seconds: int) -> None:
    """Change what is in the corpus at random."""
    from tests.fuzz import target  # noqa: PLC0415 - not instrumented

    seeds = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    chance = random.Random()  # noqa: S311 - no secret
    until = time.monotonic() + seconds
    runs = 0
    while time.monotonic() < until:
        data = changed(chance, seeds)
        try:
            target.run(data)
        except BaseException:
            found = Path(f"crash-{hashlib.sha256(data).hexdigest()[:16]}")
            found.write_bytes(data)
            sys.stderr.write(f"{found}: breaks the contract\n")
            raise
        runs += 1
    sys.stdout.write(f"{runs} inputs in {seconds} s, nothing found\n")


def changed(chance: random.Random, seeds: list[bytes]) -> bytes:
    """One input, cut, joined and overwritten here and there."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data) + 1)
        other = chance.choice(seeds)
        start = chance.randrange(len(other) + 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = chance.randbytes(1)
            case 1:
                data[at : at + chance.randrange(1, 40)] = b""
            case 2:
                data[at:at] = other[start : start + chance.randrange(1, 400)]
            case _:
                data[at:at] = bytes([chance.choice(b"\0\x01\x06\x10\x11\x90\x91\xc0\xdc\xff")])
    return bytes(data[:70_000])


if __name__ == "__main__":
    main()
