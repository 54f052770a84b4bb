"""What reads vhostmd's metrics in a real guest, read from hostd: its port is opened, asked and read as there."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol import vhostmd
from tests.lab.conftest import shown
from tests.lab.daemon import Hostd
from tests.lab.guest import Guest, GuestSpec
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.processes import frozen

CHANNEL = f"""<channel type='unix'>
  <source mode='bind'/><target type='virtio' name='{vhostmd.CHANNEL}'/>
</channel>"""

# What vm-dump-metrics does, but for its time-outs: a guest that is emulated beside others may be slow.
ASK = f"""
import glob, os, sys, time
name, = (n for n in glob.glob("/sys/class/virtio-ports/*/name") if open(n).read().strip() == "{vhostmd.CHANNEL}")
port = os.open("/dev/" + name.split("/")[-2], os.O_RDWR | os.O_NONBLOCK)
def soon(do, *what):
    end = time.monotonic() + 30
    while True:
        try:
            return do(port, *what)
        except BlockingIOError:
            assert time.monotonic() < end, "nobody answers"
            time.sleep(0.01)  # as libmetrics does: a port without a host is always ready to be asked again
soon(os.write, {{request}})
said = b""
while {{reads}} and not said.endswith({vhostmd.END!r}):
    said += soon(os.read, 65536)
sys.stdout.buffer.write(said)
"""


@pytest.fixture(scope="module")
def guest(libvirtd: PrivateLibvirt, logs: list[Path]) -> Iterator[Guest]:
    """One that has the channel, beside our own."""
    guest = Guest.define(libvirtd, GuestSpec(name="sap", extra_devices=(CHANNEL,)))
    with shown(logs, guest.console):
        guest.start()
        guest.wait_ready()
        yield guest
    guest.remove()


def ask(guest: Guest, request: bytes = vhostmd.REQUEST, *, reads: bool = True) -> str:
    """What a program in the guest is answered."""
    return guest.run(["python3", "-c", ASK.format(request=request, reads=reads)]).stdout


def time_in(document: str) -> int:
    """When it was made."""
    (value,) = (metric.value for metric in vhostmd.metrics_in(document) if metric.name == "Time")
    return int(value)


def test_a_program_in_the_guest_is_told_of_its_host_and_of_its_own_domain(guest: Guest, hostd: Hostd) -> None:
    hostd.wait_for_sample("hostd_vhostmd_channels", {}, lambda channels: channels >= 1)
    before = int(time.time())
    document = ask(guest)
    assert document.startswith("<metrics>\n")
    assert document.index("\n\n") == len(document) - 2
    assert before <= time_in(document) <= time.time()
    assert {metric.uuid for metric in vhostmd.metrics_in(document) if metric.context == "vm"} == {guest.uuid}


def test_another_request_is_refused_and_our_agent_beside_it_is_heard(guest: Guest, hostd: Hostd) -> None:
    assert ask(guest, b"GET /etc/shadow\n\n") == vhostmd.INVALID.decode()
    hostd.wait_for_sample("guest_memory_total_bytes", {"domain": guest.name})


def test_an_answer_that_nobody_waited_for_is_not_the_next_ones(guest: Guest, hostd: Hostd) -> None:
    before = hostd.value("hostd_vhostmd_requests_total", result="unread") or 0
    with frozen(hostd.service.pid):  # else it would answer before the program has closed the port
        ask(guest, reads=False)
    hostd.wait_for_sample("hostd_vhostmd_requests_total", {"result": "unread"}, lambda unread: unread == before + 1)
    late = int(time.time())
    assert time_in(ask(guest)) >= late
