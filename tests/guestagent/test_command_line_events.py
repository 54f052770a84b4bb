"""What goes to the host and comes from it beside numbers, as scripts in a guest meet it: `notices`, hooks, `emit`."""

from __future__ import annotations

import json
import re
import signal

import pytest

from guestagent import __main__
from protocol.messages import Detail, Events, EventsTaken, Goodbye, Notice, NoticeAnswer
from tests.guestagent.host import listening, soon, until
from tests.guestagent.programs import Guest, told

MOVED = Notice(number=7, kind="moved", severity="warning", text="elsewhere", details=(Detail(name="from", value="a"),))


async def test_notices_prints_what_the_host_told(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent():
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=7, status="seen")
        code, output, errors = await guest.notices()
        assert (code, errors) == (0, "")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+ warning moved: elsewhere from=a\n", output)
        assert json.loads((await guest.notices("--format", "json"))[1])["details"] == {"from": "a"}
        assert (await guest.get("host_cpus"))[0] == 2  # notices are no values


async def test_notices_can_be_followed_until_the_agent_ends(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent() as process:
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        await visit.hear(NoticeAnswer)
        follower = await guest.start("notices", "--socket", guest.notices_socket, "--follow", "--format", "json")
        assert follower.stdout is not None
        assert json.loads(await soon(follower.stdout.readline()))["number"] == 7
        visit.say(Notice(number=8, kind="resumed", severity="info", text=""))
        assert json.loads(await soon(follower.stdout.readline()))["number"] == 8
        process.terminate()
        _, errors = await soon(follower.communicate())
        assert follower.returncode == 2
        assert "the agent has ended" in errors.decode()


async def test_following_ends_quietly_when_nobody_reads_or_on_a_signal(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent():
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        await visit.hear(NoticeAnswer)
        follower = await guest.start("notices", "--socket", guest.notices_socket, "--follow")
        assert follower.stdout is not None
        await soon(follower.stdout.readline())
        follower.send_signal(signal.SIGINT)
        assert (await soon(follower.communicate())) == (b"", b"")
        assert follower.returncode == 0


async def test_notices_without_an_agent_says_so(guest: Guest) -> None:
    code, output, errors = await guest.notices()
    assert (code, output) == (2, "")
    assert errors.startswith(f"guestagent: no agent answers at {guest.notices_socket}: ")


async def test_hooks_are_run_for_a_notice_and_the_host_learns_how_they_ended(guest: Guest) -> None:
    guest.hooks.mkdir()
    hook = guest.hooks / "10-hook"
    hook.write_text('#!/bin/sh\necho "$VIRTWIRE_KIND $VIRTWIRE_TEXT"\ntest "$VIRTWIRE_NUMBER" = 7\n', encoding="utf-8")
    hook.chmod(0o755)
    async with listening(guest.port) as host, guest.agent() as process:
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=7, status="seen")
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=7, status="done")
        await told(process, "hook 10-hook: moved elsewhere")
        visit.say(Notice(number=8, kind="moved", severity="info", text=""))
        assert await visit.hear(NoticeAnswer) == NoticeAnswer(number=8, status="seen")
        failed = NoticeAnswer(number=8, status="failed", text="10-hook: exit status 1")
        assert await visit.hear(NoticeAnswer) == failed


async def test_a_signal_ends_an_agent_whose_hook_never_ends(guest: Guest) -> None:
    guest.hooks.mkdir()
    hook = guest.hooks / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {guest.hooks}/begun\nsleep 1000\n", encoding="utf-8")
    hook.chmod(0o755)
    async with listening(guest.port) as host, guest.agent() as process:
        visit = await host.visit()
        await visit.welcome()
        visit.say(MOVED)
        await until((guest.hooks / "begun").exists)
        process.terminate()
        assert await visit.hear(Goodbye) == Goodbye(reason="the agent stops")
        assert await soon(process.wait()) == 0


async def test_an_event_that_a_script_hands_in_is_there_after_a_kill(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "answers at")
        about = ("--text", "all well", "--severity", "info")
        assert await guest.emit("backup.done", "size=12", *about, "took=3") == (0, "1\n", "")
        process.kill()
    async with guest.agent() as process:
        await told(process, "answers at")
        assert await guest.emit("backup.done") == (0, "2\n", "")


async def test_emit_without_an_agent_says_so(guest: Guest) -> None:
    code, output, errors = await guest.emit("backup.done")
    assert (code, output) == (2, "")
    assert errors.startswith(f"guestagent: no agent answers at {guest.emit_socket}: ")


async def test_emit_says_what_is_wrong_with_an_event(guest: Guest) -> None:
    async with guest.agent() as process:
        await told(process, "answers at")
        for arguments, words in (
            (["Backup"], "event refused: kind 'Backup': write a small letter"),
            (["backup", "size"], "detail 'size': write NAME=VALUE"),
            (["backup", "--severity", "bad"], "event refused: severity 'bad': write one of info"),
        ):
            code, output, errors = await guest.emit(*arguments)
            assert (code, output) == (1, "")
            assert errors.startswith(f"guestagent: {words}")


async def test_emit_tells_an_event_that_is_in_memory_alone(guest: Guest) -> None:
    async with guest.agent("--journal", "") as process:
        await told(process, "answers at")
        code, output, errors = await guest.emit("backup.done")
    assert (code, output) == (3, "1\n")
    assert "in the agent's memory alone" in errors


async def test_an_unknown_group_is_a_wrong_configuration(guest: Guest) -> None:
    code, _, errors = await guest.result("run", "--emit-group", "no such group", "--socket", guest.socket)
    assert (code, errors) == (
        78,
        "guestagent: --emit-group: there is no group 'no such group'; make it, or name another\n",
    )


def test_a_ring_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.main(["run", "--journal-events", "0"])
    assert "write 1 or more" in capsys.readouterr().err


async def test_an_event_that_a_script_hands_in_reaches_the_host_and_is_then_forgotten(guest: Guest) -> None:
    async with listening(guest.port) as host, guest.agent():
        visit = await host.visit()
        hello = await visit.welcome(events_taken=0)
        assert await guest.emit("backup.done", "--text", "all well") == (0, "1\n", "")
        events = await visit.hear(Events)
        assert events.journal == hello.journal
        assert [(event.number, event.text) for event in events.events] == [(1, "all well")]
        visit.say(EventsTaken(journal=events.journal, number=1))
        visit.leave()
        visit = await host.visit()
        assert (await visit.welcome(events_taken=1)).events_acknowledged == 1


def test_details_of_an_event_may_stand_before_and_behind_options() -> None:
    parsed = __main__._parsed(["emit", "backup.done", "size=12", "--text", "all well", "took=3", "disk=a"])
    assert parsed.details == ["size=12", "took=3", "disk=a"]


@pytest.mark.parametrize("wrong", ["--colour=red", "loose"])
def test_what_emit_does_not_know_behind_an_option_is_wrong_usage(wrong: str) -> None:
    with pytest.raises(SystemExit) as ended:
        __main__._parsed(["emit", "backup.done", "--text", "all well", wrong])
    assert ended.value.code == 2
