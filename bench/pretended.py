"""A node for libvirt's test driver: as many running domains as wanted, each with a disk and an interface."""

import uuid

_NAMESPACE = uuid.UUID(int=0)


def node_xml(domains: int) -> str:
    """The file that ``test://PATH`` names; the same number gives the same text."""
    return "<node>\n" + "".join(_domain(number) for number in range(domains)) + "</node>\n"


def _domain(number: int) -> str:
    name = f"pretended-{number:05}"
    mac = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    return _DOMAIN.format(name=name, uuid=uuid.uuid5(_NAMESPACE, name), mac=mac)


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
    </interface>
  </devices>
</domain>
"""
