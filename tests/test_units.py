"""The systemd units: systemd itself finds nothing wrong with them, and they hold what the code relies on."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guestagent import __main__ as guestagent
from hostd.settings import HistorySettings

PACKAGING = Path(__file__).parents[1] / "packaging"
MOST_EXPOSED = {"hostd": 3.0, "guestagent": 5.0}  # by systemd-analyze's own measure, 10 being no hardening at all


def unit_in(folder: Path, name: str) -> Path:
    """The unit as it is shipped, but for a program that is there."""
    shipped = (PACKAGING / f"{name}.service").read_text()
    text, count = re.subn(
        rf"^ExecStart=/usr/bin/{name} run$", f"ExecStart={sys.executable}", shipped, flags=re.MULTILINE
    )
    assert count == 1
    copy = folder / f"{name}.service"
    copy.write_text(text)
    return copy


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", MOST_EXPOSED)
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path: Path, name: str) -> None:
    verified = analyze("verify", "--man=no", unit_in(tmp_path, name))
    assert (verified.returncode, name in verified.stderr) == (0, False), verified.stderr


@pytest.mark.parametrize("name", MOST_EXPOSED)
def test_a_unit_is_hardened(tmp_path: Path, name: str) -> None:
    exposure = round(MOST_EXPOSED[name] * 10)
    judged = analyze("security", "--offline=true", f"--threshold={exposure}", unit_in(tmp_path, name))
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_hostds_unit_has_what_a_restart_without_the_guests_noticing_takes() -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's keys are in mixed case
    parser.read(PACKAGING / "hostd.service")
    service = parser["Service"]
    assert (service["Type"], service["Restart"]) == ("notify", "on-failure")
    assert int(service["FileDescriptorStoreMax"]) >= 1000
    assert int(service["WatchdogSec"]) >= 10
    assert {"AF_UNIX", "AF_NETLINK"} <= set(service["RestrictAddressFamilies"].split())


@pytest.mark.parametrize(
    ("name", "written"), [("hostd", HistorySettings().path), ("guestagent", guestagent.JOURNAL), ("guestagent", None)]
)
def test_what_is_written_has_a_folder_to_be_written_to(name: str, written: str | None) -> None:
    shipped = (PACKAGING / f"{name}.service").read_text()
    folder = Path(guestagent.SOCKET if written is None else written).parent
    kind = {Path("/run"): "Runtime", Path("/var/lib"): "State"}[folder.parent]
    assert f"\n{kind}Directory={folder.name}\n" in shipped


@pytest.mark.parametrize("name", ["hostd", "guestagent"])
def test_sqlite_as_root_and_a_socket_for_a_group_may_have_another_owner(name: str) -> None:
    filters = re.findall(r"^SystemCallFilter=(.*)$", (PACKAGING / f"{name}.service").read_text(), re.MULTILINE)
    assert filters[-1] == "@chown"  # after what takes @privileged away, of which it is a part
