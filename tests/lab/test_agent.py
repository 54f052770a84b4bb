"""The agent on a real virtio port, in a guest with the oldest Python it promises to run on; the host is the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from protocol.messages import Ack, HelloRequest, Notice, NoticeAnswer, Ping, Refresh, Report
from tests.guestagent.host import Visit
from tests.lab.conftest import Boot
from tests.lab.guest import AGENT_CHANNEL, Guest, GuestSpec
from tests.lab.image import OLDEST_SUITE
from tests.lab.waiting import wait_for

HOOK = "/etc/virtwire/hooks.d/10-hook"
MOVED = Notice(number=7, kind="moved", severity="warning", text="you're $(elsewhere)")


@asynccontextmanager
async def visiting(guest: Guest) -> AsyncIterator[Visit]:
    """A session with the guest's agent."""
    reader, writer = await asyncio.open_unix_connection(guest.channel_path(AGENT_CHANNEL))
    visit = Visit(reader, writer)
    visit.say(HelloRequest(version_min=1, version_max=1))
    await visit.welcome()
    yield visit
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


def status(guest: Guest) -> tuple[int, set[str]]:
    done = guest.run(["guestagent", "status"], check=False)
    return done.status, set(done.stdout.splitlines())


async def test_the_host_is_heard_answered_and_missed(boot: Boot) -> None:
    guest = boot(GuestSpec(name="talk", suite=OLDEST_SUITE))
    guest.shell(
        f"mkdir -p $(dirname {HOOK}); echo '#!/bin/sh' > {HOOK}; echo 'echo \"$VIRTWIRE_TEXT\" > /run/ran' >> {HOOK};"
        f" chmod 755 {HOOK}"
    )

    async with visiting(guest) as visit:
        assert (await visit.hear(Report)).memory is not None
        visit.say(Ping())
        assert await visit.hear(Ack) == Ack(sequence=1)
        visit.say(Refresh())
        assert (await visit.hear(Report)).time_seconds is not None
        visit.say(MOVED)
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=7, status="seen")
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=7, status="done")
        up, lines = status(guest)
        assert guest.run(["cat", "/run/ran"]).stdout == f"{MOVED.text}\n"
        assert f" warning moved: {MOVED.text}\n" in guest.run(["guestagent", "notices"]).stdout

    assert up == 0
    assert "state open" in lines
    wait_for("the host is missed", lambda: status(guest)[0] == 1, deadline=60)
    assert "reason no host at the other end" in status(guest)[1]
