"""The operator's programs are run every period, for the host and each domain, and what they print is kept."""

import asyncio
import os
import pwd
import threading
from pathlib import Path
from typing import Any

import pytest

from hostd import telemetry
from hostd.config import ConfigError
from hostd.model import changes
from hostd.model.domain import Domain, DomainFacts
from hostd.settings import VhostmdMetric, VhostmdSettings, VhostmdVariable
from hostd.store import Store
from hostd.vhostmd import execution, programs
from hostd.vhostmd.execution import Outcome, Program, Stop
from hostd.vhostmd.printed import Printed
from hostd.vhostmd.programs import check, keep
from protocol.vhostmd import Metric
from tests.hostd.vhostmd.scripts import names_in, script
from tests.support.builders import OTHER_UUID, URI, UUID, facts, shut_off, world
from tests.support.running import running, until

SYSTEM = "/usr/bin:/bin"


class Operator:
    """Programs in a folder, the settings that name them, and what came of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = Printed()
        self._rows: list[VhostmdMetric] = []

    def program(self, name: str, text: str, *arguments: str, **others: Any) -> None:  # noqa: ANN401 - the row's fields
        script(self.folder, name, text)
        known = {"timeout_seconds": 60.0, **others}
        self._rows.append(VhostmdMetric(name=name, exec=(name, *arguments), **known))

    def settings(self, **others: Any) -> VhostmdSettings:  # noqa: ANN401
        known = {"period_seconds": 0.1, "program_path": f"{self.folder}:{SYSTEM}", **others}
        return VhostmdSettings(metric=tuple(self._rows), **known)

    def told(self, at: int = 0, uuid: str | None = None) -> dict[str, str]:
        return {metric.name: metric.value for metric in self.printed.of("", uuid, at)}


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def counted(name: str, result: str) -> float:
    labels = {"metric": name, "result": result}
    return telemetry.REGISTRY.get_sample_value("hostd_vhostmd_program_runs_total", labels) or 0.0


def store_of(*known: DomainFacts) -> Store:
    return Store(world(*(Domain(facts=each) for each in known)))


async def test_the_hosts_are_run_once_and_again_every_period(operator: Operator) -> None:
    operator.program("times", "echo x >>$here/runs; wc -l <$here/runs", type="uint64", unit="n")
    async with running(keep(store_of(facts(), facts(OTHER_UUID)), operator.settings(), operator.printed)):
        await until(lambda: bool(operator.told()))
        first = int(operator.told()["times"])
        await until(lambda: int(operator.told().get("times", "0")) > first + 1)
        assert operator.printed.of("", None, 0)[0] == Metric("times", operator.told()["times"], "uint64", unit="n")
    assert operator.told(uuid=UUID) == {}


HOSTILE = ["a;touch X", "$(touch X)", "`touch X`", "'; touch X; '", '"; touch X; "', "a\ntouch X\n", "-n", "é %s \\n"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_domains_name_is_data(operator: Operator, name: str) -> None:
    operator.program("who", 'cd $here; printf %s "$VIRTWIRE_DOMAIN_NAME"', context="vm")
    async with running(keep(store_of(facts(name=name)), operator.settings(), operator.printed)):
        await until(lambda: bool(operator.told(uuid=UUID)))
    assert operator.told(uuid=UUID) == {"who": name.removesuffix("\n")}
    assert names_in(operator.folder) == ["who"]


async def test_a_domains_are_run_for_each_that_runs_and_know_whom_they_are_about(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s")
    operator.program(
        "about", "env | sort | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | tr '\\n' ' '", context="vm"
    )
    store = store_of(facts(id=7), shut_off(OTHER_UUID))
    async with running(keep(store, operator.settings(), operator.printed)):
        await until(lambda: bool(operator.told(uuid=UUID)))
    assert operator.told(uuid=UUID)["about"].split() == [
        "LANG=C.UTF-8",
        f"PATH={operator.folder}:{SYSTEM}",
        "VIRTWIRE_DOMAIN_ID=7",
        "VIRTWIRE_DOMAIN_NAME=alpha",
        f"VIRTWIRE_DOMAIN_UUID={UUID}",
        f"VIRTWIRE_URI={URI}",
    ]
    assert operator.told(uuid=OTHER_UUID) == operator.told() == {}


async def test_groups_and_xml_are_read_as_what_they_are(operator: Operator) -> None:
    two = (VhostmdVariable(name="a"), VhostmdVariable(name="b", type="int32"))
    operator.program("group", "echo 1,2", type="group", variables=two)
    operator.program("xml", "echo \"<metric type='int32'><name>c</name><value>3</value></metric>\"", type="xml")
    operator.program("lines", "echo 4")
    settings = operator.settings(newline_in_values=True)
    async with running(keep(store_of(), settings, operator.printed)):
        await until(lambda: all(operator.told(at) for at in range(3)))
    assert [operator.told(at) for at in range(3)] == [{"a": "1", "b": "2\n"}, {"c": "3"}, {"lines": "4\n"}]


async def test_what_fails_is_told_no_more_and_logged_once(operator: Operator, caplog: pytest.LogCaptureFixture) -> None:
    operator.program("fails", 'cat $here/value || { printf "no\\nvalue" >&2; exit 3; }')
    (operator.folder / "value").write_text("1\n")
    async with running(keep(store_of(), operator.settings(), operator.printed)):
        await until(lambda: operator.told() == {"fails": "1"})
        before = counted("fails", "failed")
        (operator.folder / "value").unlink()
        await until(lambda: counted("fails", "failed") >= before + 2)
        assert operator.told() == {}
        (operator.folder / "value").write_text("2\n")
        await until(lambda: operator.told() == {"fails": "2"})
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "vhostmd.metric[0], 'fails': exit status 3; guests are not told it; it said '"
    )
    assert record.getMessage().endswith("no\\nvalue' (said once)")


@pytest.mark.parametrize(
    ("text", "result"),
    [("true", "empty"), ("cat /dev/zero", "too_long"), ("kill -KILL $$", "failed"), ("sleep 1000", "timed_out")],
)
async def test_what_prints_no_value_is_counted(operator: Operator, text: str, result: str) -> None:
    operator.program(f"no-{result}", text, timeout_seconds=0.2 if result == "timed_out" else 60.0)
    before = counted(f"no-{result}", result)
    async with running(keep(store_of(), operator.settings(), operator.printed)):
        await until(lambda: counted(f"no-{result}", result) > before)
    assert operator.told() == {}


async def test_a_program_that_is_not_there_is_told_of(operator: Operator, caplog: pytest.LogCaptureFixture) -> None:
    operator.program("gone", "true")
    (operator.folder / "gone").unlink()
    before = counted("gone", "not_started")
    async with running(keep(store_of(), operator.settings(), operator.printed)):
        await until(lambda: counted("gone", "not_started") > before)
    assert "no program 'gone' is to be found in" in caplog.text


async def test_a_domain_that_stops_is_forgotten(operator: Operator) -> None:
    operator.program("id", 'echo "$VIRTWIRE_DOMAIN_ID"', context="vm")
    store = store_of(facts(id=1), facts(OTHER_UUID, id=2))
    async with running(keep(store, operator.settings(), operator.printed)):
        await until(lambda: operator.told(uuid=UUID) == {"id": "1"} and operator.told(uuid=OTHER_UUID) == {"id": "2"})
        store.tell(changes.DomainDescribed(facts=shut_off()))
        store.tell(changes.DomainGone(uuid=OTHER_UUID))
        await until(lambda: operator.told(uuid=UUID) == operator.told(uuid=OTHER_UUID) == {})
        store.tell(changes.DomainDescribed(facts=facts(id=3)))
        await until(lambda: operator.told(uuid=UUID) == {"id": "3"})


async def test_what_was_printed_about_a_domain_that_has_started_anew_is_not_told(operator: Operator) -> None:
    os.mkfifo(operator.folder / "go")
    operator.program("slow", 'test $VIRTWIRE_DOMAIN_ID = 2 || cat $here/go; echo "$VIRTWIRE_DOMAIN_ID"', context="vm")
    store, seen = store_of(facts(id=1)), []
    put = operator.printed.put
    operator.printed.put = lambda *what: (seen.append(what), put(*what))[1]  # type: ignore[method-assign,func-returns-value]
    async with running(keep(store, operator.settings(), operator.printed)):
        writing = await read_by_somebody(operator.folder / "go")
        store.tell(changes.DomainDescribed(facts=facts(id=2)))
        os.close(writing)
        await until(lambda: operator.told(uuid=UUID) == {"slow": "2"})
    assert {what[3][0].value for what in seen} == {"2"}


async def read_by_somebody(pipe: Path) -> int:
    """The writing end of the pipe, once somebody reads from it."""
    opened: list[int] = []

    def is_read() -> bool:
        try:
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    await until(is_read)
    return opened[0]


async def test_one_that_hangs_for_a_domain_delays_no_other_and_is_not_run_twice(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "TURN_SECONDS", 0.01)
    operator.program(
        "hangs",
        "echo x >>$here/$VIRTWIRE_DOMAIN_NAME; test $VIRTWIRE_DOMAIN_NAME != stuck || sleep 1000; "
        "wc -l <$here/$VIRTWIRE_DOMAIN_NAME",
        context="vm",
    )
    operator.program("host", "echo x >>$here/host-times; wc -l <$here/host-times")
    before = counted("hangs", "skipped")
    store = store_of(facts(name="stuck"), facts(OTHER_UUID, name="well"))
    async with running(keep(store, operator.settings(), operator.printed)):
        await until(lambda: int(operator.told(0, OTHER_UUID).get("hangs", "0")) >= 3)
        await until(lambda: int(operator.told(1).get("host", "0")) >= 3)
        assert counted("hangs", "skipped") > before
        assert (operator.folder / "stuck").read_text() == "x\n"
        assert operator.told(0, UUID) == {}


async def test_many_that_hang_are_bounded_and_delay_no_other_program(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "TURN_SECONDS", 0.01)
    operator.program("stuck", "echo $$ >>$here/pids; sleep 1000", context="vm", timeout_seconds=0.2)
    operator.program("host", "echo x >>$here/host-times; wc -l <$here/host-times")
    before = counted("stuck", "refused")
    store = store_of(*(facts(f"{number:08d}{UUID[8:]}") for number in range(10)))
    most = 0

    def enough() -> bool:
        nonlocal most
        most = max(most, sum(thread.name == "vhostmd-program" for thread in threading.enumerate()))
        return counted("stuck", "refused") >= before + 3

    async with running(keep(store, operator.settings(), operator.printed)):
        await until(enough)
        times = int(operator.told(1)["host"])
        await until(lambda: int(operator.told(1)["host"]) > times)
    assert most <= programs.MOST_ASIDE + programs.AT_ONCE


async def test_a_stop_ends_what_runs_with_all_its_children(operator: Operator) -> None:
    os.mkfifo(operator.folder / "open")
    operator.program("runs", "trap '' TERM; (trap '' TERM; cat $here/open) & wait")
    async with running(keep(store_of(), operator.settings(), operator.printed)):
        writing = await read_by_somebody(operator.folder / "open")
    await until(lambda: all(thread.name != "vhostmd-program" for thread in threading.enumerate()))
    await until(lambda: not _is_read(writing))
    os.close(writing)


def _is_read(writing: int) -> bool:
    try:
        os.write(writing, b"x")
    except BrokenPipeError:
        return False
    return True


async def test_one_that_cannot_be_killed_is_given_up_and_left_alone(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that the kernel does not let go of: a fake, for no test can make one."""
    may_end, runs = threading.Event(), []

    def unkillable(_program: Program, _stop: Stop) -> Outcome:
        runs.append(1)
        assert may_end.wait(60)
        return Outcome("timed_out", "at last")

    monkeypatch.setattr(execution, "run", unkillable)
    monkeypatch.setattr(programs, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(programs, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(programs, "STOP_SECONDS", 0.01)
    operator.program("dead", "true", timeout_seconds=0.1)
    stuck, skipped = counted("dead", "stuck"), counted("dead", "skipped")
    async with running(keep(store_of(), operator.settings(), operator.printed)):
        await until(lambda: counted("dead", "stuck") > stuck and counted("dead", "skipped") >= skipped + 2)
    assert len(runs) == 1
    assert "it was killed and did not end" in caplog.text
    may_end.set()
    await until(lambda: all(thread.name != "vhostmd-program" for thread in threading.enumerate()))


async def test_without_programs_there_is_nothing_to_do_but_to_wait(operator: Operator) -> None:
    settings = VhostmdSettings(metric=(VhostmdMetric(name="a", metric="libvirt_up"),))
    async with running(keep(store_of(), settings, operator.printed)) as (keeping,):
        for _ in range(10):
            await asyncio.sleep(0)
        assert not keeping.done()


def row(**others: Any) -> VhostmdSettings:  # noqa: ANN401
    other = VhostmdMetric(name="a", metric="libvirt_up")
    return VhostmdSettings(metric=(other, VhostmdMetric(**{"name": "b", "exec": ("true",), **others})))


def test_a_user_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"^vhostmd\.metric\[1\]\.user: there is no user 'no such user' on this host"):
        check(row(user="no such user"))


def test_who_is_not_root_cannot_run_programs_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    other = next(user for user in pwd.getpwall() if user.pw_uid not in {0, 12345}).pw_name
    monkeypatch.setattr("hostd.vhostmd.programs.os.geteuid", lambda: 12345)
    with pytest.raises(ConfigError, match=r"metric\[1\]\.user: only root may run a program as '.*'; run hostd as root"):
        check(row(user=other))


def test_hostds_own_user_and_no_user_are_nobody_else() -> None:
    check(row(user=pwd.getpwuid(os.geteuid()).pw_name))
    check(row())


def test_a_nul_cannot_be_an_argument() -> None:
    with pytest.raises(ConfigError, match=r"metric\[1\]\.exec"):
        check(row(exec=("true", "a\0b")))
