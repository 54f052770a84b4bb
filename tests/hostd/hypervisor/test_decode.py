"""Libvirt's flat statistics to model values."""

import dataclasses
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor.decode import domain_stats, survey
from hostd.model.block import BlockStats
from hostd.model.stats import (
    BalloonStats,
    CpuStats,
    DomainState,
    DomainStats,
    InterfaceStats,
    Survey,
    VcpuStats,
)

# A running QEMU domain as virConnectGetAllDomainStats of libvirt 9.0 told of it.
RECORDED: Mapping[str, object] = {
    "state.state": 1,
    "state.reason": 1,
    "cpu.time": 6_132_000_000,
    "cpu.user": 3_500_000_000,
    "cpu.system": 2_632_000_000,
    "balloon.current": 262144,
    "balloon.maximum": 524288,
    "balloon.swap_in": 4,
    "balloon.swap_out": 8,
    "balloon.major_fault": 174,
    "balloon.minor_fault": 92000,
    "balloon.unused": 150000,
    "balloon.available": 230000,
    "balloon.usable": 180000,
    "balloon.last-update": 1_700_000_000,
    "balloon.disk_caches": 40000,
    "balloon.rss": 300000,
    "vcpu.current": 2,
    "vcpu.maximum": 3,
    "vcpu.0.state": 1,
    "vcpu.0.time": 4_000_000_000,
    "vcpu.0.wait": 0,
    "vcpu.0.halted": False,
    "vcpu.0.delay": 250_000_000,
    "vcpu.2.state": 0,
    "net.count": 2,
    "net.0.name": "vnet0",
    "net.0.rx.bytes": 1000,
    "net.0.rx.pkts": 10,
    "net.0.rx.errs": 1,
    "net.0.rx.drop": 2,
    "net.0.tx.bytes": 2000,
    "net.0.tx.pkts": 20,
    "net.0.tx.errs": 3,
    "net.0.tx.drop": 4,
    "net.1.rx.bytes": 5,
    "block.count": 1,
    "block.0.name": "vda",
    "block.0.path": "/var/lib/libvirt/images/alpha.qcow2",
    "block.0.rd.reqs": 8,
    "block.0.rd.bytes": 4096,
    "block.0.rd.times": 250_000_000,
    "block.0.wr.reqs": 16,
    "block.0.wr.bytes": 8192,
    "block.0.wr.times": 500_000_000,
    "block.0.fl.reqs": 2,
    "block.0.fl.times": 125_000_000,
    "block.0.allocation": 200704,
    "block.0.capacity": 10737418240,
    "block.0.physical": 200704,
}

EXPECTED = DomainStats(
    cpu=CpuStats(time_seconds=6.132, user_seconds=3.5, system_seconds=2.632),
    balloon=BalloonStats(
        current_bytes=256 << 20,
        maximum_bytes=512 << 20,
        rss_bytes=300000 * 1024,
        available_bytes=230000 * 1024,
        usable_bytes=180000 * 1024,
        unused_bytes=150000 * 1024,
        disk_caches_bytes=40000 * 1024,
        swap_in_bytes=4 * 1024,
        swap_out_bytes=8 * 1024,
        major_faults=174,
        minor_faults=92000,
        last_update_seconds=1_700_000_000,
    ),
    vcpus_current=2,
    vcpus_maximum=3,
    vcpus=(
        VcpuStats(number=0, state="running", time_seconds=4.0, wait_seconds=0.0, delay_seconds=0.25, is_halted=False),
        VcpuStats(number=2, state="offline"),
    ),
    interfaces=(
        InterfaceStats(
            index=0,
            name="vnet0",
            receive_bytes=1000,
            receive_packets=10,
            receive_errors=1,
            receive_drops=2,
            transmit_bytes=2000,
            transmit_packets=20,
            transmit_errors=3,
            transmit_drops=4,
        ),
        InterfaceStats(index=1, receive_bytes=5),
    ),
    blocks=(
        BlockStats(
            device="vda",
            read_bytes=4096,
            read_requests=8,
            read_seconds=0.25,
            write_bytes=8192,
            write_requests=16,
            write_seconds=0.5,
            flush_requests=2,
            flush_seconds=0.125,
            capacity_bytes=10737418240,
            allocation_bytes=200704,
            physical_bytes=200704,
        ),
    ),
)


