"""The command line. What each command needs is loaded when it runs: `get` must start quickly in a small guest."""

from __future__ import annotations

import argparse
import sys

from guestagent import __version__

PORT_NAME = "io.virtwire.agent.0"
SOCKET = "/run/virtwire/guestagent.sock"

_GET_HELP = """\
exit codes:
  0  every name was found and has a value
  1  a name is unknown (the message lists the known ones, nothing is printed), or the host does not
     share its value (printed as an empty line, so that several values keep their places)
  2  no agent answers, or it has heard nothing from the host yet
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "get":
        from guestagent import query  # noqa: PLC0415 - only what this command needs

        return query.run(arguments.socket, arguments.names, arguments.format)
    from guestagent import ports, service  # noqa: PLC0415

    wanted = ports.Wanted(
        name=arguments.port_name,
        port=arguments.port,
        vsock=arguments.vsock and f"vsock:{arguments.vsock}",
        serial=arguments.serial,
    )
    return service.run(wanted=wanted, socket=arguments.socket)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="guestagent", description=__doc__.partition(".")[0])
    parser.add_argument("--version", action="version", version=f"guestagent {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="report to the host, and keep what it says")
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
    get = commands.add_parser(
        "get",
        help="print what the host said",
        epilog=_GET_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    get.add_argument("names", metavar="NAME", nargs="*", help="which values; all, if none is named")
    get.add_argument("--format", choices=("plain", "json", "prometheus"), default="plain")
    for command in (run, get):
        command.add_argument("--socket", metavar="PATH", default=SOCKET, help="where the agent answers `get`")
    return parser


if __name__ == "__main__":
    sys.exit(main())
