"""What the slow calls say, to the model."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor.progress import created_at, disk_errors, job
from hostd.model.details import NO_JOB, DiskError, Job

MIGRATION = {  # QEMU's, over libvirt 9.0
    "type": 2,
    "operation": 5,
    "time_elapsed": 6500,
    "time_remaining": 0,
    "setup_time": 12,
    "downtime": 300,
    "data_total": 4_312_604_672,
    "data_processed": 1_230_000_000,
    "data_remaining": 3_000_000_000,
    "memory_total": 4_312_604_672,
    "memory_processed": 1_230_000_000,
    "memory_remaining": 3_000_000_000,
    "memory_bps": 117_000_000,
    "memory_constant": 4000,
    "memory_normal": 300_000,
    "memory_normal_bytes": 1_228_800_000,
    "memory_dirty_rate": 500,
    "memory_page_size": 4096,
    "memory_iteration": 3,
    "memory_postcopy_requests": 0,
    "disk_total": 5,
    "disk_processed": 4,
    "disk_remaining": 1,
    "disk_bps": 9,
    "auto_converge_throttle": 20,
}


def test_a_migration_is_told_in_base_units() -> None:
    assert job(MIGRATION) == Job(
        operation="migration_out",
        kind="unbounded",
        elapsed_seconds=6.5,
        setup_seconds=0.012,
        downtime_seconds=0.3,
        data_total_bytes=4_312_604_672,
        data_processed_bytes=1_230_000_000,
        data_remaining_bytes=3_000_000_000,
        memory_total_bytes=4_312_604_672,
        memory_processed_bytes=1_230_000_000,
        memory_remaining_bytes=3_000_000_000,
        memory_bytes_per_second=117_000_000,
        memory_dirty_bytes_per_second=2_048_000,
        memory_iteration=3,
        memory_constant_pages=4000,
        memory_normal_pages=300_000,
        memory_normal_bytes=1_228_800_000,
        memory_postcopy_requests=0,
        disk_total_bytes=5,
        disk_processed_bytes=4,
        disk_remaining_bytes=1,
        disk_bytes_per_second=9,
        throttle_ratio=0.2,
    )


def test_a_backup_tells_of_its_own() -> None:
    backup = job({"type": 2, "operation": 9, "disk_temp_used": 7, "disk_temp_total": 8, "vfio_data_transferred": 0})
    told = {"disk_temporary_used_bytes": 7, "disk_temporary_total_bytes": 8, "vfio_bytes": 0}
    assert backup == Job(operation="backup", kind="unbounded", **told)


def test_only_a_job_that_knows_its_end_tells_how_long_it_takes() -> None:
    bounded = Job(operation="save", kind="bounded", remaining_seconds=1.5)
    assert job({"type": 1, "operation": 2, "time_remaining": 1500}) == bounded
    assert job({"type": 2, "operation": 2, "time_remaining": 1500}) == Job(operation="save", kind="unbounded")


@pytest.mark.parametrize("params", [{}, {"type": 0}, {"type": 0, "time_elapsed": 5}])
def test_without_a_job_there_is_none(params: dict[str, object]) -> None:
    assert job(params) == NO_JOB


def test_an_operation_that_is_newer_than_this_is_its_number() -> None:
    assert job({"type": 2, "operation": 77}) == Job(operation="77", kind="unbounded")
    assert job({"type": 2}) == Job(operation="unknown", kind="unbounded")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(1, "bounded"), (2, "unbounded"), (3, "completed"), (4, "failed"), (5, "cancelled"), (6, "6")],
)
def test_of_what_kind_a_job_is_libvirt_says_by_number(number: int, kind: str) -> None:
    assert job({"type": number, "operation": 2}) == Job(operation="save", kind=kind)


@given(st.dictionaries(st.sampled_from([*MIGRATION, "other"]), st.integers() | st.floats() | st.text() | st.booleans()))
def test_any_parameters_are_a_job_whose_numbers_are_counts_or_not_known(params: dict[str, object]) -> None:
    found = job(params)
    numbers = [getattr(found, field.name) for field in fields(found) if field.name not in {"operation", "kind"}]
    assert all(number is None or number >= 0 for number in numbers)


def test_disks_that_have_failed_are_told_by_device() -> None:
    assert disk_errors({"vdb": 2, "vda": 1, "vdc": 0, "vdd": 9}) == (
        DiskError(device="vda", error="unspecified"),
        DiskError(device="vdb", error="no_space"),
        DiskError(device="vdd", error="9"),
    )
    assert disk_errors({}) == ()


@pytest.mark.parametrize(
    ("xml", "moment"),
    [
        (
            "<domainsnapshot><state>running</state><creationTime>1700000000</creationTime><domain/></domainsnapshot>",
            1_700_000_000,
        ),
        ("<domainsnapshot><creationTime>soon</creationTime></domainsnapshot>", None),
        ("<domainsnapshot><creationTime>٣</creationTime></domainsnapshot>", None),
        ("<domainsnapshot/>", None),
        ("<domainsnapshot>", None),
    ],
)
def test_when_a_snapshot_was_made_is_in_its_xml(xml: str, moment: int | None) -> None:
    assert created_at(xml) == moment
