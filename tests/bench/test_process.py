"""What a process has used, asked of this one."""

import os
import resource

import pytest

from bench.process import cpu_seconds, resident_bytes


def test_cpu_time_is_what_the_kernel_tells_the_process_itself() -> None:
    before = cpu_seconds(os.getpid())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    after = cpu_seconds(os.getpid())
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert before - 2 * tick <= usage.ru_utime + usage.ru_stime <= after + 2 * tick


def test_memory_that_is_written_to_counts() -> None:
    before = resident_bytes(os.getpid())
    block = bytearray(b"x") * (64 << 20)
    assert resident_bytes(os.getpid()) - before == pytest.approx(len(block), rel=0.1)
