"""The table of events, held against the libvirt that is installed, and what the arguments of each mean."""

import re
from collections import Counter

import libvirt
import pytest

from hostd.hypervisor import FinishedJob, names, notices
from hostd.hypervisor.notices import DOMAIN_EVENTS, FAMILIES, LEFT_OUT, Event, Meaning
from hostd.metrics.event import ALERTED, ALERTED_OBJECTS, RARER
from hostd.model.world import GAP, STATE_AFTER

_IDS = re.compile(r"VIR_(DOMAIN|NETWORK|STORAGE_POOL|NODE_DEVICE|SECRET)_EVENT_ID_(?!LAST$)[A-Z0-9_]+")
INSTALLED = sorted(name for name in vars(libvirt) if _IDS.fullmatch(name))
BY_CONSTANT = {event.constant: event for family in FAMILIES for event in family.events}
BY_NAME = {event.name: event for event in DOMAIN_EVENTS}
LIFECYCLES = {"lifecycle"} | {name for name, _ in names.EVENTS}

MEANINGS = [  # the arguments as a callback gets them, and what they mean
    ("lifecycle", (5, 5), Meaning(event="stopped", detail="failed")),
    ("lifecycle", (8, 0), Meaning(event="crashed", detail="panicked")),
    ("reboot", (), Meaning()),
    ("rtc_change", (-3600,), Meaning(particulars=(("offset_seconds", -3600),))),
    ("watchdog", (2,), Meaning(detail="reset")),
    (
        "graphics",
        (
            0,
            {"family": 0, "node": "127.0.0.1", "service": "5900"},
            {"family": 0, "node": "198.51.100.7", "service": "41000"},
            "none",
            [("dname", "CN=x")],
        ),
        Meaning(
            detail="connect",
            particulars=(("remote", "198.51.100.7"), ("scheme", "none"), ("subject", [("dname", "CN=x")])),
        ),
    ),
    (
        "io_error",
        ("/disk.qcow2", "virtio-disk0", 1, "enospc"),
        Meaning(
            detail="pause_enospc",
            particulars=(("path", "/disk.qcow2"), ("device", "virtio-disk0"), ("reason", "enospc")),
        ),
    ),
    (
        "io_error",
        ("/disk.qcow2", "virtio-disk0", 2, ""),
        Meaning(
            detail="report_other", particulars=(("path", "/disk.qcow2"), ("device", "virtio-disk0"), ("reason", ""))
        ),
    ),
    ("control_error", (), Meaning()),
    (
        "disk_change",
        ("/old", None, "ide0-0-0", 1),
        Meaning(detail="drop_missing_on_start", particulars=(("old", "/old"), ("new", None), ("device", "ide0-0-0"))),
    ),
    ("tray_change", ("scsi0-0-0-0", 1), Meaning(detail="close", particulars=(("device", "scsi0-0-0-0"),))),
    ("pmwakeup", (0,), Meaning()),
    ("pmsuspend", (0,), Meaning()),
    ("pmsuspend_disk", (0,), Meaning()),
    ("balloon_change", (262144,), Meaning(particulars=(("actual_kibibytes", 262144),))),
    ("device_added", ("channel3",), Meaning(particulars=(("device", "channel3"),))),
    ("device_removed", ("channel3",), Meaning(particulars=(("device", "channel3"),))),
    ("device_removal_failed", ("net0",), Meaning(particulars=(("device", "net0"),))),
    ("block_job", ("vda", 4, 3), Meaning(detail="active_commit_ready", particulars=(("disk", "vda"),))),
    ("block_job", ("vda", 2, 1), Meaning(detail="copy_failed", particulars=(("disk", "vda"),))),
    (
        "tunable",
        ({"cputune.vcpupin0": "0-1", "cputune.cpu_shares": 512},),
        Meaning(detail="cputune", particulars=(("cputune.cpu_shares", 512), ("cputune.vcpupin0", "0-1"))),
    ),
    (
        "tunable",
        ({"blkdeviotune.disk": "vda"},),
        Meaning(detail="blkdeviotune", particulars=(("blkdeviotune.disk", "vda"),)),
    ),
    ("tunable", ({"newtune.x": 1},), Meaning(detail="other", particulars=(("newtune.x", 1),))),
    ("agent_lifecycle", (2, 1), Meaning(detail="disconnected_domain_started")),
    ("agent_lifecycle", (1, 2), Meaning(detail="connected_channel")),
    ("migration_iteration", (3,), Meaning(particulars=(("iteration", 3),))),
    (
        "job_completed",
        ({"operation": 5, "time_elapsed": 1300, "downtime": 250, "downtime_net": 210, "memory_total": 1 << 30},),
        Meaning(
            detail="migration_out_completed",
            job=FinishedJob(operation="migration_out", result="completed", seconds=1.3, downtime_seconds=0.21),
        ),
    ),
    (
        "job_completed",
        ({"operation": 9, "time_elapsed": 40, "success": False, "errmsg": "no space"},),
        Meaning(
            detail="backup_failed",
            particulars=(("error", "no space"),),
            job=FinishedJob(operation="backup", result="failed", seconds=0.04),
        ),
    ),
    (
        "job_completed",
        ({},),
        Meaning(detail="unknown_completed", job=FinishedJob(operation="unknown", result="completed")),
    ),
    ("metadata_change", (2, "urn:x"), Meaning(detail="element", particulars=(("uri", "urn:x"),))),
    ("metadata_change", (1, None), Meaning(detail="title", particulars=(("uri", None),))),
    (
        "block_threshold",
        ("vdb[2]", "/disk", 4 << 20, 65536),
        Meaning(
            particulars=(
                ("disk", "vdb[2]"),
                ("path", "/disk"),
                ("threshold_bytes", 4 << 20),
                ("excess_bytes", 65536),
            )
        ),
    ),
    ("memory_failure", (1, 2, 3), Meaning(detail="guest_fatal", particulars=(("flags", 3),))),
    (
        "memory_device_size_change",
        ("virtiomem0", 131072),
        Meaning(particulars=(("device", "virtiomem0"), ("kibibytes", 131072))),
    ),
    (
        "nic_mac_change",
        ("net0", "52:54:00:00:00:01", "52:54:00:00:00:02"),
        Meaning(particulars=(("device", "net0"), ("old", "52:54:00:00:00:01"), ("new", "52:54:00:00:00:02"))),
    ),
    ("vcpu_removed", (3,), Meaning(particulars=(("vcpu", 3),))),
]

