"""`guestagent emit`: hands an event to a running agent, for a script to tell the host that something happened.

Light on purpose, as `query` is. Whether it may be an event is the agent's to say, so that there is one answer to that.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT = 0
WRONG = 1
NO_ANSWER = 2
NOT_DURABLE = 3

ANSWER_SECONDS = 20.0
"""Longer than the agent waits for its disk."""

MAX_ANSWER_BYTES = 64 * 1024


def run(socket_path: str, kind: str, severity: str, text: str, pairs: Sequence[str]) -> int:
    """Hand it in; the exit code."""
    details = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            return _complain(f"detail {pair!a}: write NAME=VALUE", WRONG)
        details.append([name, value])
    try:
        answer = _hand_in(socket_path, {"kind": kind, "severity": severity, "text": text, "details": details})
    except (OSError, ValueError) as error:
        return _complain(f"no agent answers at {socket_path}: {error}; is `guestagent run` there?", NO_ANSWER)
    if "error" in answer:
        is_ours = answer["error"] in ("bad", "denied")
        return _complain(f"event refused: {answer['message']}", WRONG if is_ours else NO_ANSWER)
    sys.stdout.write(f"{answer['number']}\n")
    if not answer["durable"]:
        return _complain(
            "the event is in the agent's memory alone; its log says what is wrong with its file", NOT_DURABLE
        )
    return KEPT


def _hand_in(socket_path: str, request: dict[str, object]) -> dict[str, Any]:
    answer = bytearray()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(socket_path)
        with contextlib.suppress(BrokenPipeError):  # refused before it was read: the answer says why
            connection.sendall(json.dumps(request).encode() + b"\n")
        while len(answer) <= MAX_ANSWER_BYTES and not answer.endswith(b"\n"):
            piece = connection.recv(4096)
            if not piece:
                break
            answer += piece
    told: dict[str, Any] = json.loads(answer)
    return told


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"guestagent: {message}\n")
    return code
