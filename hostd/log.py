"""One line a message on standard error, where systemd or a terminal takes it.

Anything a guest or a domain's name may have put into a message is made harmless here, once: control characters are
escaped (no forged lines, no terminal sequences) and a line has a largest length.
"""

import logging
import sys

MAX_CHARACTERS = 2_000


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        first, *traceback = super().format(record).split("\n") if record.exc_info else [super().format(record)]
        return "\n  ".join([harmless(first), *map(harmless, traceback)])  # only a message begins at the margin


def harmless(text: str) -> str:
    """The text without what a terminal or a reader of lines would obey, and not too long."""
    kept = text[:MAX_CHARACTERS]
    return kept if kept.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in kept)


def set_up(*, verbose: bool) -> None:
    """Log to standard error, with debug messages if `verbose`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
