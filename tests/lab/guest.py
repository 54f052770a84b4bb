"""One real guest: a domain that boots the lab's image under emulation, and what can be done to it."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import libvirt

from tests.lab.command_line import Finished, NoAnswerError, ask, greet
from tests.lab.debian import system_tool
from tests.lab.image import DEFAULT_SUITE
from tests.lab.libvirtd import PrivateLibvirt
from tests.lab.processes import kill_and_wait, output_of, tail
from tests.lab.waiting import wait_for

AGENT_CHANNEL = "io.virtwire.agent.0"
LAB_CHANNEL = "io.virtwire.lab.0"

# Ready 6 s after its start when alone; several guests share two cores, and a busy machine is no failure.
_BOOT_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """What a guest is made of. The defaults are the smallest one that has an agent."""

    name: str
    uuid: str = ""  # empty: of libvirt's choice
    memory_mib: int = 384
    vcpus: int = 1
    suite: str = DEFAULT_SUITE
    disk_mib: int = 0  # 0: no disk
    disk_is_state: bool = False  # whether it holds what the agent keeps, which is else gone with a reboot
    network: bool = False  # QEMU's user-mode network: no route in, the host's loopback is 10.0.2.2
    agent_channel: bool = True
    agent: bool = True  # whether init keeps `guestagent run` alive
    extra_devices: Sequence[str] = ()  # libvirt XML


class Guest:
    """A defined domain. Every property asks libvirt anew: daemons and paths come and go."""

    def __init__(self, libvirtd: PrivateLibvirt, name: str) -> None:
        """Use a domain that is defined."""
        self.libvirtd = libvirtd
        self.name = name
        self.console = console_log(libvirtd, name)

    @classmethod
    def define(cls, libvirtd: PrivateLibvirt, spec: GuestSpec) -> "Guest":
        """Define a domain; it does not run yet."""
        libvirtd.connection.defineXML(domain_xml(libvirtd, spec))
        return cls(libvirtd, spec.name)

    @property
    def domain(self) -> libvirt.virDomain:
        """The domain in the daemon that runs now."""
        return self.libvirtd.connection.lookupByName(self.name)

    @property
    def uuid(self) -> str:
        """The domain's UUID."""
        return str(self.domain.UUIDString())

    @property
    def qemu_pid(self) -> int:
        """The process that emulates the guest."""
        return self.libvirtd.qemu_pid(self.name)

    def start(self) -> None:
        """Start to boot, without waiting."""
        self.domain.create()

    def wait_ready(self, deadline: float = _BOOT_SECONDS) -> None:
        """Wait until the guest does commands."""
        try:
            greet(self._bootable_channel, deadline=deadline)
        except (NoAnswerError, libvirt.libvirtError) as error:
            raise NoAnswerError(f"guest {self.name} is not ready: {error}\n{self.evidence()}") from error

    def run(self, argv: Sequence[str], *, timeout: float = 60, stdin: str = "", check: bool = True) -> Finished:
        """Run a command in the guest to its end; a failed one is a failure unless ``check`` is off."""
        try:
            done = ask(lambda: self.channel_path(LAB_CHANNEL), argv, timeout=timeout, stdin=stdin)
        except (OSError, NoAnswerError) as error:
            raise NoAnswerError(f"guest {self.name}: {' '.join(argv)}: {error}\n{self.evidence()}") from error
        if check and done.status != 0:
            command = " ".join(argv)
            raise AssertionError(f"{self.name}: {command}: status {done.status}\n{done.stdout}{done.stderr}")
        return done

    def shell(self, script: str, *, timeout: float = 60, check: bool = True) -> Finished:
        """Run a line of shell in the guest. What it leaves in the background must not hold its output open."""
        return self.run(["sh", "-c", script], timeout=timeout, check=check)

    def channel_path(self, name: str) -> Path:
        """Name the host's end of a channel. It changes with every start, restore and migration."""
        for channel in ET.fromstring(self.domain.XMLDesc()).iter("channel"):
            target, source = channel.find("target"), channel.find("source")
            if target is not None and source is not None and target.get("name") == name and source.get("path"):
                return Path(source.attrib["path"])
        raise FileNotFoundError(f"guest {self.name} has no channel {name} (is it running?)")

    def signal_qemu(self, number: signal.Signals) -> None:
        """Send a signal to the guest's QEMU: SIGSTOP and SIGCONT hang it and let it go on."""
        os.kill(self.qemu_pid, number)

    def kill_qemu(self) -> None:
        """End the guest's QEMU as a crash would."""
        kill_and_wait(self.qemu_pid)

    def destroy(self) -> None:
        """Pull the plug; a guest that is off stays so."""
        domain = self.domain
        if domain.isActive():
            domain.destroy()
            wait_for(f"{self.name} is off", lambda: not domain.isActive(), deadline=30)

    def remove(self) -> None:
        """Pull the plug and forget the domain."""
        self.destroy()
        self.domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)

    def _bootable_channel(self) -> Path:
        if "Kernel panic" in self.console.read_text(errors="replace"):
            raise NoAnswerError("its kernel panicked")
        return self.channel_path(LAB_CHANNEL)

    def evidence(self) -> str:
        """Give what the guest's console said last, for the message of a failure."""
        return tail(self.console)


def console_log(libvirtd: PrivateLibvirt, name: str) -> Path:
    """Name the file that holds what a guest's console said, over all its starts."""
    return libvirtd.folder / f"console-{name}.log"


def domain_xml(libvirtd: PrivateLibvirt, spec: GuestSpec) -> str:
    """Write the domain's XML: direct boot, emulated, console in a file, channels at paths of libvirt's choice."""
    image = libvirtd.image(spec.suite)
    words = f"console=ttyS0 quiet rdinit=/init virtwire.hostname={spec.name}"
    if not spec.agent:
        words += " virtwire.agent=off"
    if spec.disk_is_state:
        words += " virtwire.state=on"
    channels = [LAB_CHANNEL, *([AGENT_CHANNEL] if spec.agent_channel else [])]
    devices = [_CHANNEL.format(name=name) for name in channels] + list(spec.extra_devices)
    if spec.disk_mib:
        path = libvirtd.file(f"disk-{spec.name}.raw", size_bytes=spec.disk_mib << 20)
        if spec.disk_is_state:
            output_of([system_tool("mke2fs"), "-q", "-F", path])
        devices.append(_DISK.format(path=path))
    if spec.network:
        devices.append("<interface type='user'><model type='virtio'/></interface>")
    return _DOMAIN.format(
        name=escape(spec.name),
        uuid=f"<uuid>{spec.uuid}</uuid>" if spec.uuid else "",
        memory=spec.memory_mib,
        vcpus=spec.vcpus,
        kernel=image.kernel,
        initrd=image.initrd,
        words=words,
        console=console_log(libvirtd, spec.name),
        devices="\n    ".join(devices),
    )


_CHANNEL = "<channel type='unix'><source mode='bind'/><target type='virtio' name='{name}'/></channel>"
_DISK = """<disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{path}'/><target dev='vda' bus='virtio'/>
    </disk>"""
# The serial line's port must be said: with a second one beside it, libvirt would number this one 2.
_DOMAIN = """<domain type='qemu'>
  <name>{name}</name>{uuid}
  <memory unit='MiB'>{memory}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{words}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <serial type='file'>
      <source path='{console}' append='on'/><target type='isa-serial' port='0'/>
    </serial>
    <memballoon model='virtio'><stats period='2'/></memballoon>
    {devices}
  </devices>
</domain>
"""
