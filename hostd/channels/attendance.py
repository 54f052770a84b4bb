"""Whose channels are attended to: one task for every active domain that has the channel, made from the World alone.

What should be is worked out anew each time that libvirt has said who there is, so an event that was missed is made good
by the next listing; a domain that was started anew has another socket, and so another task. A domain that migrates to
us is attended to as soon as its QEMU listens, while it still stands still: its guest then never sees the host go away.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, NoReturn

from hostd.model import changes
from hostd.model.domain import Channel, DomainFacts
from hostd.model.world import World

WHO_IS_THERE = (changes.DomainsListed, changes.DomainDescribed, changes.DomainGone)
"""What may change who is attended to; guests' reports, which are most of what happens, do not."""
MOST_AT_ONCE = 20  # tasks that begin before others have their turn on the loop


class Attendance:
    """The tasks that there are, by their domains' UUIDs; `what` is how they are called."""

    def __init__(self, group: asyncio.TaskGroup, what: str) -> None:
        self._group = group
        self._what = what
        self._attended: dict[str, tuple[str, asyncio.Task[NoReturn]]] = {}  # the socket's path, who attends

    def __len__(self) -> int:
        return len(self._attended)

    def end(self, wanted: Mapping[str, str]) -> tuple[str, ...]:
        """End those whose domain has that channel no more, or another; which."""
        ended = tuple(uuid for uuid, (path, _) in self._attended.items() if wanted.get(uuid) != path)
        for uuid in ended:
            self._attended.pop(uuid)[1].cancel()
        return ended

    async def missing(self, wanted: Mapping[str, str]) -> AsyncIterator[str]:
        """Those who are wanted and not there; all others on the loop have their turn in between."""
        for number, uuid in enumerate(sorted(wanted.keys() - self._attended.keys()), start=1):
            yield uuid
            if number % MOST_AT_ONCE == 0:
                await asyncio.sleep(0)

    def begin(self, uuid: str, path: str, attend: Coroutine[Any, Any, NoReturn]) -> None:
        """Begin one."""
        self._attended[uuid] = (path, self._group.create_task(attend, name=f"{self._what} {uuid}"))


def paths(world: World, channel: Callable[[DomainFacts], Channel | None]) -> Mapping[str, str]:
    """The paths of those channels, by UUID: looked at for all domains whenever one is described, so kept cheap."""
    return {
        domain.uuid: its.path
        for domain in world.domains.values()
        if domain.is_active and (its := channel(domain.facts)) is not None
    }
