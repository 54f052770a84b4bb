"""`guestagent notices`: what the host told this guest to its programs' attention, and on demand what it tells from now.

Light on purpose, as `query` is.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from guestagent import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TOLD = 0
NO_ANSWER = 2


def run(socket_path: str, form: str, *, is_followed: bool) -> int:
    """Print the notices there are, and those to come if they are to be followed; the exit code."""
    try:
        for notice in _notices(socket_path, is_followed=is_followed):
            sys.stdout.write(FORMS[form](notice))
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read us has seen enough; Python would complain of it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        pass
    except (OSError, ValueError) as error:
        return query.complain(f"no agent answers at {socket_path}: {error}", NO_ANSWER)
    else:
        if is_followed:
            return query.complain("the agent has ended, or we read too slowly for it", NO_ANSWER)
    return TOLD


def plain(notice: Mapping[str, Any]) -> str:
    """A line: when by this guest's clock, how grave, what, in words, and the details."""
    came_at = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - notice["age_seconds"]))
    details = "".join(f" {name}={value}" for name, value in notice["details"].items())
    return f"{came_at} {notice['severity']} {notice['kind']}: {notice['text']}{details}\n"


def as_json(notice: Mapping[str, Any]) -> str:
    """An object on a line of its own."""
    return json.dumps(notice) + "\n"


FORMS: dict[str, Callable[[Mapping[str, Any]], str]] = {"plain": plain, "json": as_json}


def _notices(socket_path: str, *, is_followed: bool) -> Iterator[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(query.ANSWER_SECONDS)
        connection.connect(socket_path)
        with connection.makefile("rb") as lines:
            count = json.loads(lines.readline())["notices"]
            for _ in range(count):
                yield json.loads(lines.readline())
            connection.settimeout(None)
            while is_followed:
                line = lines.readline()
                if not line:
                    return
                yield json.loads(line)
