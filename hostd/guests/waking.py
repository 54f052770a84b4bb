"""Sessions sleep until something comes or is due; what happens to a domain is neither, so they are woken for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Sessions:
    """The sessions that there are, by their domains' UUIDs."""

    def __init__(self) -> None:
        self._of: dict[str, Callable[[], None]] = {}

    def wake(self, uuid: str) -> None:
        """Have that domain's session look around, if there is one."""
        if uuid in self._of:
            self._of[uuid]()

    @asynccontextmanager
    async def woken_by(self, uuid: str, wake: Callable[[], None]) -> AsyncIterator[None]:
        """Have `wake` called for that domain for as long as the block lasts."""
        self._of[uuid] = wake
        try:
            yield
        finally:
            if self._of.get(uuid) is wake:
                del self._of[uuid]
