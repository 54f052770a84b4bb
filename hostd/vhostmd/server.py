"""Who is answered as of vhostmd: every active domain that has its channel, for as long as it has it.

A guest costs its own channel, whatever it does. Nothing of a connection is worth keeping over a restart of hostd: who
asks opens the port for one question, and asks again.
"""

import asyncio
import logging
from dataclasses import replace
from typing import NoReturn

from hostd import telemetry
from hostd.channels.attendance import WHO_IS_THERE, Attendance, paths
from hostd.channels.line import Line, NotOpened, Outcome, level_of, line_to
from hostd.channels.mentions import Kind
from hostd.model.world import World
from hostd.store import Store
from hostd.vhostmd.asker import Answer, Asker, Hold, Result
from protocol.backoff import Backoff

_log = logging.getLogger(__name__)

GOOD_SECONDS = 1.0  # a connection that lasted so long was none that failed


async def keep(store: Store, answer: Answer, *, checks_peer: bool = True) -> NoReturn:
    """Run for ever: answer, one task a domain, as domains come, go and move their channels."""
    askers: dict[str, Asker] = {}
    _begin_counting(store.world.connection.name)
    async with asyncio.TaskGroup() as group:
        attendance = Attendance(group, "vhostmd")
        async for world in store.worlds(*WHO_IS_THERE):
            wanted = paths(world, lambda facts: facts.vhostmd_channel)
            for uuid in askers.keys() - world.domains.keys():
                del askers[uuid]
            attendance.end(wanted)
            async for uuid in attendance.missing(wanted):
                asker = askers.setdefault(uuid, Asker(store, uuid, answer))
                line = _line(world, uuid, wanted[uuid], checks_peer=checks_peer)
                attendance.begin(uuid, line.path, _attend(line, asker))
    raise AssertionError("worlds do not end")


def _begin_counting(connection: str) -> None:
    """Have every series there, with 0."""
    telemetry.VHOSTMD_CHANNELS.labels(connection)
    for outcome in Outcome:
        if outcome is not Outcome.REUSED:
            telemetry.VHOSTMD_CONNECTS.labels(connection, outcome.value)
    for result in Result:
        telemetry.VHOSTMD_REQUESTS.labels(connection, result.value)
    for reason in Hold:
        telemetry.VHOSTMD_HELD_BACK.labels(connection, reason.value)


def _line(world: World, uuid: str, path: str, *, checks_peer: bool) -> Line:
    return replace(
        line_to(world, uuid, path),
        checks_peer=checks_peer,
        connects=telemetry.VHOSTMD_CONNECTS,
        other="vhostmd, whose place hostd takes, or set vhostmd.virtio = false",
    )


async def _attend(line: Line, asker: Asker) -> NoReturn:
    """Keep the channel open and answer, until cancelled."""
    loop, retry, told = asyncio.get_running_loop(), Backoff(first_seconds=0.5, most_seconds=30.0), ""
    while True:
        began = loop.time()
        try:
            async with line.opened() as channel:
                began, told = loop.time(), ""
                with telemetry.VHOSTMD_CHANNELS.labels(line.connection).track_inprogress():
                    await asker.serve(channel)
        except NotOpened as error:
            if str(error) != told:  # once a cause
                told = str(error)
                asker.mentions.say(_log, level_of(error), Kind.OPENING, f"{line.path}: {error}", loop.time())
        except OSError as error:
            asker.mentions.say(_log, logging.DEBUG, Kind.DOWN, str(error), loop.time())
            if loop.time() - began >= GOOD_SECONDS:
                retry.reset()
        await asyncio.sleep(retry.wait_seconds())
