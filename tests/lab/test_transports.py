"""The agent's ways to the host on a real guest: each kind of port, and the choice among them.

All tests share one guest, in which they start agents of their own. The host is the test itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from protocol.messages import OLDEST_VERSION, PROTOCOL_VERSION, Ack, Goodbye, HelloRequest, Metrics, Report
from tests.guestagent.host import Visit
from tests.lab.conftest import StartHostd, shown
from tests.lab.guest import AGENT_CHANNEL, Guest, GuestSpec
from tests.lab.guest_programs import Program, python, running
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.waiting import wait_for

ASK = HelloRequest(version_min=OLDEST_VERSION, version_max=PROTOCOL_VERSION)

SERIAL = "<serial type='unix'><source mode='bind' path='{path}'/><target type='isa-serial' port='1'/></serial>"
CONSOLE = "<console type='unix'><source mode='bind' path='{path}'/><target type='virtio' port='1'/></console>"
CHANNEL = "<channel type='unix'><source mode='bind'/><target type='virtio' name='{name}'/></channel>"

# Runs in the guest, with the agent's own modules.
STALLED = """
import asyncio

from guestagent.ports import open_at
from guestagent.ports.port import PortLost


async def main():
    loop = asyncio.get_running_loop()
    port = await open_at("/dev/ttyS1")
    port._write_seconds = 0.5
    turns = []

    async def turn():
        while True:
            turns.append(loop.time())
            await asyncio.sleep(0.05)  # the beat whose longest gap is what is measured

    turning = loop.create_task(turn())
    try:
        while True:
            await port.write(bytes(32768))
    except PortLost as error:
        print(error)
    port.close()
    await asyncio.sleep(0.2)  # a close that blocks would show as a gap in the beat
    turning.cancel()
    turns.append(loop.time())
    print(max(later - earlier for earlier, later in zip(turns, turns[1:])))


asyncio.run(main())
"""

HEARING = """
import asyncio

from guestagent.ports import uevents


async def main():
    with uevents.listening() as news:
        print("listening", flush=True)
        print("heard", await news.wait(60), flush=True)  # of two in a row perhaps once: they tell to look, no more


asyncio.run(main())
"""

VSOCK_HOST = """
import os
import socket
import time

from protocol.connection import Connection
from protocol.messages import Hello, Report, Role, Welcome

with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener:
    listener.bind((1, 977))
    listener.listen()
    line, _ = listener.accept()
with line:
    connection = Connection(Role.HOST)
    reports = 0
    while not reports:
        for piece in connection.receive(line.recv(65536)):
            message = getattr(piece, "message", None)
            if isinstance(message, Hello):
                welcome = Welcome(version=1, nonce=message.nonce, session=7, report_interval_seconds=1)
                line.sendall(b"".join(connection.send(welcome)))
            reports += isinstance(message, Report)
    print("reported", flush=True)
    while not os.path.exists("/run/leave"):
        time.sleep(0.1)  # until the test lets this program go, by a file
