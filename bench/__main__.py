"""``python -m bench``: measure every figure, or those named, and print one table.

The exit status is 0 whether targets are met or not, and 1 if a figure could not be measured. Whatever was
started is ended, also at Ctrl-C.
"""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from bench import machine
from bench.figures import FIGURES, Figure
from bench.report import Result, document, table
from bench.stage import Stage
from tests.lab.progress import tell

DOMAINS = 100
_WIDTH = 180  # without a terminal, rich would fold the table into 80 columns


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one run and give its exit status."""
    options = _parser().parse_args(arguments)
    chosen = [figure for figure in FIGURES if figure in options.figures]
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell had it ignored (`make bench &`)
    try:
        return _run(chosen, options.domains, options.json)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(figures: Sequence[Figure], domains: int, json: Path | None) -> int:
    begun = time.monotonic()
    facts = {**machine.facts(), "domains": str(domains)}
    with ExitStack() as down:
        down.callback(tell, "everything is down again")
        stage = Stage(down, domains=domains)
        try:
            results = [_measure(figure, stage) for figure in figures]
            facts["took"] = f"{time.monotonic() - begun:.0f} s"
            _print(results, facts)
            if json is not None:
                json.write_text(document(results, facts), encoding="utf-8")
        finally:
            _ignore_signals()  # the way down must not be cut
            tell("taking everything down, up to 10 s …")
    return 1 if any(result.broke for result in results) else 0


def _print(results: Sequence[Result], facts: Mapping[str, str]) -> None:
    console = Console()
    console.width = console.width if console.is_terminal else _WIDTH
    console.print(table(results, facts), highlight=False)


def _measure(figure: Figure, stage: Stage) -> Result:
    try:
        return Result(figure=figure, outcome=figure.measure(stage))
    except Exception as error:  # noqa: BLE001 - one that broke must not cost the others; the status tells
        tell(f"{figure.name} broke\n{traceback.format_exc()}")
        return Result(figure=figure, broke=f"{type(error).__name__}: {error}".splitlines()[0])


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(figure.name for figure in FIGURES)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figures", nargs="*", default=FIGURES, type=_named, metavar="FIGURE", help=names)
    parser.add_argument("--domains", type=int, default=DOMAINS, metavar="N", help=f"real domains (default: {DOMAINS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results in a file, too")
    return parser


def _named(name: str) -> Figure:
    for figure in FIGURES:
        if figure.name == name:
            return figure
    raise argparse.ArgumentTypeError(f"there is no figure {name!r}; see --help")


def _stop(_number: int, _frame: object) -> None:
    sys.exit(128 + signal.SIGTERM)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
