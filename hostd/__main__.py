"""The command line: `hostd run`, `check-config`, `metrics`, `events` and `import-vhostmd`.

Exit codes are sysexits': 0 done, 64 wrong usage, 65, 66 and 73 a file that cannot be taken, read or written, 69
something needed is not there, 75 too much of libvirt is stuck (a supervisor should start hostd again), 78 wrong
configuration. Each failure is one line on standard error that says where and what to do.
"""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

import msgspec

import hostd
from hostd import config, daemon, log
from hostd.history import reading
from hostd.http.server import CannotListen
from hostd.hypervisor import HypervisorError, TooManyStuck, WrongUri
from hostd.settings import Settings
from hostd.vhostmd import custom, importing

_EXIT_CODES = """\
exit codes:
   0  done
  64  wrong usage
  65  what is to be imported is no vhostmd.conf: not well-formed, or about something else
  66  what is to be imported cannot be read
  69  something needed is not there: the address to listen on, the history, libvirt for `metrics`
  73  --output is there already, or cannot be written
  75  too many calls to libvirt never returned; start hostd again
  78  wrong configuration
"""

DEFAULT_CONFIG = Path("/etc/virtwire/hostd.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (the process's own by default) name; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except config.ConfigError as error:
        return _fail(str(error), os.EX_CONFIG)
    except WrongUri as error:
        return _fail(f"{error}; see connection.uri or --connect", os.EX_CONFIG)
    except TooManyStuck as error:
        return _fail(f"{error}; ending, so that a supervisor starts a clean process", os.EX_TEMPFAIL)
    except CannotListen as error:
        return _fail(f"{error}; see http.listen or --listen", os.EX_UNAVAILABLE)
    except (HypervisorError, reading.CannotRead) as error:
        return _fail(str(error), os.EX_UNAVAILABLE)


def run(options: argparse.Namespace) -> int:
    """`hostd run`."""
    settings = _settings(options)
    log.set_up(verbose=options.verbose)
    gc.freeze()  # what is loaded by now stays: with it, a full collection of 200 guests took three times as long
    try:
        asyncio.run(daemon.run(settings))
    except ExceptionGroup as group:
        told = group.subgroup((WrongUri, TooManyStuck))
        if told is None:
            raise
        raise _innermost(told) from None
    return os.EX_OK


def metrics(options: argparse.Namespace) -> int:
    """`hostd metrics`."""
    page = asyncio.run(daemon.collect_once(_settings(options)))
    sys.stdout.buffer.write(page)
    return os.EX_OK


def events(options: argparse.Namespace) -> int:
    """`hostd events`."""
    path = _settings(options).history.path
    if not path:
        raise reading.CannotRead("history.path is empty: events are in hostd's memory alone; name a file")
    recorded = reading.newest(Path(path), domain=options.domain, limit=options.limit)
    for line in reading.FORMS[options.format](recorded):
        print(line)  # noqa: T201 - the command's answer
    return os.EX_OK


def check_config(options: argparse.Namespace) -> int:
    """`hostd check-config`: print what the file comes to, defaults included."""
    settings = _loaded(options.file)
    for section, values in msgspec.to_builtins(settings).items():
        tables = {section: values} if isinstance(values, dict) else {f"{section}[{n}]": v for n, v in enumerate(values)}
        for table, keys in tables.items():
            for key, value in keys.items():
                print(f"{table}.{key} = {msgspec.json.encode(value).decode()}")  # noqa: T201 - the command's answer
    return os.EX_OK


def import_vhostmd(options: argparse.Namespace) -> int:
    """`hostd import-vhostmd`: everything is in the file's comments; what has to be looked at is said here, too."""
    started = importing.Started(connect=options.connect, user=options.user)
    try:
        imported = importing.imported(options.file, options.file.read_bytes(), started)
    except OSError as error:
        return _fail(f"{options.file}: {error.strerror}; name a vhostmd.conf that can be read", os.EX_NOINPUT)
    except importing.NotVhostmdError as error:
        return _fail(str(error), os.EX_DATAERR)
    try:
        _put(imported.toml, options.output)
    except OSError as error:
        return _fail(f"{options.output}: {error.strerror}; name a file that is not there yet", os.EX_CANTCREAT)
    for remark in imported.loud:
        _say(f"{options.file}:{remark.line or 1}: {remark.text}")
    return os.EX_OK


def _put(text: str, path: Path | None) -> None:
    if path is None:
        sys.stdout.buffer.write(text.encode())
        return
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def _settings(options: argparse.Namespace) -> Settings:
    path: Path | None = options.config
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    return _loaded(path, uri=getattr(options, "connect", None), listen=getattr(options, "listen", None))


def _loaded(path: Path | None, *, uri: str | None = None, listen: str | None = None) -> Settings:
    settings = config.load(path, uri=uri, listen=listen)
    custom.check(settings.vhostmd, f"{path or 'defaults'}: vhostmd")  # knows the tables, which `config` does not
    return settings


def _innermost(error: Exception) -> Exception:
    return _innermost(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _fail(message: str, code: int) -> int:
    _say(message)
    return code


def _say(message: str) -> None:
    print(f"hostd: {message}", file=sys.stderr)  # noqa: T201 - before, or instead of, the log


class _Parser(argparse.ArgumentParser):
    """Wrong usage in one line, and with sysexits' code for it."""

    def error(self, message: str) -> NoReturn:
        self.exit(os.EX_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # noqa: SLF001 - it has no other name


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hostd",
        description="Joins a libvirt host with its guests, and exports both to Prometheus.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hostd {hostd.__version__}")
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", help="`hostd COMMAND --help` says more"
    )
    _add_run(commands)
    _add_others(commands)
    return parser


def _add_run(commands: _Commands) -> None:
    serve = commands.add_parser("run", help="serve until told to stop")
    _add_connection(serve)
    serve.add_argument("--listen", metavar="ADDR:PORT", help="where to serve HTTP (default: 127.0.0.1:9177)")
    serve.add_argument(
        "--verbose", action="store_true", help="log every detail, which guests may make as many of as they like"
    )
    serve.set_defaults(command=run)


def _add_others(commands: _Commands) -> None:
    check = commands.add_parser("check-config", help="say whether a configuration file is right, and what it means")
    check.add_argument(
        "file", type=Path, metavar="FILE", help="packaging/hostd.toml has every setting, with its reason"
    )
    check.set_defaults(command=check_config)

    once = commands.add_parser("metrics", help="collect once, print the page and end; guests are not asked")
    _add_connection(once)
    once.set_defaults(command=metrics)

    listing = commands.add_parser("events", help="list what guests told of; hostd need not run")
    _add_config(listing)
    listing.add_argument("--domain", metavar="D", help="of one domain only, by its name or UUID")
    listing.add_argument("--limit", metavar="N", type=int, default=100, help="the last N (default: 100)")
    listing.add_argument(
        "--format", choices=sorted(reading.FORMS), default="table", help="for people (default), or one object a line"
    )
    listing.set_defaults(command=events)
    _add_import(commands)


def _add_import(commands: _Commands) -> None:
    takeover = commands.add_parser(
        "import-vhostmd",
        help="write a vhostmd.conf as hostd's [vhostmd]",
        description="Writes what a vhostmd.conf says as hostd's [vhostmd], with what has to be looked at beside it\n"
        "and, in short, on standard error. Takes the files of all releases, and what vhostmd itself would refuse.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takeover.add_argument("file", type=Path, metavar="FILE", help="as /etc/vhostmd/vhostmd.conf")
    takeover.add_argument(
        "--output", type=Path, metavar="FILE", help="write it there, which must not be there yet (default: print it)"
    )
    takeover.add_argument(
        "--connect", "-c", metavar="URI", help="as vhostmd was started with; CONNECT is nothing without"
    )
    takeover.add_argument("--user", "-u", default="", help="as vhostmd was started with; who runs the programs")
    takeover.set_defaults(command=import_vhostmd)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"the configuration (default: {DEFAULT_CONFIG}, if it is there)"
    )


def _add_connection(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    parser.add_argument(
        "--connect", metavar="URI", help="which libvirt (default: qemu:///system; test:///default needs no daemon)"
    )


if __name__ == "__main__":
    sys.exit(main())
