"""What libvirt says of the machine its domains run on, and of the connection to itself."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """What is fixed while a connection lives."""

    driver: str  # as virConnectGetType names it: QEMU, Xen, LXC, Test
    libvirt_version: str
    hypervisor_version: str | None
    hostname: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The connection to libvirt as it is now."""

    uri: str
    name: str = ""  # the operator's, to tell several connections apart
    facts: ConnectionFacts | None = None  # None while it is down
    why_down: str = field(default="not connected yet")
    connects: int = 0
    losses: int = 0

    @property
    def is_up(self) -> bool:
        """Whether libvirt answers."""
        return self.facts is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine's size and how busy it is; `None` is not known."""

    cpus: int | None = None
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    load1: float | None = None
    load5: float | None = None
    load15: float | None = None
