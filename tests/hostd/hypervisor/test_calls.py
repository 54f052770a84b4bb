"""Blocking calls on a bounded set of threads, each with a deadline."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from hostd import telemetry
from hostd.hypervisor import CallFailed, TimedOut, TooManyStuck
from hostd.hypervisor.calls import Bound, Calls
from tests.support.running import until

SOON = 0.05  # the deadline of a call that shall miss it
EVER = 60.0  # of one that shall not


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What stuck calls wait for; set at the latest when the test ends, so that no thread stays behind."""
    event = threading.Event()
    yield event
    event.set()


def calls_on(threads: int, *, name: str = "test", most_stuck: int = 100) -> Calls:
    return Calls(threads=threads, name=name, bound=Bound(most_stuck))


def running(name: str) -> int:
    return sum(thread.name.startswith(f"{name}-") for thread in threading.enumerate())


def counted(what: str, result: str) -> float:
    return (
        telemetry.REGISTRY.get_sample_value(
            "hostd_libvirt_calls_total", {"connection": "", "call": what, "result": result}
        )
        or 0.0
    )


async def until_returned(calls: Calls, what: str) -> None:
    """Wait until the stuck call of that kind has let go: then the next of its kind is made."""
    async with asyncio.timeout(EVER):
        while True:
            try:
                return await calls.run(what, lambda: None, deadline_seconds=EVER)
            except TimedOut:
                await asyncio.sleep(0.001)  # the thread has ended its call but not yet said so


async def test_a_call_runs_in_a_thread_and_its_outcome_comes_back() -> None:
    calls = calls_on(1)
    name = await calls.run("t.name", lambda: threading.current_thread().name, deadline_seconds=EVER)
    assert name == "test-0"
    assert counted("t.name", "succeeded") == 1


async def test_an_error_of_the_hypervisor_comes_back_and_is_counted() -> None:
    calls = calls_on(1)

    def fail() -> None:
        raise CallFailed("no")

    with pytest.raises(CallFailed, match="no"):
        await calls.run("t.fail", fail, deadline_seconds=EVER)
    assert counted("t.fail", "failed") == 1
    assert await calls.run("t.fail", lambda: 1, deadline_seconds=EVER) == 1


