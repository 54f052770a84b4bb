"""Which guests have a session: every active domain that has our channel; and which of them is told of something."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NoReturn

from hostd import telemetry
from hostd.channels.attendance import WHO_IS_THERE, Attendance, paths
from hostd.channels.line import Line, line_to, name_of, prefix_of
from hostd.guests.session import Conduct, Post, attend
from hostd.model import changes
from hostd.model.world import World
from hostd.settings import GuestSettings
from hostd.systemd import Supervisor


async def keep(post: Post, supervisor: Supervisor) -> NoReturn:
    """Run for ever: begin and end sessions as domains come, go and move their channels."""
    store = post.store
    conducts: dict[str, Conduct] = {}  # of all domains that there are, attended to or not
    before = store.world
    async with asyncio.TaskGroup() as group:
        attendance = Attendance(group, "guest")
        try:
            async for world in store.worlds(*WHO_IS_THERE):
                wanted = _wanted(world)
                for uuid in conducts.keys() - world.domains.keys():
                    del conducts[uuid]
                for uuid in attendance.end(wanted):
                    store.tell(changes.GuestLost(uuid=uuid, is_retried=False))
                async for uuid in attendance.missing(wanted):
                    conduct = conducts.setdefault(uuid, Conduct(post, uuid))
                    line = _line(world, uuid, post.settings, supervisor)
                    attendance.begin(uuid, line.path, attend(post, line, conduct))
                telemetry.GUEST_CHANNELS.labels(world.connection.name).set(len(attendance))
                _let_go(world, wanted, supervisor)
                for uuid in _altered(before, world, wanted):
                    post.sessions.wake(uuid)
                before = world
        finally:
            supervisor.seal()  # before the sessions end: the process does, and what is kept is for the next one
    raise AssertionError("worlds do not end")


def _wanted(world: World) -> Mapping[str, str]:
    return paths(world, lambda facts: facts.channel)


def _altered(before: World, after: World, wanted: Iterable[str]) -> Iterator[str]:
    """Of those who are attended to, who runs and did not, or the other way round, or is to be told of something."""
    for uuid in wanted:
        then, now = before.domains.get(uuid), after.domains[uuid]
        if then is not None and (then.facts.state is not now.facts.state or then.notices is not now.notices):
            yield uuid


def _line(world: World, uuid: str, settings: GuestSettings, supervisor: Supervisor) -> Line:
    channel = world.domains[uuid].facts.channel
    assert channel is not None
    return replace(line_to(world, uuid, channel.path), checks_peer=settings.check_peer, supervisor=supervisor)


def _let_go(world: World, wanted: Mapping[str, str], supervisor: Supervisor) -> None:
    """Of the sockets that an earlier hostd left us, let go of those whose domain or channel is there no more.

    Not before libvirt has said who there is: it may be away for as long as it likes.
    """
    if world.connection.connects:
        prefix = prefix_of(world.connection.name)
        names = (name_of(world.connection.name, uuid, path) for uuid, path in wanted.items())
        supervisor.forget_all_but(names, of=lambda name: name.startswith(prefix))
