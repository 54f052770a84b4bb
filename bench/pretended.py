"""A node for libvirt's test driver: as many running domains as wanted, each with a disk and an interface.

They may have a channel, ours or another: its socket is then whatever somebody else listens on at the given path.
"""

import uuid
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import quoteattr

_NAMESPACE = uuid.UUID(int=0)


def node_xml(
    domains: int, socket_of: Callable[[int], Path] | None = None, *, channel: str = "io.virtwire.agent.0"
) -> str:
    """The file that ``test://PATH`` names; the same number gives the same text."""
    return "<node>\n" + "".join(_domain(number, socket_of, channel) for number in range(domains)) + "</node>\n"


def name_of(number: int) -> str:
    """What the domain of that number is called."""
    return f"pretended-{number:05}"


def _domain(number: int, socket_of: Callable[[int], Path] | None, name_of_channel: str) -> str:
    name = name_of(number)
    mac = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    channel = "" if socket_of is None else _CHANNEL.format(path=quoteattr(str(socket_of(number))), name=name_of_channel)
    return _DOMAIN.format(name=name, uuid=uuid.uuid5(_NAMESPACE, name), mac=mac, channel=channel)


_CHANNEL = """
    <channel type='unix'>
      <source mode='bind' path={path}/><target type='virtio' name='{name}'/>
    </channel>"""
_DOMAIN = """<domain type='test'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>1024</memory>
  <vcpu>2</vcpu>
  <os><type>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/{name}.img'/><target dev='vda' bus='virtio'/></disk>
    <interface type='bridge'>
      <mac address='{mac}'/><source bridge='br0'/><target dev='{name}'/>
    </interface>{channel}
  </devices>
</domain>
"""
