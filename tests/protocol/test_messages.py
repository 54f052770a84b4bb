"""The table of messages, held against what is already out there: guests are upgraded years after their hosts."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from protocol import connection, schema
from protocol.messages import (
    MESSAGES,
    Chunk,
    CpuTimes,
    Detail,
    Drop,
    Event,
    Filesystem,
    Load,
    Memory,
    Metrics,
    Notice,
    Ping,
    Refresh,
    Report,
    Role,
)

PLACES = {
    "HelloRequest": (0x01, ["version_min", "version_max"]),
    "Hello": (
        0x02,
        [
            "version_min",
            "version_max",
            "nonce",
            "agent_version",
            "boot_id",
            "capabilities",
            "os_name",
            "kernel_release",
            "machine",
            "hostname",
            "instance",
            "window",
            "journal",
            "events_acknowledged",
            "events_written",
        ],
    ),
    "Welcome": (
        0x03,
        [
            "version",
            "nonce",
            "session",
            "report_interval_seconds",
            "capabilities",
            "events_taken",
            "events_taken_token",
        ],
    ),
    "Refusal": (0x04, ["nonce", "reason"]),
    "Goodbye": (0x05, ["reason"]),
    "Chunk": (0x06, ["kind", "index", "of", "data"]),
    "Report": (
        0x10,
        [
            "uptime_seconds",
            "cpus",
            "cpu",
            "memory",
            "load",
            "filesystems",
            "filesystems_left_out",
            "dropped_frames",
            "drops",
            "time_seconds",
            "events_lost",
        ],
    ),
    "Events": (0x11, ["journal", "events"]),
    "EventsTaken": (0x12, ["journal", "number", "token"]),
    "Metrics": (
        0x20,
        [
            "host_cpus",
            "host_memory_total_bytes",
            "host_memory_free_bytes",
            "host_load1",
            "host_load5",
            "host_load15",
            "host_time_seconds",
            "domain_cpu_time_seconds_total",
            "domain_steal_seconds_total",
            "domain_memory_limit_bytes",
            "host_name",
        ],
    ),
    "Ack": (0x21, ["sequence"]),
    "Ping": (0x22, []),
    "Refresh": (0x23, []),
    "Notice": (0x30, ["number", "kind", "severity", "text", "details", "deadline_seconds"]),
    "NoticeAnswer": (0x31, ["number", "status", "text"]),
}
"""Append at the end of a line, or a line. Anything else breaks what speaks to the released version."""

NESTED_PLACES = {
    Filesystem: [
        "mountpoint",
        "device",
        "fstype",
        "size_bytes",
        "free_bytes",
        "available_bytes",
        "files",
        "files_free",
        "is_read_only",
    ],
    CpuTimes: [
        "user_seconds",
        "nice_seconds",
        "system_seconds",
        "idle_seconds",
        "iowait_seconds",
        "irq_seconds",
        "softirq_seconds",
        "steal_seconds",
    ],
    Memory: [
        "total_bytes",
        "free_bytes",
        "available_bytes",
        "buffers_bytes",
        "cached_bytes",
        "swap_total_bytes",
        "swap_free_bytes",
    ],
    Load: ["load1", "load5", "load15"],
    Drop: ["reason", "count"],
    Detail: ["name", "value"],
    Event: ["number", "kind", "severity", "text", "details", "age_seconds", "token"],
}

CLASSES: tuple[type[Any], ...] = (*(row.message for row in MESSAGES), *NESTED_PLACES)


def names(cls: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def test_numbers_and_places_are_those_that_were_released() -> None:
    assert {row.message.__name__: (row.number, names(row.message)) for row in MESSAGES} == PLACES
    assert {cls: names(cls) for cls in NESTED_PLACES} == NESTED_PLACES


def test_every_number_stands_for_one_message() -> None:
    assert len({row.number for row in MESSAGES}) == len({row.message for row in MESSAGES}) == len(MESSAGES)


def test_every_message_is_allowed_somewhere() -> None:
    assert {message for _, message in connection.TRANSITIONS} == {row.message for row in MESSAGES}


def test_what_a_caller_says_and_hears_is_the_table_without_chunks() -> None:
    assert {*typing.get_args(connection.Message), Chunk} == {row.message for row in MESSAGES}


def test_only_the_host_is_held_back_by_credit() -> None:
    assert [row.message for row in MESSAGES if row.costs_credit] == [Metrics, Ping, Refresh, Notice]
    assert all(row.senders == (Role.HOST,) for row in MESSAGES if row.costs_credit)


def test_a_greeting_is_never_answered_by_credit_and_never_both_ways() -> None:
    assert all(not row.costs_credit and len(row.senders) == 1 for row in MESSAGES if row.is_greeting)


def test_every_class_that_travels_is_held_to_its_places() -> None:
    def within(cls: type[Any]) -> Iterator[type[Any]]:
        yield cls
        for rule in (field.metadata[schema._RULE] for field in dataclasses.fields(cls)):
            inner = rule.rule if isinstance(rule, schema.Several) else rule
            if isinstance(inner, schema.Record):
                yield from within(inner.cls)

    assert {cls for row in MESSAGES for cls in within(row.message)} == set(CLASSES)


def test_whatever_a_class_allows_ends_within_the_decoder_limits() -> None:
    for rule in (field.metadata[schema._RULE] for cls in CLASSES for field in dataclasses.fields(cls)):
        assert getattr(rule, "limit", 0) <= (
            schema.MAX_BLOB_BYTES if isinstance(rule, schema.Blob) else schema.MAX_TEXT_BYTES
        )
        assert not isinstance(rule, schema.Several) or rule.limit <= schema.MAX_ITEMS
    assert all(len(dataclasses.fields(cls)) < schema.MAX_ITEMS // 4 for cls in CLASSES)  # room to grow


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_has_a_rule_and_the_needed_ones_come_first(cls: type[Any]) -> None:
    fields = dataclasses.fields(cls)
    assert all(schema._RULE in field.metadata for field in fields)
    is_optional = [schema._is_optional(field) for field in fields]
    assert is_optional == sorted(is_optional)


@pytest.mark.parametrize("cls", [Report, Metrics])
def test_every_value_of_a_report_may_be_unknown(cls: type[Any]) -> None:
    assert all(field.default is None for field in dataclasses.fields(cls))


def test_every_host_metric_says_what_it_is_about() -> None:
    assert all(field.metadata["about"].endswith(".") for field in dataclasses.fields(Metrics))
