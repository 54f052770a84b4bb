"""A guest as a folder of /proc files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.guestagent.programs import Guest
from tests.guestagent.talk import Talk

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "proc/uptime": "350735.47 234388.90\n",
    "proc/loadavg": "0.20 0.18 0.12 1/80 11206\n",
    "proc/stat": (
        "cpu  10132153 290696 3084719 46828483 16683 0 25195 100 175628 0\n"
        "cpu0 5066076 145348 1542359 23414241 8341 0 12597 50 87814 0\n"
        "cpu1 5066077 145348 1542360 23414242 8342 0 12598 50 87814 0\n"
        "intr 1462898\nctxt 115315\nbtime 769041601\nprocesses 86031\n"
    ),
    "proc/meminfo": (
        "MemTotal:       16384 kB\nMemFree:         8192 kB\nMemAvailable:   10240 kB\nBuffers:          512 kB\n"
        "Cached:          2048 kB\nSwapCached:         0 kB\nSwapTotal:          0 kB\nSwapFree:           0 kB\n"
        "HugePages_Total:       0\n"
    ),
    "proc/self/mounts": "tmpfs / tmpfs rw 0 0\n",
    "proc/filesystems": "nodev\tsysfs\nnodev\ttmpfs\nnodev\tnfs4\n\text4\n\tvfat\n\tsquashfs\n",
    "proc/sys/kernel/random/boot_id": "7f0c1c8e-3a55-4f2e-8d7c-0e4a7d1f2b3c\n",
    "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A guest's file system, as far as probes read it."""
    for name, text in FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "root"


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Where the agent and its commands are run as processes."""
    return Guest(tmp_path)


@pytest.fixture
def talk() -> Talk:
    """The host is there and has not been greeted yet."""
    talk = Talk()
    talk.guest.begin(talk.now)
    return talk


@pytest.fixture
def session(talk: Talk) -> Talk:
    """A session with a report every ten seconds, the first one made."""
    talk.passes(0)
    talk.welcome()
    assert talk.kinds(0) == [(0, "Report")]
    return talk
