"""What may be an event, and that the wire takes all that may."""

from __future__ import annotations

import pytest

from guestagent.event import BadEvent, event, size_bytes
from protocol import schema
from protocol.messages import Event

RECORD = schema.Record(Event)

WRONG = [  # kind, severity, text, details, and what is said of it
    ("Backup", "info", "", [], "kind 'Backup'"),
    ("", "info", "", [], "kind ''"),
    ("a" * 65, "info", "", [], "kind 'aaa"),
    ("a\n", "info", "", [], "kind 'a\\n'"),
    ("a", "fatal", "", [], "severity 'fatal': write one of info, warning, critical"),
    ("a", "info", "x" * 513, [], "text: 513 characters are more than 512"),
    ("a", "info", "\N{GRINNING FACE}" * 257, [], "text: 1028 bytes are more than 1024"),
    ("a", "info", "a\x1b[2J", [], "text: 'a\\x1b[2J' holds control characters"),
    ("a", "info", "\udcff", [], "text: '\\udcff' holds control characters or is not UTF-8"),
    ("a", "info", "", [("n", "v")] * 17, "details: 17 are more than 16"),
    ("a", "info", "", [("", "v")], "details: one has no name"),
    ("a", "info", "", [("n" * 65, "v")], "begin its name with a small letter, then up to 63"),
    ("a", "info", "", [("Size", "v")], "detail 'Size': begin its name"),
    ("a", "info", "", [("n", "v" * 257)], "detail 'n': 257 characters are more than 256"),
    ("a", "info", "", [("n", "v"), ("n", "w")], "detail 'n': it is there twice"),
    ("a", "info", "", [("n", "a\nb")], "detail 'n': 'a\\nb' holds control characters"),
]


@pytest.mark.parametrize(("kind", "severity", "text", "details", "told"), WRONG)
def test_what_the_host_would_refuse_is_refused_with_where(
    kind: str, severity: str, text: str, details: list[tuple[str, str]], told: str
) -> None:
    with pytest.raises(BadEvent) as caught:
        event(1, kind, severity, text, details)
    assert told in str(caught.value)


@pytest.mark.parametrize("letter", ["a", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{GRINNING FACE}"])
def test_the_largest_event_passes_the_wire_within_its_size(letter: str) -> None:
    width = len(letter.encode())
    details = [("n" * 62 + str(10 + number), letter * 256) for number in range(16)]
    largest = event(1 << 62, "a" * 64, "critical", letter * min(512, 1024 // width), details)
    packed = schema.pack(RECORD, largest)
    assert schema.unpack(RECORD, packed) == largest
    assert len(packed) <= size_bytes(largest) < 32 * 1024 - 1024
