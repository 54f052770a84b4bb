"""Our TOML: the settings, each with what is to be said of it in comments above."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tomlkit

from hostd.vhostmd.importing.carrying import Carried
from hostd.vhostmd.importing.remark import Remark

WIDTH = 110


def written(
    head: Sequence[str], values: Mapping[str, Any], metrics: Sequence[Carried], remarks: Sequence[Remark]
) -> str:
    """The whole file."""
    lines = [*_comments(head), *_beside("", remarks), "", "[vhostmd]"]
    for key, value in values.items():
        lines += [*_beside(key, remarks), f"{key} = {tomlkit.item(value).as_string()}"]
    for metric in metrics:
        lines += ["", *_comments(_said(metric.remarks))]
        if metric.was:
            lines += ["# It was:", *(f"#     {line}" for line in _printable(metric.was.strip()))]
        table = list(_table(metric.table))
        lines += table if metric.is_active else [f"#{line}" for line in table]
    return "\n".join(lines) + "\n"


def _table(values: Mapping[str, Any]) -> Iterator[str]:
    yield "[[vhostmd.metric]]"
    for key, value in values.items():
        yield from f"{key} = {_value(value)}".split("\n")


def _value(value: Any) -> str:  # noqa: ANN401 - of any setting
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_value(each)}' for key, each in value.items())}}}"
    text: str = tomlkit.item(value).as_string()
    return text


def _beside(key: str, remarks: Iterable[Remark]) -> Iterator[str]:
    return _comments(_said(remark for remark in remarks if remark.key == key))


def _said(remarks: Iterable[Remark]) -> Iterator[str]:
    return (f"Line {remark.line}: {remark.text}." if remark.line else f"{remark.text}." for remark in remarks)


def _comments(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for line in _printable(text):
            yield from textwrap.wrap(line, WIDTH, initial_indent="# ", subsequent_indent="#   ") or ["#"]


def _printable(text: str) -> list[str]:
    """Its lines, without what may not be in a comment."""
    return ["".join(sign if sign.isprintable() else "?" for sign in line) for line in text.splitlines()]