OF_OBJECTS = [
    ("VIR_NETWORK_EVENT_ID_LIFECYCLE", (3, 0), Meaning(event="stopped")),
    ("VIR_NETWORK_EVENT_ID_METADATA_CHANGE", (0, None), Meaning(detail="description", particulars=(("uri", None),))),
    ("VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE", (5, 0), Meaning(event="deleted")),
    ("VIR_STORAGE_POOL_EVENT_ID_REFRESH", (), Meaning()),
    ("VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE", (1, 0), Meaning(event="deleted")),
    ("VIR_NODE_DEVICE_EVENT_ID_UPDATE", (), Meaning()),
    ("VIR_SECRET_EVENT_ID_LIFECYCLE", (0, 0), Meaning(event="defined")),
    ("VIR_SECRET_EVENT_ID_VALUE_CHANGED", (), Meaning()),
]


@pytest.mark.parametrize("constant", INSTALLED)
def test_every_event_of_the_installed_libvirt_has_its_row_or_the_reason_why_not(constant: str) -> None:
    assert (constant in BY_CONSTANT) != bool(LEFT_OUT.get(constant))


def test_the_event_whose_callback_is_broken_in_the_binding_is_left_out() -> None:
    assert "VIR_DOMAIN_EVENT_ID_CHANNEL_LIFECYCLE" in LEFT_OUT


def test_no_row_is_there_twice() -> None:
    constants = Counter(event.constant for family in FAMILIES for event in family.events)
    assert set(constants.values()) == {1}
    assert len(BY_NAME) == len(DOMAIN_EVENTS)


@pytest.mark.parametrize("event", BY_CONSTANT.values(), ids=lambda event: event.constant)
def test_every_row_is_named_by_libvirts_word(event: Event) -> None:
    word = event.constant.partition("_EVENT_ID_")[2].lower()
    assert event.name == {"io_error_reason": "io_error", "block_job_2": "block_job"}.get(word, word)


def test_no_event_is_called_like_another_one_that_changes_a_state() -> None:
    assert not set(BY_NAME) & (LIFECYCLES - {"lifecycle"})
    assert set(STATE_AFTER) <= LIFECYCLES


@pytest.mark.parametrize(("name", "arguments", "meaning"), MEANINGS)
def test_what_the_arguments_of_a_domains_event_mean(name: str, arguments: tuple[object, ...], meaning: Meaning) -> None:
    assert BY_NAME[name].meaning(*arguments) == meaning


def test_every_event_of_a_domain_has_its_example_here() -> None:
    assert {name for name, _, _ in MEANINGS} == set(BY_NAME)


@pytest.mark.parametrize(("constant", "arguments", "meaning"), OF_OBJECTS)
def test_what_the_arguments_of_other_objects_events_mean(
    constant: str, arguments: tuple[object, ...], meaning: Meaning
) -> None:
    assert BY_CONSTANT[constant].meaning(*arguments) == meaning


def test_every_event_of_other_objects_has_its_example_here() -> None:
    assert {constant for constant, _, _ in OF_OBJECTS} == set(BY_CONSTANT) - {e.constant for e in DOMAIN_EVENTS}


