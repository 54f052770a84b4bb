"""`guestagent get` in its three forms."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from guestagent import query

VALUES = {"host_cpus": 4, "host_load1": 0.5, "host_load5": None, "seconds_total": 12.25, "host_name": 'a"b\\c'}
DOCUMENT = {
    "version": "0",
    "source": "agent",
    "connected": True,
    "age_seconds": 1.5,
    "metrics": VALUES,
    "about": {name: f"About {name}." for name in VALUES},
}


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent answers; a test may change it."""
    document = {**DOCUMENT}
    monkeypatch.setattr(query, "ask", lambda _: document)
    return document


def test_plain_is_one_value_a_line_in_the_order_asked() -> None:
    assert query.plain(DOCUMENT, ["host_load1", "host_cpus"]) == "0.5\n4\n"


def test_plain_keeps_the_place_of_a_value_that_is_not_shared() -> None:
    assert query.plain(DOCUMENT, ["host_cpus", "host_load5", "host_load1"]) == "4\n\n0.5\n"


def test_plain_without_names_is_everything_that_is_known() -> None:
    assert query.plain(DOCUMENT, []) == 'host_cpus 4\nhost_load1 0.5\nseconds_total 12.25\nhost_name a"b\\c\n'


def test_json_is_one_object() -> None:
    assert json.loads(query.as_json(DOCUMENT, []))["metrics"] == VALUES
    found = json.loads(query.as_json(DOCUMENT, ["host_load5", "host_cpus"]))
    assert found == {
        "version": "0",
        "source": "agent",
        "connected": True,
        "age_seconds": 1.5,
        "metrics": {"host_load5": None, "host_cpus": 4},
    }


def test_prometheus_gets_every_family_once_with_its_kind() -> None:
    assert query.prometheus(DOCUMENT, ["host_cpus", "seconds_total", "host_name", "host_load5", "host_cpus"]) == (
        "# HELP host_cpus About host_cpus.\n# TYPE host_cpus gauge\nhost_cpus 4\n"
        "# HELP seconds_total About seconds_total.\n# TYPE seconds_total counter\nseconds_total 12.25\n"
        "# HELP host_name_info About host_name.\n# TYPE host_name_info gauge\n"
        'host_name_info{host_name="a\\"b\\\\c"} 1\n'
    )


@pytest.mark.parametrize("form", query.FORMS)
def test_what_is_found_is_printed(answer: dict[str, Any], form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert query.run("socket", ["host_cpus"], form) == query.FOUND
    output = capsys.readouterr()
    assert "4" in output.out
    assert output.err == ""


def test_an_unknown_name_prints_no_value_and_lists_those_known(
    answer: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert query.run("socket", ["host_cpus", "host_cpu"], "plain") == query.UNKNOWN
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("guestagent: unknown: host_cpu; these are known:\n  host_cpus\n")


def test_a_value_that_is_not_shared_is_told_apart(answer: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert query.run("socket", ["host_load5"], "plain") == query.UNKNOWN
    output = capsys.readouterr()
    assert output.out == "\n"
    assert output.err == "guestagent: not shared by the host: host_load5\n"


def test_old_values_are_printed_with_a_word_of_warning(
    answer: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    answer["connected"] = False
    assert query.run("socket", ["host_cpus"], "plain") == query.FOUND
    output = capsys.readouterr()
    assert output.out == "4\n"
    assert output.err == "guestagent: the host is away; its values are 2 s old\n"


def test_asking_needs_neither_asyncio_nor_msgpack() -> None:
    code = (
        "import sys; from guestagent.__main__ import main; "
        "assert main(['get', '--socket', '/nonexistent', '--source', 'agent']) == 2; "
        "print(*{'asyncio', 'msgpack', 'dataclasses', 'protocol'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
