"""What reaches the log is harmless to whoever reads it, whoever wrote it."""

import io
import logging
import re

import pytest

from hostd import log


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error, with hostd's log set up to it; pytest's own handlers come back afterwards."""
    stream = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logging.getLogger("asyncio"), "level", logging.WARNING)
    log.set_up(verbose=False)
    return stream


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_message_is_one_line_with_time_level_and_place(stderr: io.StringIO) -> None:
    logging.getLogger("hostd.watcher").warning("domain %r: %s", "alpha", "gone")
    (line,) = lines(stderr)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING hostd\.watcher: domain 'alpha': gone", line)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\nforged line", r"a\nforged line"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("bell\a", r"bell\x07"),
        ("a\0b", r"a\x00b"),
        ("a\u2028b", r"a\u2028b"),
        ("\u202eevil", r"\u202eevil"),
        ("half \ud800", r"half \ud800"),
        ("tab\t", r"tab\t"),
        ("plain ünïcode 🐧", "plain ünïcode 🐧"),
    ],
)
def test_what_could_forge_a_line_or_move_a_terminal_is_escaped(stderr: io.StringIO, said: str, shown: str) -> None:
    logging.getLogger("t").error("guest: %s", said)
    (line,) = lines(stderr)
    assert line.endswith(f"t: guest: {shown}")


def test_a_line_has_a_largest_length(stderr: io.StringIO) -> None:
    logging.getLogger("t").error("x" * 100_000)
    (line,) = lines(stderr)
    assert len(line) == log.MAX_CHARACTERS


def test_a_traceback_keeps_its_lines_and_none_of_them_looks_like_another_message(stderr: io.StringIO) -> None:
    forged = "2026-01-01 00:00:00,000 INFO hostd: all is well"
    try:
        raise ValueError(f"\x1b[31m\n{forged}")  # noqa: TRY301 - the traceback is what is looked at
    except ValueError:
        logging.getLogger("t").exception("guest: %s", f"\n{forged}")
    first, *rest = lines(stderr)
    assert "Traceback (most recent call last):" in [line.strip() for line in rest]
    assert r"ValueError: \x1b[31m" in [line.strip() for line in rest]
    assert re.match(r"\d{4}-", first)
    assert not [line for line in rest if re.match(r"\d", line)]


def test_details_are_told_only_if_wanted(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    logging.getLogger("t").debug("detail")
    assert lines(stderr) == []
    monkeypatch.setattr("sys.stderr", stderr)  # pytest has put its own there since
    log.set_up(verbose=True)
    logging.getLogger("t").debug("detail")
    assert len(lines(stderr)) == 1
