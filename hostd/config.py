"""Every setting there is: its name, unit, default, and why that default.

To add one: a field here and its line in packaging/hostd.toml (a test holds the two together). Unknown names, wrong
types and values out of range are refused with the file and the key.
"""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from protocol.messages import Metrics

Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=3600)]

SHAREABLE = frozenset(Metrics.__dataclass_fields__)
"""What a guest can be told of its host, by the names that `guestagent get` answers to."""


class ConfigError(Exception):
    """A setting is wrong; the message says where, which and why."""


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[connection]: which libvirt."""

    uri: Annotated[str, msgspec.Meta(min_length=1)] = "qemu:///system"
    deadline_seconds: Seconds = 5.0  # for one call; a local libvirtd with 100 domains answers within one


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[http]: where /metrics is served."""

    listen: str = "127.0.0.1:9177"  # the port registered for libvirt exporters; this machine only


class SamplingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[sampling]: how often libvirt is asked for numbers."""

    interval_seconds: Seconds = 10.0


class GuestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[guests]: the line to the agents."""

    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "io.virtwire.agent.0"
    report_interval_seconds: Seconds = 10.0
    share: tuple[str, ...] = tuple(sorted(SHAREABLE - {"host_name"}))
    share_host_name: bool = False  # a tenant who knows the host's name can look for neighbours


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    connection: ConnectionSettings = ConnectionSettings()
    http: HttpSettings = HttpSettings()
    sampling: SamplingSettings = SamplingSettings()
    guests: GuestSettings = GuestSettings()


def load(path: Path | None, *, uri: str | None = None, listen: str | None = None) -> Settings:
    """The settings of `path` (all defaults without one), with the command line's `uri` and `listen` over them.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or a setting is wrong.

    """
    settings = Settings() if path is None else _read(path)
    if uri is not None:
        settings = msgspec.structs.replace(settings, connection=msgspec.structs.replace(settings.connection, uri=uri))
    if listen is not None:
        settings = msgspec.structs.replace(settings, http=msgspec.structs.replace(settings.http, listen=listen))
    where = "--listen" if listen is not None else f"{path or 'defaults'}: http.listen"
    address_of(settings.http.listen, where=where)
    return settings


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
        raise ConfigError(f"{path}: {_in_words(str(error))}") from error
    listable = SHAREABLE - {"host_name"}  # which has a switch of its own, so that nobody shares it by the way
    unknown = sorted(set(settings.guests.share) - listable)
    if unknown:
        raise ConfigError(f"{path}: guests.share: {unknown[0]!r} is not one of {', '.join(sorted(listable))}")
    return settings


def _in_words(complaint: str) -> str:
    """Msgspec's "what - at `$.section.key`" with the key first."""
    what, _, where = complaint.partition(" - at `")
    key = where.removesuffix("`").removeprefix("$").removeprefix(".")
    unknown = re.fullmatch("Object contains unknown field `(.*)`", what)
    if unknown:
        return f"{key}.{unknown[1]}".removeprefix(".") + ": there is no such setting"
    return f"{key}: {what}" if key else what