def numbers_in(value: object) -> Iterator[float]:
    """Every number in a model value, places in arrays left out."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from numbers_in(item)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.name not in {"number", "index"}:
                yield from numbers_in(getattr(value, field.name))


def rounded(value: float) -> float:
    return round(value, 9)


def test_a_recorded_answer_is_told_in_seconds_and_bytes() -> None:
    stats = domain_stats(RECORDED)
    assert dataclasses.replace(stats, cpu=EXPECTED.cpu) == EXPECTED
    assert stats.cpu.time_seconds == pytest.approx(6.132)
    assert stats.cpu.user_seconds == pytest.approx(3.5)
    assert stats.cpu.system_seconds == pytest.approx(2.632)


def test_nothing_said_is_nothing_known() -> None:
    assert domain_stats({}) == DomainStats()


@pytest.mark.parametrize("missing", sorted(RECORDED))
def test_a_value_that_is_absent_stays_absent_and_never_becomes_a_number(missing: str) -> None:
    partial = {key: value for key, value in RECORDED.items() if key != missing}
    known = {rounded(n) for n in numbers_in(domain_stats(RECORDED))}
    assert {rounded(n) for n in numbers_in(domain_stats(partial))} <= known


def test_an_answer_given_without_waiting_for_the_monitor_knows_only_what_it_says() -> None:
    """With NOWAIT a busy domain's record has what libvirt itself keeps: no disk counters, no balloon but its target."""
    stats = domain_stats(
        {
            "state.state": 1,
            "state.reason": 1,
            "balloon.current": 262144,
            "balloon.maximum": 262144,
            "vcpu.current": 1,
            "vcpu.maximum": 1,
            "vcpu.0.state": 1,
            "block.count": 1,
            "block.0.name": "vda",
        }
    )
    assert stats.cpu == CpuStats()
    assert stats.balloon == BalloonStats(current_bytes=256 << 20, maximum_bytes=256 << 20)
    assert stats.vcpus == (VcpuStats(number=0, state="running"),)
    assert stats.blocks == (BlockStats(device="vda"),)


@pytest.mark.parametrize("value", [-1, True, "12", 1.5, None, b"1", [1]])
def test_what_is_not_a_count_is_not_taken_for_one(value: object) -> None:
    odd = dict.fromkeys(RECORDED, value)
    odd |= {"vcpu.maximum": 3, "net.count": 2, "block.count": 1}
    assert set(numbers_in(domain_stats(odd))) <= {3}


def test_holes_in_an_array_cost_only_what_is_in_them() -> None:
    holes = {key: value for key, value in RECORDED.items() if not key.startswith(("vcpu.0", "net.0", "block.0"))}
    stats = domain_stats(holes)
    assert [vcpu.number for vcpu in stats.vcpus] == [2]
    assert stats.interfaces == (InterfaceStats(index=0), InterfaceStats(index=1, receive_bytes=5))
    assert stats.blocks == ()


def test_an_entry_for_a_backing_image_is_not_a_disk() -> None:
    chain: dict[str, object] = {
        **RECORDED,
        "block.count": 2,
        "block.1.name": "vda",
        "block.1.path": "/var/lib/libvirt/images/base.qcow2",
        "block.1.backingIndex": 1,
        "block.1.allocation": 77,
    }
    assert domain_stats(chain).blocks == EXPECTED.blocks


def test_a_disk_that_names_its_own_place_in_the_chain_is_a_disk() -> None:
    assert domain_stats({**RECORDED, "block.0.backingIndex": 3}).blocks == EXPECTED.blocks


def test_a_balloon_driver_that_never_told_has_no_time_of_telling() -> None:
    assert domain_stats({"balloon.last-update": 0}).balloon.last_update_seconds is None


@pytest.mark.parametrize("count", [10**6, 2**63])
def test_an_absurd_number_of_items_is_not_counted_through(count: int) -> None:
    stats = domain_stats({"vcpu.maximum": count, "net.count": count, "block.count": count})
    assert len(stats.interfaces) <= 4096


def test_a_survey_tells_state_reason_and_interfaces() -> None:
    assert survey(RECORDED) == Survey(state=DomainState.RUNNING, reason="booted", interfaces=EXPECTED.interfaces)


def test_a_state_and_reason_from_the_future_keep_their_numbers() -> None:
    assert survey({"state.state": 1, "state.reason": 99}) == Survey(state=DomainState.RUNNING, reason="99")
    for nothing_known in ({}, {"state.state": 99}):
        assert survey(nothing_known) == Survey(state=DomainState.NOSTATE, reason="unknown")


KEYS = st.sampled_from(sorted(RECORDED)) | st.text(max_size=8)
NUMBERS = st.integers(-(2**64), 2**64)
VALUES = NUMBERS | st.text(max_size=5) | st.booleans() | st.none() | st.floats() | st.binary(max_size=3)


@given(st.dictionaries(KEYS, VALUES))
def test_whatever_libvirt_says_no_number_is_invented(params: dict[str, object]) -> None:
    said = {n for value in params.values() if isinstance(n := value, int) and not isinstance(n, bool) and n >= 0}
    possible = {rounded(m) for n in said for m in (n, n * 1024, n / 1e9)}
    assert {rounded(n) for n in numbers_in(domain_stats(params))} <= possible
