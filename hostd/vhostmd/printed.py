"""What the operator's programs printed last, for the documents: `programs` puts it here, `documents` takes it."""

from collections.abc import Collection

from protocol.vhostmd import Metric


class Printed:
    """By connection, domain (None: the host) and place in `vhostmd.metric`. Lives on the event loop alone."""

    def __init__(self) -> None:
        self._metrics: dict[tuple[str, str | None, int], tuple[Metric, ...]] = {}
        self.changes = 0  # so often it has become another

    def of(self, connection: str, uuid: str | None, at: int) -> tuple[Metric, ...]:
        """What there is; empty while nothing is known. Whose it is (context, id, UUID) is not in it yet."""
        return self._metrics.get((connection, uuid, at), ())

    def put(self, connection: str, uuid: str | None, at: int, metrics: tuple[Metric, ...]) -> None:
        """In place of what was printed before. Nothing, if it failed: what is old is not told."""
        self.changes += 1
        if metrics:
            self._metrics[connection, uuid, at] = metrics
        else:
            self._metrics.pop((connection, uuid, at), None)

    def keep(self, connection: str, uuids: Collection[str]) -> None:
        """Forget the domains of that connection that are none of these."""
        for key in [key for key in self._metrics if key[0] == connection and key[1] is not None]:
            if key[1] not in uuids:
                del self._metrics[key]