"""


@pytest.fixture(scope="module")
def sockets(libvirtd: PrivateLibvirt) -> Path:
    """Where the guest's serial lines have their host's ends."""
    return libvirtd.subfolder("lines")


@pytest.fixture(scope="module")
def ways(libvirtd: PrivateLibvirt, sockets: Path, logs: list[Path]) -> Iterator[Guest]:
    """A guest with a second serial line and a virtio console, and no channel for the agent yet."""
    lines = (SERIAL.format(path=sockets / "ttyS1"), CONSOLE.format(path=sockets / "hvc0"))
    spec = GuestSpec(name="ways", agent=False, agent_channel=False, extra_devices=lines)
    guest = Guest.define(libvirtd, spec)
    with shown(logs, guest.console):
        guest.start()
        guest.wait_ready()
        yield guest
        guest.remove()


def agent(guest: Guest, arguments: str = "") -> contextlib.AbstractContextManager[Program]:
    return running(guest, f"exec guestagent run --socket /tmp/agent.sock {arguments}")


@contextlib.contextmanager
def plugged(guest: Guest, name: str = AGENT_CHANNEL) -> Iterator[None]:
    """A channel that is hot-plugged for as long as the block lasts."""
    guest.domain.attachDeviceFlags(CHANNEL.format(name=name), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    try:
        yield
    finally:
        channels = ET.fromstring(guest.domain.XMLDesc()).iterfind("devices/channel")
        (device,) = (channel for channel in channels if channel.find(f"target[@name='{name}']") is not None)
        guest.domain.detachDeviceFlags(ET.tostring(device, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        wait_for(f"{name} is unplugged", lambda: name not in guest.domain.XMLDesc(), deadline=30)


@contextlib.asynccontextmanager
async def host_at(path: Path) -> AsyncIterator[Visit]:
    """The host, for as long as the block lasts."""
    visit = Visit(*await asyncio.open_unix_connection(path))
    try:
        yield visit
    finally:
        visit.die()


def opened(program: Program, times: int = 1) -> list[str]:
    """The devices that the agent has opened, when there have been so many."""
    lines = program.wait_for(": open", times).splitlines()
    return [line.partition(" INFO ")[2].partition(":")[0] for line in lines if ": open" in line]


@pytest.mark.parametrize("line", ["ttyS1", "hvc0"])
async def test_a_serial_line_carries_sessions_though_neither_end_sees_the_other(
    ways: Guest, sockets: Path, line: str
) -> None:
    with agent(ways, f"--port /dev/{line}") as program:
        program.wait_for("it does not tell whether a host is there")
        for cpus in (3, 4):  # the second host is there unseen, after a first that went unseen
            async with host_at(sockets / line) as host:
                host.say(ASK)
                await host.welcome()
                assert (await host.hear(Report)).memory is not None
                host.say(Metrics(host_cpus=cpus))
                await host.hear(Ack)
            assert ways.shell("guestagent get --socket /tmp/agent.sock host_cpus").stdout == f"{cpus}\n"


@pytest.mark.parametrize(("alias", "line"), [("serial1", "ttyS1"), ("console1", "hvc0")])
def test_hostd_speaks_with_an_agent_over_a_serial_line_that_it_was_told_of(
    ways: Guest, start_hostd: StartHostd, alias: str, line: str
) -> None:
    hostd = start_hostd(guests=f"serial_aliases = ['{alias}']")
    with agent(ways, f"--port /dev/{line}"):
        hostd.wait_for_sample("guest_memory_total_bytes", {"domain": ways.name})
        hostd.stop()  # which the guest cannot see, and the agent only by the silence
        hostd.start()
        hostd.wait_for_sample("guest_memory_total_bytes", {"domain": ways.name})


async def test_a_goodbye_is_not_lost_when_a_serial_line_is_closed(ways: Guest, sockets: Path) -> None:
    with agent(ways, "--port /dev/ttyS1") as program:
        program.wait_for(": open")
        async with host_at(sockets / "ttyS1") as host:
            host.say(ASK)
            await host.welcome()
            await host.hear(Report)
            program.end()
            await host.hear(Goodbye)


async def test_a_host_that_does_not_read_a_serial_line_stalls_nothing_else(ways: Guest, sockets: Path) -> None:
    async with host_at(sockets / "ttyS1") as host:
        host._reader._transport.pause_reading()  # type: ignore[attr-defined]
        said, longest_turn_seconds = ways.shell(python(STALLED)).stdout.splitlines()
    assert said == "/dev/ttyS1: the host has taken nothing for 3.34 s"
    assert float(longest_turn_seconds) < 15  # the kernel would wait 30 s in close(), and pyserial-asyncio for ever


async def test_a_port_is_found_by_its_name_whenever_it_is_plugged_and_whatever_its_number(ways: Guest) -> None:
    with contextlib.ExitStack() as others, agent(ways) as program, running(ways, python(HEARING)) as hearing:
        program.wait_for("no virtio port is named io.virtwire.agent.0")
        hearing.wait_for("listening")
        with plugged(ways):
            async with host_at(ways.channel_path(AGENT_CHANNEL)) as host:
                await host.welcome()
                await host.hear(Report)
        hearing.wait_for("heard True")
        program.wait_for("port lost")
        others.enter_context(plugged(ways, "io.virtwire.other.0"))
        with plugged(ways):
            async with host_at(ways.channel_path(AGENT_CHANNEL)) as host:
                await host.welcome()
                await host.hear(Report)
        program.wait_for("port lost", 2)
        first, second = opened(program, 2)
        assert first != second
        # An agent that spins over a lost port has used hundreds of clock ticks, of 10 ms, a second.
        used = ways.shell(
            f"cut -d ' ' -f 14,15 /proc/{program.pid}/stat; sleep 2; cut -d ' ' -f 14,15 /proc/{program.pid}/stat"
        )
        *before, user, system = map(int, used.stdout.split())
        assert user + system - sum(before) < 50


async def test_vsock_is_taken_for_want_of_a_virtio_port_and_left_for_one(ways: Guest) -> None:
    ways.shell("modprobe vsock_loopback; rm -f /run/leave")
    with running(ways, python(VSOCK_HOST)) as vsock_host, agent(ways, "--vsock 1:977") as program:
        program.wait_for("vsock:1:977: open, for want of a better way: no virtio port is named")
        vsock_host.wait_for("reported")
        with plugged(ways):
            ways.shell("touch /run/leave")
            async with host_at(ways.channel_path(AGENT_CHANNEL)) as host:
                await host.welcome()
                await host.hear(Report)
        assert opened(program, 2)[1].startswith("/dev/vport")


def test_a_port_that_another_program_holds_is_waited_for_and_the_holder_named(ways: Guest) -> None:
    with plugged(ways):
        node = _node(ways)
        with contextlib.ExitStack() as running_here:
            holder = running_here.enter_context(running(ways, f"exec 3<>{node}; echo held; exec sleep 1000"))
            holder.wait_for("held")
            program = running_here.enter_context(agent(ways))
            program.wait_for(f"{node}: held open by another program: pid {holder.pid} (sleep)")
            holder.end()
            assert opened(program) == [node]


def test_an_agent_that_may_not_open_its_port_says_what_to_do_and_waits_until_it_may(ways: Guest) -> None:
    its = [f"'--{name}', '/tmp/nobody-{name}'" for name in ("socket", "notices-socket", "emit-socket", "journal")]
    command = f"['guestagent', 'run', {', '.join(its)}]"
    unprivileged = f"import os; os.setuid(65534); os.execvp('guestagent', {command})"
    with plugged(ways):
        node = _node(ways)
        with running(ways, f'exec python3 -c "{unprivileged}"') as program:
            program.wait_for(f"{node}: Permission denied (run the agent as root, or let its group have the node")
            ways.shell(f"chmod 0666 {node}")
            assert opened(program) == [node]


def _node(guest: Guest) -> str:
    find = f"grep -lx {AGENT_CHANNEL} /sys/class/virtio-ports/*/name"
    return guest.shell(
        f"until {find} >/dev/null 2>&1; do sleep 0.05; done; echo /dev/$(basename $(dirname $({find})))"
    ).stdout.strip()
