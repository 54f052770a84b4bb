"""A whole host from libvirt's test driver to the page, against a golden one: `UPDATE_GOLDEN=1` writes it anew.

On it is what neither the time of day nor the version of libvirt has a say in, sorted: libvirt lists in no order.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.pretended import pretended_host

GOLDEN = Path(__file__).parent / "golden" / "pretended.txt"
ELSEWHERE = re.compile(  # hostd's own, the machine's, by libvirt's version, zeros by the dozen, made up from the time
    r"(hostd|process|python)_|libvirt_(connection|host|events)_|libvirt_domain_(messages|events_total|control_state)"
    r"|libvirt_domain_(info_cpu_time|cpu|vcpu_time|block_stats_(read|write|errors)|interface_stats_(receive|transmit))_"
)


def test_the_page_of_a_pretended_host_is_the_golden_one(tmp_path: Path) -> None:
    config = tmp_path / "hostd.toml"
    uri = pretended_host(6).write(tmp_path / "host.xml")
    config.write_text(f"[[connection]]\nuri = '{uri}'\n[storage]\nvolumes = true\n")
    command = [sys.executable, "-m", "hostd", "metrics", "--config", str(config)]
    page = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    told = sorted(line for line in page.splitlines() if not line.startswith("#") and not ELSEWHERE.match(line))
    if "UPDATE_GOLDEN" in os.environ:
        GOLDEN.write_text("\n".join(told) + "\n")
    assert told == GOLDEN.read_text().splitlines()
