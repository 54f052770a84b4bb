"""Runs in the guest: one agent after the other, each a fork of this process, which has all of it in memory.

An emulated CPU takes one to three seconds to start Python and to import an agent, most of the time that a cut would
take; a fork is there at once. It is the agent all the same: a process of its own, its memory gone when it is killed.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

PID = Path("/run/agent.pid")


def main() -> None:
    """Keep an agent alive for ever."""
    sys.path.insert(0, "/opt/virtwire/guestagent.pyz")
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type] # as `guestagent run` does
    agent = import_module("guestagent.__main__")
    import_module("guestagent.service")  # so that no life has to

    while True:
        life = os.fork()
        if not life:
            sys.argv = ["guestagent", "run"]
            os._exit(agent.main())
        PID.write_text(str(life))
        os.waitpid(life, 0)


if __name__ == "__main__":
    main()
