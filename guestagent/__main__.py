"""The command line. What each command needs is loaded when it runs: `get` must start quickly in a small guest."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from guestagent import __version__

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name

PORT_NAME = "io.virtwire.agent.0"
SOCKET = "/run/virtwire/guestagent.sock"
NOTICES_SOCKET = "/run/virtwire/guestagent-notices.sock"
HOOKS = "/etc/virtwire/hooks.d"
EMIT_SOCKET = "/run/virtwire/guestagent-emit.sock"
JOURNAL = "/var/lib/virtwire/guestagent.sqlite"


_GET_HELP = """\
exit codes:
  0  every name was found and has a value
  1  a name is unknown (the message lists the known ones, nothing is printed), or the host does not
     share its value (printed as an empty line, so that several values keep their places)
  2  no agent answers, or it has heard nothing from the host yet, and vhostmd's metrics cannot be read either

sources:
  agent  what the host told the running agent
  disk   the metrics disk of a host with vhostmd or KubeVirt's downwardMetrics
  port   the virtio port of such a host, which only one program can use at a time
  Without --source they are tried in this order, and a line on stderr says if it was not the agent. vhostmd's have
  no loads and no steal time; KubeVirt's processors are sockets. Whose metrics on a disk are this domain's is told by
  its UUID, which only root may read.
"""

_STATUS_HELP = """\
exit codes:
  0  the line is up: host and guest are in a session
  1  it is not; `reason` says why
  2  no agent answers
"""

_HOOKS_HELP = """\
hooks:
  Each program in the hooks' folder is run for each notice, in the order of their names, without arguments
  and with VIRTWIRE_NUMBER, VIRTWIRE_KIND, VIRTWIRE_SEVERITY, VIRTWIRE_TEXT, VIRTWIRE_DETAILS (NAME=VALUE
  lines) and VIRTWIRE_DEADLINE_SECONDS (or empty) in its environment. Program and folder have to be root's
  or the agent's own, and nobody else's to write. Its process group is killed when it ends, after 30 s, or
  at the deadline. The host is told whether all of them ended with exit status 0.
"""

_EMIT_HELP = """\
exit codes:
  0  the event is in the journal, under the number that is printed, and outlives the agent
  1  it cannot be an event, or you may not hand one in (the message says why)
  2  no agent answers, or it takes no more for now (too many at once)
  3  the agent has it, but in memory alone: its file cannot be used
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["dump"]:  # its options are another program's, and so is how they are read
        from guestagent import dump  # noqa: PLC0415 - only what this command needs

        return dump.main(given[1:])
    arguments = _parsed(given)
    if arguments.command == "get":
        from guestagent import query  # noqa: PLC0415

        return query.run(arguments.socket, arguments.names, arguments.format, arguments.source)
    if arguments.command == "status":
        from guestagent import status  # noqa: PLC0415

        return status.run(arguments.socket, arguments.format)
    if arguments.command == "notices":
        from guestagent import follow  # noqa: PLC0415

        return follow.run(arguments.socket, arguments.format, is_followed=arguments.follow)
    if arguments.command == "emit":
        from guestagent import emit  # noqa: PLC0415

        return emit.run(arguments.socket, arguments.kind, arguments.severity, arguments.text, arguments.details)
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type] # asyncio does without; OpenSSL takes 4 MB of a guest
    from guestagent import service  # noqa: PLC0415

    return service.run(arguments)


