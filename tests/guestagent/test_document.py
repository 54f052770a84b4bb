"""What the agent tells the guest's own programs: complete, and never too long."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from guestagent import document
from guestagent.counters import COUNTERS
from protocol.errors import DropReason
from protocol.messages import Detail, Metrics, Notice, Refusal

if TYPE_CHECKING:
    from tests.guestagent.talk import Talk

LONG = Notice(
    number=1,
    kind="x" * 64,
    severity="info",
    text="\U00010000" * 512,
    details=tuple(Detail(name="x" * 60 + str(at), value="\U00010000" * 256) for at in range(16)),
)


def test_every_reason_to_drop_input_has_its_counter() -> None:
    assert {f"input_{reason.value}" for reason in DropReason} <= set(COUNTERS)


def test_the_status_has_every_counter(session: Talk) -> None:
    session.noise(b"\0noise\0")
    status = document.status(session.guest, session.now)
    assert set(COUNTERS) <= set(status)
    assert (status["input_framing"], status["greetings"]) == (1, 1)


def test_the_status_of_a_session_that_is_open(session: Talk) -> None:
    session.passes(2)
    session.guest.port = "/dev/vport0p1"
    status = document.status(session.guest, session.now)
    assert (status["state"], status["reason"], status["port"]) == ("open", None, "/dev/vport0p1")
    assert (status["heard_age_seconds"], status["reported_age_seconds"]) == (2, 2)
    assert status["report_interval_seconds"] == 10


def test_the_state_is_a_word_and_a_reason(talk: Talk) -> None:
    def state() -> tuple[str, str | None]:
        status = document.status(talk.guest, talk.now)
        return status["state"], status["reason"]

    assert state() == ("greeting", None)
    talk.passes(0)
    talk.hears(Refusal(nonce=talk.greetings, reason="not wanted"))
    assert state() == ("refused", "not wanted")
    talk.guest.end("no host")
    assert state() == ("away", "no host")


def test_the_document_is_short_enough_to_be_written_at_once(session: Talk) -> None:
    session.says(Metrics(host_name="\U00010000" * 255))
    for number in range(1, 101):
        session.says(dataclasses.replace(LONG, number=number))
    told = document.document(session.guest, session.now)
    assert len(json.dumps(told)) < 64 * 1024
    assert told["notices"] == []  # not even one of these has room
    assert told["status"]["notices"] == 100


def test_the_newest_notices_are_told_the_oldest_of_them_first(session: Talk) -> None:
    for number in range(1, 101):
        session.says(Notice(number=number, kind="test", severity="info", text="x" * 512))
    numbers = [notice["number"] for notice in document.document(session.guest, session.now)["notices"]]
    assert 10 < len(numbers) < 100
    assert numbers == list(range(101 - len(numbers), 101))
