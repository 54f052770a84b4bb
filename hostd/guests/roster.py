"""Which guests are attended to: one task for every active domain that has our channel, made from the World alone.

What should be is worked out anew from each World, so an event that was missed is made good by the next one; a domain
that was started anew has another socket, and so another task.
"""

import asyncio
from typing import NoReturn

from hostd import telemetry
from hostd.config import GuestSettings
from hostd.guests.labels import Allowance
from hostd.guests.session import History, Post, attend
from hostd.model import changes
from hostd.model.world import World
from hostd.store import Store


async def keep(store: Store, settings: GuestSettings, history: History | None = None) -> NoReturn:
    """Run for ever: begin and end sessions as domains come, go and move their channels."""
    post = Post(store=store, settings=settings, allowance=Allowance(settings.max_series), history=history)
    attended: dict[str, tuple[str, asyncio.Task[None]]] = {}  # by UUID: the socket's path, who attends
    async with asyncio.TaskGroup() as group:
        async for world in store.worlds():
            wanted = _wanted(world)
            for uuid in [u for u, (path, _) in attended.items() if wanted.get(u) != path]:
                attended.pop(uuid)[1].cancel()
                store.tell(changes.GuestLost(uuid=uuid, is_retried=False))
            for uuid, path in wanted.items():
                if uuid not in attended:
                    task = group.create_task(attend(post, uuid, path), name=f"guest {uuid}")
                    attended[uuid] = (path, task)
            telemetry.GUEST_CHANNELS.labels(world.connection.name).set(len(attended))
    raise AssertionError("worlds do not end")


def _wanted(world: World) -> dict[str, str]:
    return {
        domain.uuid: domain.facts.channel.path
        for domain in world.domains.values()
        if domain.is_active and domain.facts.channel is not None
    }