def _parsed(argv: list[str]) -> argparse.Namespace:
    """The arguments; NAME=VALUE may stand behind an option as well, which argparse does not do within a command."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if arguments.command == "emit":
        arguments.details += [each for each in rest if "=" in each and not each.startswith("-")]
        rest = [each for each in rest if each not in arguments.details]
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="guestagent", description="This guest's line to its host.")
    parser.add_argument("--version", action="version", version=f"guestagent {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND", help="`guestagent COMMAND --help` says more"
    )
    for add in (_add_run, _add_get, _add_status, _add_notices, _add_emit):
        add(commands)
    commands.add_parser("dump", help="print the host's metrics as vhostmd's vm-dump-metrics does", add_help=False)
    return parser


def _add_run(commands: _Commands) -> None:
    run = commands.add_parser(
        "run",
        help="report to the host, and keep what it says",
        epilog=_HOOKS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "--port",
        metavar="PATH",
        default="auto",
        help="this virtio port, serial line, unix socket, vsock:CID:PORT or socket://HOST:PORT, and no other;"
        " by default the virtio port of the right name, else what --vsock and --serial allow",
    )
    run.add_argument("--port-name", metavar="NAME", default=PORT_NAME, help="the virtio port's name (%(default)s)")
    run.add_argument("--vsock", metavar="[CID:]PORT", help="without a virtio port, the host's vsock port")
    run.add_argument("--serial", metavar="PATH", help="without either, this serial line, such as /dev/ttyS1")
    _add_socket(run)
    run.add_argument(
        "--notices-socket", metavar="PATH", default=NOTICES_SOCKET, help="where it answers `notices` (%(default)s)"
    )
    run.add_argument("--hooks", metavar="DIR", default=HOOKS, help="programs to run for each notice (%(default)s)")
    _add_events(run)


def _add_get(commands: _Commands) -> None:
    get = commands.add_parser(
        "get",
        help="print what the host said",
        epilog=_GET_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    get.add_argument("names", metavar="NAME", nargs="*", help="which values; all, if none is named")
    get.add_argument("--format", choices=("plain", "json", "prometheus"), default="plain")
    get.add_argument(
        "--source", choices=("auto", "agent", "disk", "port"), default="auto", help="whom to ask (%(default)s)"
    )
    _add_socket(get)


def _add_socket(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--socket", metavar="PATH", default=SOCKET, help="where the agent answers `get` and `status` (%(default)s)"
    )


def _add_status(commands: _Commands) -> None:
    status = commands.add_parser(
        "status",
        help="print how the line to the host is",
        epilog=_STATUS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    status.add_argument("--format", choices=("plain", "json"), default="plain")
    _add_socket(status)


def _add_notices(commands: _Commands) -> None:
    notices = commands.add_parser("notices", help="print what the host told this guest to pay attention to")
    notices.add_argument("--follow", action="store_true", help="and what it tells from now on, until interrupted")
    notices.add_argument("--format", choices=("plain", "json"), default="plain")
    notices.add_argument(
        "--socket", metavar="PATH", default=NOTICES_SOCKET, help="where the agent answers (%(default)s)"
    )


def _add_events(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--emit-socket", metavar="PATH", default=EMIT_SOCKET, help="where it takes `emit`'s events (%(default)s)"
    )
    run.add_argument(
        "--emit-group", metavar="NAME", help="a group that may hand in events, besides root and its own user"
    )
    run.add_argument(
        "--journal",
        metavar="PATH",
        default=JOURNAL,
        help="the file in which events wait for the host (%(default)s); empty: in memory",
    )
    run.add_argument(
        "--journal-events",
        metavar="N",
        type=_count,
        default=1000,
        help="so many may wait (%(default)s); then the oldest go, and are counted",
    )
    run.add_argument(
        "--journal-bytes", metavar="N", type=_count, default=1 << 20, help="and so many bytes of them (%(default)s)"
    )


def _add_emit(commands: _Commands) -> None:
    emit = commands.add_parser(
        "emit",
        help="tell the host that something happened",
        epilog=_EMIT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    emit.add_argument("kind", metavar="KIND", help="what happened, as in backup.failed: a-z, 0-9, '_', '.' and '-'")
    emit.add_argument("details", metavar="NAME=VALUE", nargs="*", help="what else there is to know; 16 at most")
    emit.add_argument("--severity", metavar="S", default="info", help="info (the default), warning or critical")
    emit.add_argument("--text", metavar="T", default="", help="a line for people")
    emit.add_argument(
        "--socket", metavar="PATH", default=EMIT_SOCKET, help="where the agent takes events (%(default)s)"
    )


def _count(given: str) -> int:
    count = int(given)
    if count < 1:
        raise argparse.ArgumentTypeError("write 1 or more")
    return count


if __name__ == "__main__":
    sys.exit(main())
