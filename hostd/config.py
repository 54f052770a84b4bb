"""The configuration file: read, checked, and every mistake in it told with the file and the key.

What settings there are is in `settings`. Unknown names, wrong types and values out of range are refused.
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from hostd.labels import MOST_LABELS, PRESETS, Rule, Rules, names_of, problem_of
from hostd.settings import (
    GROUPS,
    SHAREABLE,
    ConnectionSettings,
    DeviceSettings,
    MetadataSettings,
    Settings,
    VhostmdMetric,
    VhostmdSettings,
)

_BRACKETS = re.compile(r"\[!?+\]?+[^]]*\]")  # a set of signs in a shell pattern; the first may be a bracket itself


class ConfigError(Exception):
    """A setting is wrong; the message says where, which and why."""


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
    _check_vhostmd(f"{path}: vhostmd", settings.vhostmd)
    if settings.vhostmd.virtio and settings.vhostmd.channel == settings.guests.channel:
        raise ConfigError(f"{path}: vhostmd.channel: {settings.guests.channel!r} is that of guests.channel already")
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


def _check_vhostmd(where: str, vhostmd: VhostmdSettings) -> None:
    for key in ("disk_path", "disk_folder"):
        if getattr(vhostmd, key) and not Path(getattr(vhostmd, key)).is_absolute():
            raise ConfigError(f"{where}.{key}: {getattr(vhostmd, key)!r} has to begin with a /")
    if vhostmd.disk_path and vhostmd.disk_folder:
        raise ConfigError(f"{where}.disk_folder: it takes the place of disk_path; have one of them")
    if vhostmd.disk_path and vhostmd.set == "kubevirt":
        raise ConfigError(f"{where}.disk_path: KubeVirt's metrics do not say whose they are; take disk_folder")
    for at, metric in enumerate(vhostmd.metric):
        problem = next((why for is_so, why in _problems_of(metric) if is_so), None)
        if problem is not None:
            raise ConfigError(f"{where}.metric[{at}]: {problem}")


def _problems_of(metric: VhostmdMetric) -> tuple[tuple[bool, str], ...]:
    is_read = metric.type in {"group", "xml"}
    return (
        (bool(metric.metric) == bool(metric.exec), "it needs either `metric` or `exec`"),
        (bool(metric.exec) and not metric.exec[0], "exec[0]: there has to be a program"),
        (bool(metric.labels) and not metric.metric, "labels: they are of a `metric`"),
        (is_read and not metric.exec, f"type: {metric.type!r} is what a program prints, and needs `exec`"),
        (metric.type == "group" and not metric.variables, "variables: a group has to have some"),
        (metric.type != "group" and bool(metric.variables), "variables: they are of a group"),
    )


def _in_words(complaint: str) -> str:
    """Msgspec's "what - at `$.section.key`" with the key first."""
    what, _, where = complaint.partition(" - at `")
    key = where.removesuffix("`").removeprefix("$").removeprefix(".")
    unknown = re.fullmatch("Object contains unknown field `(.*)`", what)
    if unknown:
        return f"{key}.{unknown[1]}".removeprefix(".") + ": there is no such setting"
    return f"{key}: {what}" if key else what
