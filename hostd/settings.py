"""Every setting there is: its name, unit, default, and why that default.

To add one: a field here and its line in packaging/hostd.toml (a test holds the two together).
"""

from typing import Annotated, Literal

import msgspec

from protocol.messages import Metrics

Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=3600)]
Patterns = tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=256)], ...]
"""Shell patterns of names: `*`, `?`, `[a-z]` and `[!a-z]`."""

MetricName = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
MetricType = Literal["int32", "uint32", "int64", "uint64", "real32", "real64", "string"]
"""What vhostmd calls the type of a value; see `protocol.vhostmd.TYPES`."""

GROUPS = (
    "state",
    "cpu_total",
    "balloon",
    "vcpu",
    "interface",
    "block",
    "perf",
    "iothread",
    "memory",
    "dirtyrate",
    "vm",
)
"""Libvirt's groups of statistics, by its own names (VIR_DOMAIN_STATS_…)."""

KVM_STATS = (
    "exits",
    "halt_exits",
    "io_exits",
    "mmio_exits",
    "halt_wait_ns",
    "halt_poll_success_ns",
    "halt_poll_fail_ns",
    "pages_4k",
    "pages_2m",
    "pages_1g",
    "nx_lpage_splits",
    "remote_tlb_flush",
)
"""Of the kernel's about sixty those that say why a guest is slow, or what its memory is made of."""

SHAREABLE = frozenset(Metrics.__dataclass_fields__)
"""What a guest can be told of its host, by the names that `guestagent get` answers to."""


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[connection]]: one libvirt; each has threads, connections and a World of its own."""

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._-]{0,64}$")] = ""  # the label of all its series
    uri: Annotated[str, msgspec.Meta(min_length=1)] = "qemu:///system"
    deadline_seconds: Seconds = 5.0  # for one call; a local libvirtd with 100 domains answers within one
    domains_at_once: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4  # past 4, two cores are no faster
    include: Patterns = ()  # shell patterns of the names of domains that are looked at; none is all
    exclude: Patterns = ()  # and of those that are not, even if they are included


class DeviceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[disks] and [interfaces]: which of domains' devices are looked at, on all connections."""

    include: Patterns = ()  # shell patterns of the label `target_device`; none is all
    exclude: Patterns = ()  # and of those that are not, even if they are included


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[storage]: pools, and what they hold."""

    interval_seconds: Seconds = 60.0  # a pool's size changes slowly
    volumes: bool = False  # libvirt looks at the image itself, and holds the pool's lock while it does
    max_volumes_per_pool: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 500


class ObjectsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[objects]: networks, and how many there are of other things."""

    interval_seconds: Seconds = 60.0  # they come and go by somebody's hand; leases last for minutes at least


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[http]: where /metrics is served."""

    listen: str = "127.0.0.1:9177"  # the port registered for libvirt exporters; this machine only


class SamplingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[sampling]: how often libvirt is asked for numbers."""

    interval_seconds: Seconds = 10.0
    domain_seconds: Seconds = 2.0  # after this the others go on without it; a well one answers within 0.1
    rare_interval_seconds: Seconds = 60.0  # for what costs a monitor command of its own and seldom changes
    max_unresponsive_domains: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 12  # libvirtd has 20 workers in all
    details_interval_seconds: Seconds = 300.0  # some ten calls a domain, for what changes seldom
    jobs_interval_seconds: Seconds = 30.0  # two calls a domain; a migration of some size takes longer
    groups: tuple[str, ...] = GROUPS  # what a domain does not have costs nothing
    kvm_stats: tuple[Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")], ...] = KVM_STATS


class ExpositionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[exposition]: what is on the page beyond the rule, and its size."""

    max_series_per_domain: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 5_000  # 64 vCPUs and 32 disks: 2,000
    promote: tuple[str, ...] = ()  # labels of [[metadata]] for every series of the domain; each makes the page longer
    compat: tuple[Literal["tinkoff", "inovex"], ...] = ()  # names that only another exporter's dashboards need


class MetadataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """[[metadata]]: one label and where its value is, or a preset of several."""

    label: str = ""
    path: str = ""
    preset: Literal["nova", "ovirt", "libosinfo"] | None = None


class GuestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[guests]: the line to the agents."""

    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "io.virtwire.agent.0"
    serial_aliases: Patterns = ()  # a login prompt may be at any of them
    vsock_port: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFE)] = 0  # 0: nobody comes to us
    report_interval_seconds: Seconds = 10.0
    max_series_per_guest: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 400  # what a full report has
    max_series: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 200_000  # a thousand guests of 30 filesystems
    check_peer: bool = True  # whoever may write where a socket is could put another there, and speak for the guest
    share: tuple[str, ...] = tuple(sorted(SHAREABLE - {"host_name"}))
    share_host_name: bool = False  # a tenant who knows the host's name can look for neighbours


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[history]: the record of guests' events."""

    path: str = "/var/lib/virtwire/history.sqlite"  # empty: memory, and gone with hostd
    max_age_seconds: Annotated[float, msgspec.Meta(ge=60, le=10 * 366 * 86_400)] = 30 * 86_400.0
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 40)] = 256 << 20  # about half a million events


