"""The agent in a guest as a test starts and ends it, its port, and what it says of itself and of its host."""

import contextlib
import json
from typing import Any

import libvirt_qemu

from tests.lab.guest import AGENT_CHANNEL, Guest
from tests.lab.guest_programs import Program, python, running
from tests.lab.waiting import wait_for

_HOOK = "/etc/virtwire/hooks.d/10-hook"
_RAN = "/run/hook-ran"
ABSENT = '{"state": "absent"}'

# Runs in the guest: fills the agent's port until the host's end has taken nothing for a while.
_FILLER = """
import os
import time

from guestagent.find import by_name

port = os.open(by_name(NAME), os.O_RDWR | os.O_NONBLOCK)
full_since = None
while full_since is None or time.monotonic() - full_since < 0.5:
    try:
        os.write(port, bytes(256))
        full_since = None
    except BlockingIOError:
        full_since = full_since or time.monotonic()
        time.sleep(0.02)  # the port is full for now; it counts as full for good after half a second
"""


def agent(guest: Guest) -> contextlib.AbstractContextManager[Program]:
    """Run an agent for as long as the block lasts, in a guest that has none."""
    return running(guest, "exec guestagent run")


def install_hook(guest: Guest) -> None:
    """Have a program of the guest's told of every notice."""
    guest.shell(
        f"mkdir -p $(dirname {_HOOK}); echo '#!/bin/sh' > {_HOOK};"
        f" echo 'echo \"$VIRTWIRE_KIND\" >> {_RAN}' >> {_HOOK}; chmod 755 {_HOOK}"
    )


def hooked(guest: Guest) -> list[str]:
    """The kinds of the notices that the program was told of."""
    return guest.shell(f"cat {_RAN} || true").stdout.split()


def status(guest: Guest) -> dict[str, Any]:
    """What `guestagent status` says; of an agent that does not answer, that."""
    said: dict[str, Any] = json.loads(
        guest.run(["guestagent", "status", "--format", "json"], check=False).stdout or ABSENT
    )
    return said


def notices(guest: Guest) -> list[dict[str, Any]]:
    """What `guestagent notices` says."""
    return [json.loads(line) for line in guest.run(["guestagent", "notices", "--format", "json"]).stdout.splitlines()]


def fill_port(guest: Guest) -> None:
    """Write into the agent's port, which nobody has open and whose host does not read, until QEMU holds it back."""
    guest.shell(python(_FILLER.replace("NAME", repr(AGENT_CHANNEL))))
    wait_for("QEMU holds the port back", lambda: is_held_back(guest), deadline=30)


def is_held_back(guest: Guest) -> bool:
    """Whether QEMU has stopped to take what the guest writes, by its own word: of one port, there being no other."""
    hmp = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
    return "throttle on" in libvirt_qemu.qemuMonitorCommand(guest.domain, "info qtree", hmp)
