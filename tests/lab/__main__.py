"""The lab by hand: ``python -m tests.lab image | up | shell | down | demo``."""

import argparse
import sys

from tests.lab import demo, lxc, prometheus, standing
from tests.lab.image import DEFAULT_SUITE, base_image


def main() -> int:
    """Do one command and give its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    image = commands.add_parser("image", help="build what the lab needs into the cache")
    image.add_argument("suites", nargs="*", default=[DEFAULT_SUITE], metavar="SUITE")
    up = commands.add_parser("up", help="start a lab and leave it running")
    up.add_argument("guests", nargs="*", default=["alpha", "beta"])
    shell = commands.add_parser("shell", help="run lines of shell in a guest of it")
    shell.add_argument("guest", nargs="?", default="alpha")
    commands.add_parser("down", help="end it")
    show = commands.add_parser("demo", help="two guests, hostd, and a table of what it says")
    show.add_argument("--once", action="store_true", help="print the table once, check it, and end")
    arguments = parser.parse_args()
    match arguments.command:
        case "image":
            for suite in arguments.suites:
                base_image(suite)
            prometheus.programs()
            if not lxc.why_not():
                lxc.programs()
            return 0
        case "up":
            return standing.up(arguments.guests)
        case "shell":
            return standing.shell(arguments.guest)
        case "down":
            return standing.down()
        case _:
            return demo.run(once=arguments.once)


if __name__ == "__main__":
    sys.exit(main())