class VhostmdVariable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One value of a program that prints several, with commas between them."""

    name: MetricName
    type: MetricType = "string"
    unit: Annotated[str, msgspec.Meta(max_length=32)] = ""


class VhostmdMetric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """[[vhostmd.metric]]: one more metric for guests, out of hostd's own table or printed by a program."""

    name: MetricName
    context: Literal["host", "vm"] = "host"
    type: MetricType | Literal["group", "xml"] = "string"  # a label; only the last two mean how the output is read
    unit: Annotated[str, msgspec.Meta(max_length=32)] = ""
    metric: str = ""  # a name on /metrics
    labels: dict[str, str] = {}
    exec: tuple[Annotated[str, msgspec.Meta(max_length=4096)], ...] = ()  # a program and its arguments; no shell
    variables: tuple[VhostmdVariable, ...] = ()  # of a group
    timeout_seconds: Seconds = 5.0
    user: str = ""  # who runs it; empty is hostd's own


class VhostmdSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[vhostmd]: the host's metrics as vhostmd gives them to guests, for what reads these."""

    virtio: bool = True  # a domain with such a channel is meant to have an answer
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "org.github.vhostmd.1"
    disk_path: str = ""  # one file for all domains: each sees the others' names and numbers
    disk_folder: str = ""  # one file a domain
    disk_size_bytes: Annotated[int, msgspec.Meta(ge=64 << 10, le=256 << 20, multiple_of=64 << 10)] = 256 << 10
    xenstore: bool = False
    set: Literal["sap", "kubevirt", "vhostmd", "none"] = "sap"  # what SAP asks for, and RHEL has always shipped
    newline_in_values: bool = False  # as vhostmd has it wherever a command ended in a newline; SUSE's has not
    period_seconds: Seconds = 5.0  # vhostmd's own default
    host_name: str = ""  # what guests are told instead of the host's name; empty is the real one
    vendor: str = ""  # who made the hypervisor; empty is what the host's os-release says
    program_path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # PATH of programs
    metric: tuple[VhostmdMetric, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    connection: tuple[ConnectionSettings, ...] = (ConnectionSettings(),)
    http: HttpSettings = HttpSettings()
    sampling: SamplingSettings = SamplingSettings()
    disks: DeviceSettings = DeviceSettings()
    interfaces: DeviceSettings = DeviceSettings()
    storage: StorageSettings = StorageSettings()
    objects: ObjectsSettings = ObjectsSettings()
    metadata: tuple[MetadataSettings, ...] = ()  # what is in there is the operator's own, so hostd cannot guess
    exposition: ExpositionSettings = ExpositionSettings()
    guests: GuestSettings = GuestSettings()
    history: HistorySettings = HistorySettings()
    vhostmd: VhostmdSettings = VhostmdSettings()
