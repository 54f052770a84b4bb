"""`hostd import-vhostmd` as a process: what it writes where, and how it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hostd.config import load

CONFIGS = Path(__file__).parent / "configs"
SECONDS = 120


def hostd(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hostd", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_what_it_prints_is_a_configuration_and_what_has_to_be_looked_at_is_said_with_its_line(tmp_path: Path) -> None:
    conf = CONFIGS / "generation-head.conf"
    ended = hostd("import-vhostmd", conf)
    assert ended.returncode == os.EX_OK
    said = ended.stderr.splitlines()
    assert f"hostd: {conf}:75: 'Tier': is not known to hostd and is carried over as a program" in said
    assert all(line.startswith(f"hostd: {conf}:") for line in said)
    toml = tmp_path / "hostd.toml"
    toml.write_text(ended.stdout, encoding="utf-8")
    assert load(toml).vhostmd.set == "vhostmd"
    checked = hostd("check-config", toml)
    assert (checked.returncode, checked.stderr) == (os.EX_OK, "")


def test_it_writes_a_file_and_never_over_one(tmp_path: Path) -> None:
    toml = tmp_path / "hostd.toml"
    ended = hostd("import-vhostmd", CONFIGS / "generation-0.5.conf", "--output", toml)
    assert (ended.returncode, ended.stdout) == (os.EX_OK, "")
    written = toml.read_text(encoding="utf-8")
    assert load(toml).vhostmd.set == "sap"
    ended = hostd("import-vhostmd", CONFIGS / "generation-1.2.conf", "--output", toml)
    assert ended.returncode == os.EX_CANTCREAT
    assert ended.stderr == f"hostd: {toml}: File exists; name a file that is not there yet\n"
    assert toml.read_text(encoding="utf-8") == written


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, os.EX_NOINPUT, ": No such file or directory; name a vhostmd.conf that can be read"),
        ("<vhostmd>\n<", os.EX_DATAERR, ":2: not well-formed XML: unclosed token; mend it and try again"),
        ("<domain/>", os.EX_DATAERR, ":1: begins with <domain>, not <vhostmd>: is it a vhostmd.conf?"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_a_code_of_its_own(
    content: str | None, code: int, said: str, tmp_path: Path
) -> None:
    conf, toml = tmp_path / "vhostmd.conf", tmp_path / "hostd.toml"
    if content is not None:
        conf.write_text(content)
    ended = hostd("import-vhostmd", conf, "--output", toml)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", f"hostd: {conf}{said}\n")
    assert not toml.exists()


def test_help_has_the_exit_codes_and_the_options_of_vhostmd() -> None:
    ended = hostd("import-vhostmd", "--help")
    assert ended.returncode == os.EX_OK
    for word in ("65  what is to be imported is no vhostmd.conf", "--output FILE", "-c URI", "-u USER"):
        assert word in ended.stdout
