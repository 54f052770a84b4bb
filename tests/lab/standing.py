"""A lab that stands in the background for use by hand: ``up``, ``shell``, ``down``.

Where it is stands in one file in the cache; everything else is in the lab's own folder.
"""

import contextlib
import readline  # gives input() its line editing and history
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab.cache import cache_folder
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt, remove_abandoned
from tests.lab.progress import step, tell

_NOT_UP = "no lab is up: run 'make lab-up' first"


def up(names: Sequence[str]) -> int:
    """Start a private libvirt and guests, say how to reach them, and leave them running."""
    if libvirtd := _standing():
        tell(f"a lab is up already in {libvirtd.folder}: 'make lab-down' ends it")
        return 1
    remove_abandoned()
    libvirtd = PrivateLibvirt.new(kept=True)
    try:
        with step("starting a private libvirt", about_seconds=2):
            libvirtd.start()
        with step(f"booting {', '.join(names)}", about_seconds=5 * len(names)):
            guests = [Guest.define(libvirtd, GuestSpec(name=name)) for name in names]
            for guest in guests:
                guest.start()
            for guest in guests:
                guest.wait_ready()
    except BaseException:
        libvirtd.remove()
        raise
    _note().parent.mkdir(parents=True, exist_ok=True)
    _note().write_text(str(libvirtd.folder))
    sys.stdout.write(
        f"folder   {libvirtd.folder}\n"
        f"virsh    virsh -c '{libvirtd.uri}' list\n"
        f"hostd    .venv/bin/hostd run --connect '{libvirtd.uri}'\n"
        f"shell    make lab-shell GUEST={names[0]}\n"
        f"end      make lab-down\n"
    )
    return 0


def shell(name: str) -> int:
    """Run lines of shell in a guest, one at a time, until Ctrl-D."""
    libvirtd = _standing()
    if not libvirtd:
        tell(_NOT_UP)
        return 1
    guest = Guest(libvirtd, name)
    guest.wait_ready()
    readline.parse_and_bind("tab: complete")
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            if line := input(f"{name}# ").strip():
                done = guest.shell(line, timeout=600, check=False)
                sys.stdout.write(done.stdout + done.stderr)
    return 0


def down() -> int:
    """End the lab, and with it every guest."""
    libvirtd = _standing()
    if not libvirtd:
        tell(_NOT_UP)
        return 0
    libvirtd.remove()
    _note().unlink()
    tell("the lab is down")
    return 0


def _note() -> Path:
    return cache_folder() / "standing-lab"


def _standing() -> PrivateLibvirt | None:
    with contextlib.suppress(FileNotFoundError):
        folder = Path(_note().read_text())
        if folder.is_dir():
            return PrivateLibvirt(folder)
    return None
