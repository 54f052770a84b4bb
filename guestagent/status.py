"""`guestagent status`: how the line to the host is, and what was lost on it.

Light on purpose, as `query` is.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from guestagent import query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UP = 0
DOWN = 1
NO_ANSWER = 2


def run(socket_path: str, form: str) -> int:
    """Print it in the given form; the exit code."""
    try:
        told = query.fetch(socket_path)
    except query.NoAnswer as error:
        return query.complain(str(error), NO_ANSWER)
    status = {"version": told["version"], **told["status"]}
    sys.stdout.write(FORMS[form](status))
    return UP if told["connected"] else DOWN


def plain(status: Mapping[str, Any]) -> str:
    """A `name value` line for each that is known."""
    return "".join(f"{name} {value}\n" for name, value in status.items() if value is not None)


def as_json(status: Mapping[str, Any]) -> str:
    """One object."""
    return json.dumps(status, indent=2) + "\n"


FORMS: dict[str, Callable[[Mapping[str, Any]], str]] = {"plain": plain, "json": as_json}
