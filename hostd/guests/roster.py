"""Which guests are attended to: one task for every active domain that has our channel, made from the World alone.

What should be is worked out anew each time that libvirt has said who there is, so an event that was missed is made good
by the next listing; a domain that was started anew has another socket, and so another task. A domain that migrates to
us is attended to as soon as its QEMU listens, while it still stands still: its guest then never sees the host go away.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

from hostd import telemetry
from hostd.channels.line import Line, name_of, prefix_of
from hostd.guests.session import Conduct, Post, attend
from hostd.hypervisor.process import pid_file, pid_folder
from hostd.model import changes
from hostd.model.world import World
from hostd.settings import GuestSettings
from hostd.systemd import Supervisor

WHO_IS_THERE = (changes.DomainsListed, changes.DomainDescribed, changes.DomainGone)
"""What may change who is attended to; guests' reports, which are most of what happens, do not."""
MOST_AT_ONCE = 20  # sessions that begin before others have their turn on the loop


async def keep(post: Post, supervisor: Supervisor) -> NoReturn:
    """Run for ever: begin and end sessions as domains come, go and move their channels."""
    store = post.store
    attended: dict[str, tuple[str, asyncio.Task[None]]] = {}  # by UUID: the socket's path, who attends
    conducts: dict[str, Conduct] = {}  # of all domains that there are, attended to or not
    before = store.world
    async with asyncio.TaskGroup() as group:
        try:
            async for world in store.worlds(*WHO_IS_THERE):
                wanted = _wanted(world)
                for uuid in conducts.keys() - world.domains.keys():
                    del conducts[uuid]
                for uuid in [u for u, (path, _) in attended.items() if wanted.get(u) != path]:
                    attended.pop(uuid)[1].cancel()
                    store.tell(changes.GuestLost(uuid=uuid, is_retried=False))
                for number, uuid in enumerate(sorted(wanted.keys() - attended.keys()), start=1):
                    line = _line(world, uuid, post.settings, supervisor)
                    conduct = conducts.setdefault(uuid, Conduct(post, uuid))
                    attended[uuid] = (line.path, group.create_task(attend(post, line, conduct), name=f"guest {uuid}"))
                    if number % MOST_AT_ONCE == 0:
                        await asyncio.sleep(0)
                telemetry.GUEST_CHANNELS.labels(world.connection.name).set(len(attended))
                _let_go(world, wanted, supervisor)
                for uuid in _altered(before, world, wanted):
                    post.sessions.wake(uuid)
                before = world
        finally:
            supervisor.seal()  # before the sessions end: the process does, and what is kept is for the next one
    raise AssertionError("worlds do not end")


def _wanted(world: World) -> Mapping[str, str]:
    """The paths of their channels, by UUID: looked at for all domains whenever one is described, so kept cheap."""
    return {
        domain.uuid: domain.facts.channel.path
        for domain in world.domains.values()
        if domain.is_active and domain.facts.channel is not None
    }


def _altered(before: World, after: World, wanted: Iterable[str]) -> Iterator[str]:
    """Of those who are attended to, who runs and did not, or the other way round, or is to be told of something."""
    for uuid in wanted:
        then, now = before.domains.get(uuid), after.domains[uuid]
        if then is not None and (then.facts.state is not now.facts.state or then.notices is not now.notices):
            yield uuid


def _line(world: World, uuid: str, settings: GuestSettings, supervisor: Supervisor) -> Line:
    domain, folder = world.domains[uuid], pid_folder(world.connection.uri)
    assert domain.facts.channel is not None
    return Line(
        path=domain.facts.channel.path,
        uuid=uuid,
        connection=world.connection.name,
        pid_file=None if folder is None else pid_file(folder, domain.name),
        checks_peer=settings.check_peer,
        supervisor=supervisor,
    )


def _let_go(world: World, wanted: Mapping[str, str], supervisor: Supervisor) -> None:
    """Of the sockets that an earlier hostd left us, let go of those whose domain or channel is there no more.

    Not before libvirt has said who there is: it may be away for as long as it likes.
    """
    if world.connection.connects:
        prefix = prefix_of(world.connection.name)
        names = (name_of(world.connection.name, uuid, path) for uuid, path in wanted.items())
        supervisor.forget_all_but(names, of=lambda name: name.startswith(prefix))