async def test_a_bug_in_a_call_comes_back_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        await calls_on(1).run("t.bug", lambda: 1 // 0, deadline_seconds=EVER)


async def test_a_call_that_never_returns_times_out(released: threading.Event) -> None:
    calls = calls_on(2)
    with pytest.raises(TimedOut, match=r"^t\.stuck: is stuck after 0\.05 s$"):
        await calls.run("t.stuck", released.wait, deadline_seconds=SOON)
    assert counted("t.stuck", "timed_out") == 1


async def test_calls_of_a_stuck_kind_are_refused_until_it_returns_and_other_kinds_go_on(
    released: threading.Event,
) -> None:
    calls = calls_on(2)
    with pytest.raises(TimedOut):
        await calls.run("t.kind", released.wait, deadline_seconds=SOON)
    for _ in range(3):
        with pytest.raises(TimedOut, match="an earlier call has not returned"):
            await calls.run("t.kind", lambda: 1, deadline_seconds=EVER)
        assert await calls.run("t.other", lambda: 2, deadline_seconds=EVER) == 2
    assert counted("t.kind", "refused") == 3
    released.set()
    await until_returned(calls, "t.kind")
    assert await calls.run("t.kind", lambda: 1, deadline_seconds=EVER) == 1


async def test_a_stuck_call_costs_nobody_else_a_place_and_its_thread_ends_when_it_returns(
    released: threading.Event,
) -> None:
    calls = calls_on(1, name="replaced")
    for key in ("a", "b", "c"):
        with pytest.raises(TimedOut, match="is stuck"):
            await calls.run("t.lost", released.wait, deadline_seconds=SOON, key=key)
        assert await calls.run("t.next", lambda: 1, deadline_seconds=EVER) == 1
    assert telemetry.STUCK_CALLS._value.get() == 3
    assert running("replaced") == 4
    released.set()
    await until(lambda: running("replaced") == 1)
    assert telemetry.STUCK_CALLS._value.get() == 0
    assert await calls.run("t.next", lambda: 2, deadline_seconds=EVER) == 2


async def test_the_call_that_is_stuck_over_the_bound_is_the_end(released: threading.Event) -> None:
    bound = Bound(2)
    calls, others = (Calls(threads=1, name=name, bound=bound) for name in ("t1", "t2"))
    for each in (calls, others):
        with pytest.raises(TimedOut):
            await each.run("t.same", released.wait, deadline_seconds=SOON)
    with pytest.raises(TooManyStuck, match=r"^3 calls to libvirt have not returned \(t\.same, t\.same, x …\)$"):
        await calls.run("t.one", released.wait, deadline_seconds=SOON, key="x")


async def test_calls_that_have_returned_no_longer_count(released: threading.Event) -> None:
    calls = calls_on(1, most_stuck=1)
    for key in ("a", "b", "c"):
        with pytest.raises(TimedOut):
            await calls.run("t.turns", released.wait, deadline_seconds=SOON, key=key)
        assert calls.is_stuck(key)
        released.set()
        await until(lambda: not calls.is_stuck(key))  # noqa: B023 - called before the next turn
        released.clear()


async def test_what_a_call_returns_too_late_is_handed_to_who_clears_it_away(released: threading.Event) -> None:
    calls, cleared = calls_on(1), threading.Event()

    def work() -> threading.Event:
        released.wait()
        return cleared

    with pytest.raises(TimedOut):
        await calls.run("t.late", work, deadline_seconds=SOON, discard=threading.Event.set)
    released.set()
    assert await asyncio.to_thread(cleared.wait, EVER)


async def test_more_calls_than_threads_take_their_turns() -> None:
    calls = calls_on(2)
    lock, inside, most = threading.Lock(), 0, 0
    both = threading.Barrier(2)

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        both.wait(EVER)  # neither goes on before the other has come: two are inside at once
        with lock:
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(calls.run(f"t.turn{number}", work, deadline_seconds=EVER))
    assert most == 2


async def test_a_call_whose_deadline_passed_while_it_waited_is_never_begun(released: threading.Event) -> None:
    calls = calls_on(1)
    begun, first_begun = threading.Event(), threading.Event()

    def first() -> None:
        first_begun.set()
        released.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(calls.run("t.first", first, deadline_seconds=EVER))
        await asyncio.to_thread(first_begun.wait, EVER)
        with pytest.raises(TimedOut, match="found no free thread"):
            await calls.run("t.second", begun.set, deadline_seconds=SOON)
        released.set()
    await calls.run("t.third", lambda: None, deadline_seconds=EVER)
    assert not begun.is_set()
    await calls.run("t.second", begun.set, deadline_seconds=EVER)  # it was not stuck: its kind is not refused
    assert begun.is_set()


async def test_a_call_that_nobody_awaits_any_more_ends_unheard(released: threading.Event) -> None:
    calls = calls_on(1)
    begun = threading.Event()

    def work() -> int:
        begun.set()
        released.wait()
        return 1 // 0

    task = asyncio.get_running_loop().create_task(calls.run("t.unheard", work, deadline_seconds=EVER))
    await asyncio.to_thread(begun.wait, EVER)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    released.set()
    assert await calls.run("t.after", lambda: 1, deadline_seconds=EVER) == 1


def test_a_call_that_outlives_its_event_loop_ends_unheard(released: threading.Event) -> None:
    calls = calls_on(1)

    async def give_up() -> None:
        with pytest.raises(TimedOut):
            await calls.run("t.outlives", released.wait, deadline_seconds=SOON)

    asyncio.run(give_up())
    released.set()
    asyncio.run(until_returned(calls, "t.outlives"))
