"""A guest that means harm, for real: the attacker at its virtio port, and beside it a guest that does none."""

import base64
import io
import zipfile
from pathlib import Path

from tests.hostile.attacks import ATTACKS
from tests.lab.conftest import Boot, StartHostd
from tests.lab.daemon import Hostd
from tests.lab.guest import AGENT_CHANNEL, Guest, GuestSpec
from tests.lab.prometheus import promtool
from tests.support.pages import samples_of

ROOT = Path(__file__).parents[2]
KIT = "/tmp/kit.zip"
RUN = f"PYTHONPATH={KIT}:/opt/virtwire/guestagent.pyz python3 -m tests.hostile"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def kit() -> str:
    """What the attacker needs beside `protocol` and msgpack, which a guest has with its agent."""
    files = [*ROOT.glob("tests/hostile/*.py"), ROOT / "tests/support/hostile_bytes.py"]
    files += [ROOT / "tests/__init__.py", ROOT / "tests/support/__init__.py"]
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(ROOT))
    return base64.b64encode(written.getvalue()).decode()


def attack(guest: Guest, name: str, seconds: float) -> str:
    """Run it in the guest to its end; what it says of itself."""
    return guest.shell(f"{RUN} {name} --port {AGENT_CHANNEL} --seconds {seconds}").stdout


def reports_of(hostd: Hostd, guest: Guest) -> float:
    return hostd.value("hostd_guest_reports_total", domain=guest.name) or 0.0


def test_a_guest_that_attacks_costs_its_neighbour_nothing_and_the_page_stays_well(
    guest: Guest, boot: Boot, start_hostd: StartHostd
) -> None:
    hostile = boot(GuestSpec(name="hostile", agent=False))
    hostile.run(["sh", "-c", f"base64 -d > {KIT}"], stdin=kit())
    hostd = start_hostd()
    hostd.wait_for_sample("guest_memory_total_bytes", {"domain": guest.name})

    for name in ("labels", "flood"):
        before = reports_of(hostd, guest)
        said = attack(hostile, name, 4.0)
        assert f"{name}: in the end: " in said
        for mark in ATTACKS[name].moves[:1]:
            labels = {"domain": hostile.name, **({mark.label: mark.value} if mark.label else {})}
            hostd.wait_for_sample(mark.metric, labels, lambda value: value > 0)
        assert promtool("check", "metrics", stdin=hostd.page()) == ""
        assert samples_of(hostd.page(accept=OPENMETRICS), openmetrics=True)
        hostd.wait_for_sample("hostd_guest_reports_total", {"domain": guest.name}, lambda v, b=before: v > b)  # type: ignore[misc]  # of this turn

    assert hostd.value("hostd_guest_reconnects_total", domain=guest.name) == 0
    assert hostd.value("hostd_guest_throttled_seconds_total", domain=guest.name) == 0
