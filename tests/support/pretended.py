"""A whole host that libvirt's test driver pretends: what is there, and the XML file that the driver reads it from.

The driver makes up what a domain has used so far from the time of day; all that is said here it tells as it is.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

_RUN_STATES: Mapping[str, int] = {  # virDomainState
    "running": 1,
    "blocked": 2,
    "paused": 3,
    "shutoff": 5,
    "crashed": 6,
    "pmsuspended": 7,
}
_FIRST_SNAPSHOT_AT = 1_600_000_000
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class PretendedDomain:
    """One domain, with a disk and an interface."""

    name: str
    uuid: str
    state: str = "running"
    vcpus: int = 1
    memory_kib: int = 1024
    is_transient: bool = False
    has_managed_save: bool = False
    snapshots: Sequence[int] = ()  # when each was made, upon the one before

    def xml(self, more: str = "") -> str:
        """Give its definition, with more in it."""
        return _DOMAIN.format(
            name=escape(self.name),
            uuid=self.uuid,
            memory=self.memory_kib,
            vcpus=self.vcpus,
            disk=quoteattr(f"/images/{self.name}.img"),
            mac=":".join(self.uuid[at : at + 2] for at in (0, 2, 4)),
            more=more,
        )

    def pretended(self) -> str:
        """Give its element of the driver's file."""
        flags = "<t:transient/>" * self.is_transient + "<t:hasmanagedsave/>" * self.has_managed_save
        parents = ("", *(f"<parent><name>{at}</name></parent>" for at in self.snapshots))
        snapshots = "".join(
            _SNAPSHOT.format(at=at, parent=parent, domain=self.xml())
            for at, parent in zip(self.snapshots, parents, strict=False)
        )
        return self.xml(f"<t:runstate>{_RUN_STATES[self.state]}</t:runstate>{flags}{snapshots}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretendedHost:
    """All that is on it."""

    domains: Sequence[PretendedDomain] = ()
    pools: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by name, its volumes' sizes by their names
    networks: Mapping[str, str] = field(default_factory=dict)  # by name, the bridge
    interfaces: Sequence[str] = ()
    pci_devices: int = 0

    def write(self, file: Path) -> str:
        """Write the driver's file, and give the URI at which it is pretended."""
        file.write_text(f"<node>{_MACHINE}{''.join(self._parts())}</node>")
        return f"test://{file}"

    def _parts(self) -> Iterator[str]:
        yield from (domain.pretended() for domain in self.domains)
        yield from (_NETWORK.format(name=name, uuid=uuid_of(name), bridge=its) for name, its in self.networks.items())
        yield from (_INTERFACE.format(name=name) for name in self.interfaces)
        for name, volumes in self.pools.items():
            its = "".join(_VOLUME.format(pool=name, name=volume, size=size) for volume, size in volumes.items())
            yield _POOL.format(name=name, uuid=uuid_of(name), volumes=its)
        yield _SYSTEM
        yield from (_PCI_DEVICE.format(number=number) for number in range(self.pci_devices))


def pretended_host(domains: int) -> PretendedHost:
    """A host of so many domains in every state there is, and of some of all other things."""
    return PretendedHost(
        domains=[_domain(number) for number in range(domains)],
        pools={f"pool-{pool}": {f"volume-{n}": (n + 1) << 20 for n in range(pool * 5)} for pool in range(4)},
        networks={f"network-{number}": f"virbr{number}" for number in range(5)},
        interfaces=[f"eth{number}" for number in range(3)],
        pci_devices=7,
    )


def uuid_of(name: str) -> str:
    """The same UUID for a name each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _domain(number: int) -> PretendedDomain:
    name, states = f"domain-{number}", tuple(_RUN_STATES)
    state = states[number % len(states)]
    return PretendedDomain(
        name=name,
        uuid=uuid_of(name),
        state=state,
        vcpus=1 + number % 4,
        memory_kib=1024 * (1 + number),
        is_transient=state == "running" and number % 4 == 0,
        has_managed_save=state == "shutoff" and number % 4 == 3,
        snapshots=[_FIRST_SNAPSHOT_AT + _DAY_SECONDS * day for day in range(number % 5)],
    )


_MACHINE = """<cpu><mhz>2600</mhz><model>pretended</model><active>8</active><nodes>2</nodes><sockets>2</sockets>
  <cores>2</cores><threads>1</threads></cpu><memory>16777216</memory>"""
_DOMAIN = """<domain type='test' xmlns:t='http://libvirt.org/schemas/domain/test/1.0'>
  <name>{name}</name><uuid>{uuid}</uuid><memory>{memory}</memory><vcpu>{vcpus}</vcpu><os><type>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file={disk}/><target dev='vda' bus='virtio'/></disk>
    <interface type='bridge'><mac address='52:54:00:{mac}'/><source bridge='virbr0'/><target dev='tap0'/></interface>
  </devices>{more}
</domain>"""
_SNAPSHOT = """<t:domainsnapshot><name>{at}</name>{parent}<state>running</state><creationTime>{at}</creationTime>
  <active>0</active>{domain}</t:domainsnapshot>"""
_POOL = """<pool type='dir'><name>{name}</name><uuid>{uuid}</uuid><target><path>/pools/{name}</path></target>
  {volumes}</pool>"""
_VOLUME = """<volume><name>{name}</name><capacity unit='bytes'>{size}</capacity>
  <allocation unit='bytes'>4096</allocation><target><path>/pools/{pool}/{name}</path></target></volume>"""
_NETWORK = "<network><name>{name}</name><uuid>{uuid}</uuid><bridge name='{bridge}'/></network>"
_INTERFACE = "<interface type='ethernet' name='{name}'><start mode='onboot'/></interface>"
_SYSTEM = """<device><name>computer</name><capability type='system'><hardware>
  <uuid>00000000-0000-4000-8000-000000000001</uuid></hardware></capability></device>"""
_PCI_DEVICE = """<device><name>pci_{number}</name><parent>computer</parent><capability type='pci'>
  <domain>0</domain><bus>0</bus><slot>{number}</slot><function>0</function>
  <product id='0x1000'/><vendor id='0x1af4'/></capability></device>"""
