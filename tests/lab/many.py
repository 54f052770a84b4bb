"""Many real domains at little cost: small, paused before their first instruction, with a device of each kind.

A paused QEMU answers its monitor as a running one does, so libvirt's work is real, and it takes no CPU of its own.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import libvirt

from tests.lab.guest import AGENT_CHANNEL
from tests.lab.libvirtd import PrivateLibvirt

_MEMORY_MIB = 16
_DISK_BYTES = 64 << 20
_AT_ONCE = 2  # takes half the time of one after the other; past 2, two cores are no faster


def start_paused(libvirtd: PrivateLibvirt, count: int) -> Sequence[str]:
    """Start domains (about 0.2 s each on two cores) and give their names."""
    names = [f"many-{number:04}" for number in range(count)]
    connection = libvirtd.connection

    def start(name: str) -> None:
        disk = libvirtd.file(f"disk-{name}.raw", size_bytes=_DISK_BYTES)
        domain = connection.defineXML(_DOMAIN.format(name=name, memory=_MEMORY_MIB, disk=disk, channel=AGENT_CHANNEL))
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(start, names))  # one that fails, or a Ctrl-C, cancels those that wait
    return names


_DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'><model type='virtio'/></interface>
    <channel type='unix'><source mode='bind'/><target type='virtio' name='{channel}'/></channel>
    <memballoon model='virtio'/>
  </devices>
</domain>
"""
