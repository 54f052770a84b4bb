"""Which of a guest's names become labels, with a clock that a test sets."""

from dataclasses import replace

import pytest

from hostd.guests import labels
from hostd.guests.labels import Allowance, Labels, LeftOut
from hostd.metrics.guest import LEFT_OUT_KINDS
from protocol.messages import MAX_FILESYSTEMS, Filesystem, Report
from tests.support.builders import HELLO

PLENTY = 1_000_000


def mounted(*names: str) -> Report:
    return Report(
        filesystems=tuple(
            Filesystem(mountpoint=name, device="d", fstype="ext4", size_bytes=1, free_bytes=1, available_bytes=1)
            for name in names
        )
    )


def full(prefix: str) -> Report:
    return mounted(*(f"/{prefix}{number}" for number in range(MAX_FILESYSTEMS)))


def kept(report: Report) -> list[str]:
    return [filesystem.mountpoint for filesystem in report.filesystems or ()]


def test_what_a_guest_has_mounted_is_told_however_often_it_reports() -> None:
    its = Labels(Allowance(PLENTY), 400)
    for second in range(10_000):
        assert its.admit(full("data"), float(second)) == (full("data"), {})


def test_a_guest_has_no_more_series_than_it_may_and_the_first_win() -> None:
    its = Labels(Allowance(PLENTY), 3 * labels.SERIES_EACH + 1)
    report, left_out = its.admit(mounted("/a", "/b", "/c", "/d", "/e"), 0.0)
    assert (kept(report), left_out) == (["/a", "/b", "/c"], {LeftOut.GUEST: 2})


def test_all_guests_together_have_no_more_and_who_came_first_keeps_its_place() -> None:
    allowance = Allowance(3 * labels.SERIES_EACH)
    first, second = Labels(allowance, 400), Labels(allowance, 400)
    assert kept(first.admit(mounted("/a", "/b"), 0.0)[0]) == ["/a", "/b"]
    report, left_out = second.admit(mounted("/c", "/d"), 0.0)
    assert (kept(report), left_out) == (["/c"], {LeftOut.ALL: 1})
    assert kept(first.admit(mounted("/a", "/b"), 1.0)[0]) == ["/a", "/b"]
    first.release()
    assert kept(second.admit(mounted("/c", "/d"), 2.0)[0]) == ["/c", "/d"]


def test_a_guest_with_other_names_each_time_makes_no_series_without_end() -> None:
    its = Labels(Allowance(PLENTY), 400)
    told = {name for second in range(3600) for name in kept(its.admit(full(f"bomb{second}-"), float(second))[0])}
    assert len(told) <= labels.NEW_RESERVE + 64
    assert its.admit(full("more"), 3600.0)[1][LeftOut.NEW] >= MAX_FILESYSTEMS - 1


def test_a_guest_whose_names_were_held_back_may_have_new_ones_later() -> None:
    its = Labels(Allowance(PLENTY), 400)
    for second in range(10):
        its.admit(full(f"bomb{second}-"), float(second))
    assert kept(its.admit(mounted("/new"), 3600.0)[0]) == ["/new"]


def test_what_is_remembered_of_a_guest_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MOST_REMEMBERED", 100)
    its = Labels(Allowance(PLENTY), 400)
    for day in range(100):
        its.admit(full(f"day{day}-"), 86_400.0 * day)
        assert len(its._seen) <= 100


def test_an_agent_that_calls_its_system_something_else_each_time_is_no_longer_named() -> None:
    its = Labels(Allowance(PLENTY), 400)
    assert its.introduce(HELLO, 0.0) == HELLO
    for number in range(int(labels.NEW_RESERVE)):
        its.admit(mounted(f"/{number}"), 0.0)
    assert its.introduce(HELLO, 0.0) == HELLO
    other = its.introduce(replace(HELLO, hostname="other"), 0.0)
    assert (other.hostname, other.os_name, other.nonce) == (None, None, HELLO.nonce)


def test_every_reason_is_a_label_of_the_metric() -> None:
    assert {why.value for why in LeftOut} == set(LEFT_OUT_KINDS)
