"""Tiny domains that boot their disk's first sector and nothing else: what a guest can say to its board needs no system.

The sector runs 0.2 s after the start, in real mode, and says what it has to say at ports of the board's ACPI.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt

from tests.lab.libvirtd import PrivateLibvirt

_SECTOR_BYTES = 512
_SIGNATURE = b"\x55\xaa"
_HALT_FOR_EVER = b"\xf4\xeb\xfd"  # hlt, and back to it

_SLEEP_PORT = 0x604  # PM1a control; the kind of sleep is in bits 10 to 12
_SLEEP_NOW = 1 << 13
_OFF, _TO_DISK = 0, 2

_MEMORY_SLOT_PORT, _MEMORY_EVENT_PORT, _MEMORY_STATUS_PORT = 0xA00, 0xA04, 0xA08
_EJECTION, _FAILED = 3, 1


def _say(port: int, value: int) -> bytes:
    """Assemble "out dx, ax" with both loaded before."""
    return b"\xba" + port.to_bytes(2, "little") + b"\xb8" + value.to_bytes(2, "little") + b"\xef"


def _say_wide(port: int, value: int) -> bytes:
    """Assemble "out dx, eax" with both loaded before."""
    return b"\xba" + port.to_bytes(2, "little") + b"\x66\xb8" + value.to_bytes(4, "little") + b"\x66\xef"


POWER_OFF = _say(_SLEEP_PORT, _SLEEP_NOW | _OFF << 10)
HIBERNATE = _say(_SLEEP_PORT, _SLEEP_NOW | _TO_DISK << 10)
REFUSE_TO_EJECT_MEMORY = (
    _say_wide(_MEMORY_SLOT_PORT, 0) + _say_wide(_MEMORY_EVENT_PORT, _EJECTION) + _say_wide(_MEMORY_STATUS_PORT, _FAILED)
)
"""Says of the first module that it could not be let go, as a system in whose use it is does."""


def boots(
    libvirtd: PrivateLibvirt, tiny: libvirt.virDomain, code: bytes, settings: str = "", devices: str = ""
) -> None:
    """Have a tiny domain that does not run boot this code from now on; more of its XML may be added."""
    xml = tiny.XMLDesc()
    source = ET.fromstring(xml).find("devices/disk/source")
    assert source is not None
    with Path(source.attrib["file"]).open("r+b") as disk:
        disk.write((code + _HALT_FOR_EVER).ljust(_SECTOR_BYTES - len(_SIGNATURE), b"\0") + _SIGNATURE)
    xml = xml.replace("<devices>", f"<features><acpi/></features>{settings}<devices>")
    libvirtd.connection.defineXML(xml.replace("</devices>", f"{devices}</devices>"))
