"""Every setting there is: its name, unit, default, and why that default.

To add one: a field here and its line in packaging/hostd.toml (a test holds the two together). Unknown names, wrong
types and values out of range are refused with the file and the key.
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from hostd.labels import MOST_LABELS, PRESETS, Rule, Rules, names_of, problem_of
from protocol.messages import Metrics

Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=3600)]
Patterns = tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=256)], ...]
"""Shell patterns of names: `*`, `?`, `[a-z]` and `[!a-z]`."""

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

_BRACKETS = re.compile(r"\[!?+\]?+[^]]*\]")  # a set of signs in a shell pattern; the first may be a bracket itself

SHAREABLE = frozenset(Metrics.__dataclass_fields__)
"""What a guest can be told of its host, by the names that `guestagent get` answers to."""


class ConfigError(Exception):
    """A setting is wrong; the message says where, which and why."""


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


def load(path: Path | None, *, uri: str | None = None, listen: str | None = None) -> Settings:
    """The settings of `path` (all defaults without one), with the command line's `uri` and `listen` over them.

    A `uri` stands for all the connections of the file: it makes one of the first, without a name.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or a setting is wrong.

    """
    settings = Settings() if path is None else _read(path)
    if uri is not None:
        only = msgspec.structs.replace(settings.connection[0], uri=uri, name="")
        settings = msgspec.structs.replace(settings, connection=(only,))
    if listen is not None:
        settings = msgspec.structs.replace(settings, http=msgspec.structs.replace(settings.http, listen=listen))
    where = "--listen" if listen is not None else f"{path or 'defaults'}: http.listen"
    address_of(settings.http.listen, where=where)
    return settings


def rules_of(settings: Settings) -> Rules:
    """What of domains' metadata becomes labels."""
    rules = tuple(rule for each in settings.metadata for rule in _rules(each))
    return Rules(metadata=rules, promote=settings.exposition.promote)


def address_of(listen: str, *, where: str) -> tuple[str, int]:
    """The host and port of `ADDR:PORT` or `[ADDR]:PORT`; port 0 lets the system choose.

    Raises:
        ConfigError: it is neither; the message begins with `where`.

    """
    bracketed = re.fullmatch(r"\[(.*)\]:(.*)", listen)
    host, port = bracketed.groups() if bracketed else listen.rpartition(":")[::2]
    try:
        is_address = (ipaddress.ip_address(host).version == 6) == bool(bracketed)  # noqa: PLR2004 - IPv6
    except ValueError:
        is_address = False
    if not is_address:
        raise ConfigError(f"{where}: {listen!r} is not an IP address and a port, as in 127.0.0.1:9177 or [::1]:9177")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise ConfigError(f"{where}: {port!r} is not a port from 0 to 65535")
    return host, int(port)


def _read(path: Path) -> Settings:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        is_table = isinstance(document.get("connection"), dict)
        hint = "; write [[connection]], of which there may be several" if is_table else ""
        raise ConfigError(f"{path}: {_in_words(str(error))}{hint}") from error
    _check_connections(path, settings.connection)
    _check_patterns(path, settings)
    _check_labels(path, settings)
    listable = SHAREABLE - {"host_name"}  # which has a switch of its own, so that nobody shares it by the way
    _check_names(f"{path}: guests.share", settings.guests.share, sorted(listable))
    _check_names(f"{path}: sampling.groups", settings.sampling.groups, GROUPS)
    return settings


def _check_names(where: str, names: Iterable[str], known: Sequence[str]) -> None:
    unknown = sorted(set(names).difference(known))
    if unknown:
        raise ConfigError(f"{where}: {unknown[0]!r} is not one of {', '.join(known)}")


def _check_connections(path: Path, connections: tuple[ConnectionSettings, ...]) -> None:
    if not connections:
        raise ConfigError(f"{path}: connection: there has to be one")
    names = [connection.name for connection in connections]
    if len(names) > 1 and "" in names:
        at = names.index("")
        raise ConfigError(f"{path}: connection[{at}].name: each of several connections has to have one")
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ConfigError(f"{path}: connection[{at}].name: {name!r} is there twice")


def _check_patterns(path: Path, settings: Settings) -> None:
    """Nothing can be wrong with a pattern but a bracket without its other half, which would match only itself."""
    sections: dict[str, ConnectionSettings | DeviceSettings] = {
        **{f"connection[{at}]": connection for at, connection in enumerate(settings.connection)},
        "disks": settings.disks,
        "interfaces": settings.interfaces,
    }
    for section, chosen in sections.items():
        for key, patterns in (("include", chosen.include), ("exclude", chosen.exclude)):
            for at, pattern in enumerate(patterns):
                if "[" in _BRACKETS.sub("", pattern):
                    where = f"{path}: {section}.{key}[{at}]"
                    raise ConfigError(f"{where}: {pattern!r} has a [ without its ]; write [[] for the sign itself")


def _rules(metadata: MetadataSettings) -> tuple[Rule, ...]:
    return (Rule(metadata.label, metadata.path),) if metadata.preset is None else PRESETS[metadata.preset]


def _check_labels(path: Path, settings: Settings) -> None:
    for at, each in enumerate(settings.metadata):
        where = f"{path}: metadata[{at}]"
        if each.preset is not None and (each.label or each.path):
            raise ConfigError(
                f"{where}.preset: it stands for several labels; write others in a [[metadata]] of their own"
            )
        problem = None if each.preset else problem_of(Rule(each.label, each.path))
        if problem is not None:
            raise ConfigError(f"{where}: {problem}")
    labels = names_of(rules_of(settings).metadata)
    if len(labels) > MOST_LABELS:
        raise ConfigError(f"{path}: metadata: {len(labels)} labels are more than {MOST_LABELS}, the most there may be")
    for label in settings.exposition.promote:
        if label not in labels:
            raise ConfigError(f"{path}: exposition.promote: {label!r} is not a label of any [[metadata]]")


def _in_words(complaint: str) -> str:
    """Msgspec's "what - at `$.section.key`" with the key first."""
    what, _, where = complaint.partition(" - at `")
    key = where.removesuffix("`").removeprefix("$").removeprefix(".")
    unknown = re.fullmatch("Object contains unknown field `(.*)`", what)
    if unknown:
        return f"{key}.{unknown[1]}".removeprefix(".") + ": there is no such setting"
    return f"{key}: {what}" if key else what
