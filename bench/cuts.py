"""What becomes of a guest's events while its line is cut two hundred times: a real guest, agent, hostd and history."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import guest_lives
from bench.outcome import Outcome, Reading, Unit
from bench.stage import Stage
from tests.lab.daemon import Hostd
from tests.lab.disconnects import drop_connection, in_any_order, kill_hostd
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import private_libvirt
from tests.lab.numbered import Numbered
from tests.lab.progress import step
from tests.lab.waiting import pause

CUTS = 200
INTERVAL_SECONDS = 0.2  # between reports
EMIT_SECONDS = 0.05
MOST_PAUSE_SECONDS = 0.1  # before a cut, so that it falls anywhere


def events(_stage: Stage) -> Outcome:
    """Events lost and doubled: of those that the agent promised to tell, the ones not in the history, or twice."""
    with _guest_and_hostd() as (guest, hostd), step(f"cutting the line {CUTS} times", about_seconds=CUTS // 2):
        numbered = Numbered(guest, hostd.history, pause_seconds=EMIT_SECONDS)
        begun = time.monotonic()
        for cut in in_any_order(CUTS, (kill_agent, drop_connection, kill_hostd, kill_agent, drop_connection)):
            numbered.wait_for_more()
            pause(random.uniform(0, MOST_PAUSE_SECONDS))  # noqa: S311 - no secret
            cut(guest, hostd)
        seconds = (time.monotonic() - begun) / CUTS
        account = numbered.end()
    wrong = Reading(value=len(account.lost) + len(account.doubled), unit=Unit.COUNT, of="lost or doubled")
    return Outcome(
        measured=Reading(value=account.kept, unit=Unit.COUNT, of=f"events, {CUTS} cuts"),
        beside=Reading(value=seconds, unit=Unit.SECONDS, of="from cut to cut"),
        judged=wrong,
    )


def kill_agent(guest: Guest, _hostd: Hostd) -> None:
    """End the agent as a crash would."""
    guest.shell(f"until kill -9 $(cat {guest_lives.PID}) 2>/dev/null; do sleep 0.01; done")


@contextmanager
def _guest_and_hostd() -> Iterator[tuple[Guest, Hostd]]:
    with private_libvirt() as libvirtd:
        with step("a guest boots, and its agent starts", about_seconds=15):
            guest = Guest.define(libvirtd, GuestSpec(name="cut", agent=False))
            guest.start()
            guest.wait_ready()
            _start_lives(guest)
        hostd = Hostd(libvirtd.uri, libvirtd.folder / "hostd", interval_seconds=INTERVAL_SECONDS)
        try:
            hostd.start()
            hostd.wait_for_sample("guest_agent_connected", {"domain": guest.name}, lambda is_so: is_so == 1)
            yield guest, hostd
        finally:
            hostd.stop()


def _start_lives(guest: Guest) -> None:
    script = Path(guest_lives.__file__).read_text(encoding="utf-8")
    guest.run(["sh", "-c", "cat > /tmp/lives.py"], stdin=script)
    guest.shell("python3 /tmp/lives.py >/var/log/guestagent.log 2>&1 </dev/null &")