@pytest.mark.parametrize(
    ("name", "arguments", "detail"),
    [
        ("watchdog", (99,), "99"),
        ("io_error", ("p", "a", 7, "enospc"), "7_enospc"),
        ("io_error", ("p", "a", 1, "as long as libvirt likes"), "pause_other"),
        ("block_job", ("vda", 17, 2), "17_canceled"),
        ("agent_lifecycle", (3, 9), "3_9"),
        ("job_completed", ({"operation": 42},), "42_completed"),
    ],
)
def test_a_number_that_is_not_known_is_its_own_name_and_text_is_none(
    name: str, arguments: tuple[object, ...], detail: str
) -> None:
    assert BY_NAME[name].meaning(*arguments).detail == detail


@pytest.mark.parametrize("event", BY_CONSTANT.values(), ids=lambda event: event.constant)
def test_arguments_of_another_shape_are_an_error_and_no_event(event: Event) -> None:
    with pytest.raises((TypeError, AttributeError, ValueError)):
        event.meaning(*[object()] * 9)


def test_what_an_alert_asks_for_is_what_libvirt_can_say() -> None:
    details = {
        "io_error": {f"{action}_{why}" for action in names.IO_ERROR_ACTIONS for why in ("enospc", "other")},
        "watchdog": set(names.WATCHDOG_ACTIONS),
        "block_job": {f"{kind}_{status}" for kind in names.BLOCK_JOB_TYPES for status in names.BLOCK_JOB_STATUSES},
        "memory_failure": {
            f"{recipient}_{action}"
            for recipient in names.MEMORY_FAILURE_RECIPIENTS
            for action in names.MEMORY_FAILURE_ACTIONS
        },
        **{name: {""} for name in ("control_error", "block_threshold", "device_removal_failed")},
        **{name: set(its) for name, its in names.EVENTS},
    }
    troubles = (*ALERTED, *RARER)
    assert len(set(troubles)) == len(troubles)
    for event, detail in troubles:
        assert detail in details[event]


def test_what_an_alert_asks_for_of_other_objects_is_what_libvirt_can_say() -> None:
    of = {"network": names.NETWORK_EVENTS, "storage_pool": names.STORAGE_POOL_EVENTS}
    for kind, event, detail in ALERTED_OBJECTS:
        assert (
            (kind, event, detail) == GAP or (event, detail) in (*ALERTED, *RARER) or (event in of[kind] and not detail)
        )


def values(prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): value for name, value in vars(libvirt).items() if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("VIR_DOMAIN_EVENT_WATCHDOG_", names.WATCHDOG_ACTIONS),
        ("VIR_DOMAIN_EVENT_GRAPHICS_", names.GRAPHICS_PHASES),
        ("VIR_DOMAIN_BLOCK_JOB_TYPE_", names.BLOCK_JOB_TYPES),
        ("VIR_DOMAIN_BLOCK_JOB_", names.BLOCK_JOB_STATUSES),
        ("VIR_DOMAIN_EVENT_DISK_", names.DISK_CHANGES),
        ("VIR_DOMAIN_EVENT_TRAY_CHANGE_", names.TRAY_CHANGES),
        ("VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_", names.AGENT_REASONS),
        ("VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_", names.MEMORY_FAILURE_RECIPIENTS),
        ("VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_", names.MEMORY_FAILURE_ACTIONS),
        ("VIR_DOMAIN_EVENT_IO_ERROR_", names.IO_ERROR_ACTIONS),
        ("VIR_DOMAIN_METADATA_", names.METADATA_TYPES),
        ("VIR_DOMAIN_JOB_OPERATION_", names.JOB_OPERATIONS),
        ("VIR_NETWORK_EVENT_", names.NETWORK_EVENTS),
        ("VIR_STORAGE_POOL_EVENT_", names.STORAGE_POOL_EVENTS),
        ("VIR_NODE_DEVICE_EVENT_", names.NODE_DEVICE_EVENTS),
        ("VIR_SECRET_EVENT_", names.SECRET_EVENTS),
    ],
)
def test_the_words_are_libvirts_own_in_its_order(prefix: str, words: tuple[str, ...]) -> None:
    own = values(prefix)
    for number, word in enumerate(words):
        assert own.get(word.upper(), number) == number  # an older libvirt has fewer
    assert {word.upper() for word in words} & set(own)


def test_the_states_of_the_agent_are_libvirts_own_which_begin_at_1() -> None:
    own = values("VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_")
    assert {word.lower(): number for word, number in own.items() if word != "LAST"} == {
        word: number for number, word in enumerate(names.AGENT_STATES) if number
    }


def test_the_table_reads_without_libvirt() -> None:
    assert not hasattr(notices, "libvirt")
