"""What this machine's kernel counts of itself."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor import kernel
from hostd.hypervisor.kernel import kernel_of, read_kernel
from hostd.model.host import Kernel

MEMINFO = """MemTotal:       24684084 kB
MemFree:        21740336 kB
MemAvailable:   24303312 kB
Buffers:            2176 kB
Cached:          1938616 kB
SwapCached:          300 kB
SwapTotal:       2097148 kB
SwapFree:        1048572 kB
SReclaimable:     202712 kB
HugePages_Total:       0
"""
VMSTAT = "nr_free_pages 5435084\npgpgin 8267573\npgpgout 6268124\npswpin 70\npswpout 150\n"
STAT = "cpu  1318 12 297 3209751 3850 0 5718 1625 900 0\ncpu0 700 0 150 9 9 9 9 9 9 9\nctxt 5\nbtime 1700000000\n"
KNOWN = Kernel(
    read_at=7.0,
    memory_available_bytes=24303312 << 10,
    memory_reclaimable_bytes=202712 << 10,
    swap_total_bytes=2097148 << 10,
    swap_free_bytes=1048572 << 10,
    swap_cached_bytes=300 << 10,
    swapped_in_bytes=70 * 65536,
    swapped_out_bytes=150 * 65536,
    paged_in_bytes=8267573 << 10,
    paged_out_bytes=6268124 << 10,
    cpu_seconds=16.27,
)


def read(*, meminfo: str = MEMINFO, vmstat: str = VMSTAT, stat: str = STAT) -> Kernel:
    return kernel_of(meminfo=meminfo, vmstat=vmstat, stat=stat, page_bytes=65536, ticks_per_second=100, read_at=7.0)


def known(*names: str) -> dict[str, Any]:
    return {name: getattr(KNOWN, name) for name in names}


MEMORY = ("memory_available_bytes", "memory_reclaimable_bytes")
SWAP = ("swap_total_bytes", "swap_free_bytes", "swap_cached_bytes")
PAGING = ("swapped_in_bytes", "swapped_out_bytes", "paged_in_bytes", "paged_out_bytes")


def test_all_is_told_in_bytes_and_seconds() -> None:
    assert read() == KNOWN


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "MemFree:", "MemAvailable: much kB", "pswpin -1", "cpu  1 2"])
def test_a_file_that_makes_no_sense_costs_its_own_numbers_alone(text: str) -> None:
    assert read(meminfo=text) == Kernel(read_at=7.0, **known(*PAGING, "cpu_seconds"))
    assert read(vmstat=text) == Kernel(read_at=7.0, **known(*MEMORY, *SWAP, "cpu_seconds"))
    assert read(stat=text) == Kernel(read_at=7.0, **known(*MEMORY, *SWAP, *PAGING))


def test_a_line_that_is_missing_is_not_0() -> None:
    assert read(vmstat="pgpgin 5\n").swapped_in_bytes is None
    assert read(vmstat="pgpgin 5\n").paged_in_bytes == 5 << 10


@given(st.text(), st.text(), st.text())
def test_any_text_is_read(meminfo: str, vmstat: str, stat: str) -> None:
    assert read(meminfo=meminfo, vmstat=vmstat, stat=stat).read_at == 7.0


@given(st.text(st.characters(categories=["Nd"]), min_size=1, max_size=5))
def test_no_digit_of_any_script_is_an_error(number: str) -> None:
    assert read(vmstat=f"pgpgin {number}", stat=f"cpu {number} {number} {number}").paged_in_bytes is not None


def test_this_machines_own_numbers_are_known() -> None:
    now = read_kernel()
    assert now.cpu_seconds is not None
    assert now.cpu_seconds > 0
    assert None not in {getattr(now, name) for name in (*MEMORY, *SWAP, *PAGING)}
    assert read_kernel().read_at >= now.read_at


def test_where_there_is_no_proc_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "PROC", tmp_path)
    nothing = read_kernel()
    assert nothing == Kernel(read_at=nothing.read_at)
    (tmp_path / "vmstat").write_bytes(b"pgpgin 1\n\xff\n")
    (tmp_path / "stat").write_text(STAT)
    assert read_kernel().paged_in_bytes is None
    assert read_kernel().cpu_seconds is not None
