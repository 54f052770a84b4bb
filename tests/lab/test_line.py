"""The whole line, for real: libvirt and a guest to Prometheus, and the host to a script in the guest."""

from xml.etree import ElementTree as ET

import pytest

from tests.lab.conftest import Boot, StartHostd, StartPrometheus
from tests.lab.daemon import Hostd
from tests.lab.guest import Guest, GuestSpec
from tests.lab.image import NEWEST_SUITE, OLDEST_SUITE
from tests.lab.prometheus import promtool

REPORTED = "guest_memory_total_bytes"


def test_prometheus_holds_what_libvirt_and_the_guest_say_of_a_domain(
    guest: Guest, start_hostd: StartHostd, start_prometheus: StartPrometheus
) -> None:
    prometheus = start_prometheus(start_hostd())
    identity = f'{{domain="{guest.name}",uuid="{guest.uuid}"}}'

    cpu_seconds = prometheus.wait_for_value(f"libvirt_domain_info_cpu_time_seconds_total{identity}")
    memory_bytes = prometheus.wait_for_value(f"guest_memory_total_bytes{identity}")

    assert cpu_seconds > 0
    assert memory_bytes == pytest.approx(_memory_in_xml(guest), rel=0.15)
    assert prometheus.wait_for_value(f'libvirt_domain_state{{domain="{guest.name}",state="running"}}') == 1
    assert prometheus.wait_for_value("libvirt_up") == 1


def test_a_script_in_the_guest_reads_the_cpus_that_libvirt_says_the_host_has(
    guest: Guest, start_hostd: StartHostd
) -> None:
    hostd = start_hostd()
    hostd.wait_for_sample(REPORTED, {"domain": guest.name})
    _wait_until_told(guest)

    printed = guest.run(["guestagent", "get", "host_cpus"]).stdout

    assert printed == f"{guest.libvirtd.connection.getInfo()[2]}\n"


def test_everything_the_host_shares_is_there_under_its_name(guest: Guest, start_hostd: StartHostd) -> None:
    hostd = start_hostd()
    hostd.wait_for_sample("libvirt_domain_info_cpu_time_seconds_total", {"domain": guest.name})
    _wait_until_told(guest)

    lines = guest.run(["guestagent", "get"]).stdout.splitlines()
    values = dict(line.split(" ", 1) for line in lines)

    shared = {"host_cpus", "host_memory_total_bytes", "host_memory_free_bytes", "host_load1", "host_time_seconds"}
    assert shared | {"domain_memory_limit_bytes"} <= set(values)
    assert int(values["domain_memory_limit_bytes"]) == _memory_in_xml(guest)
    assert "host_name" not in values


def test_the_hosts_name_is_told_only_where_the_operator_allows_it(guest: Guest, start_hostd: StartHostd) -> None:
    shy = start_hostd()
    shy.wait_for_sample(REPORTED, {"domain": guest.name})
    _wait_until_told(guest)
    refused = guest.run(["guestagent", "get", "host_name"], check=False)
    assert refused.status == 1
    shy.stop()

    open_handed = start_hostd(guests="share_host_name = true")
    open_handed.wait_for_sample(REPORTED, {"domain": guest.name})
    told = _wait_until_told(guest, name="host_name")
    assert told == guest.libvirtd.connection.getHostname()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["host_cpus"], 0),
        (["no_such_name"], 1),
        (["--socket", "/run/nobody.sock", "host_cpus"], 2),
    ],
)
def test_the_exit_code_tells_a_script_what_came_of_it(
    guest: Guest, start_hostd: StartHostd, arguments: list[str], status: int
) -> None:
    hostd = start_hostd()
    hostd.wait_for_sample(REPORTED, {"domain": guest.name})
    _wait_until_told(guest)

    done = guest.run(["guestagent", "get", *arguments], check=False)

    assert done.status == status
    assert bool(done.stdout) == (status == 0)


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text;version=1.0.0"])
def test_prometheus_scrapes_the_page_in_either_format(
    guest: Guest, start_hostd: StartHostd, start_prometheus: StartPrometheus, accept: str
) -> None:
    hostd = start_hostd()
    hostd.wait_for_sample(REPORTED, {"domain": guest.name})
    page = hostd.page(accept=accept)

    assert f'{REPORTED}{{domain="{guest.name}"' in page
    assert page.endswith("# EOF\n") == ("openmetrics" in accept)
    prometheus = start_prometheus(hostd)
    assert prometheus.wait_for_value("up") == 1


def test_promtool_finds_nothing_to_complain_of_on_a_page_with_guests(guest: Guest, start_hostd: StartHostd) -> None:
    hostd = start_hostd()
    hostd.wait_for_sample(REPORTED, {"domain": guest.name})

    assert promtool("check", "metrics", stdin=hostd.page()) == ""


@pytest.mark.parametrize(("suite", "python"), [(OLDEST_SUITE, "3.9"), (NEWEST_SUITE, "3.13")])
def test_the_agent_runs_on_the_oldest_and_the_newest_python_with_nothing_else_in_the_guest(
    boot: Boot, start_hostd: StartHostd, suite: str, python: str
) -> None:
    guest = boot(GuestSpec(name=suite, suite=suite))
    hostd = start_hostd()

    assert hostd.wait_for_sample(REPORTED, {"domain": suite}) > 0
    assert guest.run(["python3", "--version"]).stdout.startswith(f"Python {python}.")
    assert guest.run(["python3", "-c", "import msgpack"], check=False).status != 0
    assert guest.run(["guestagent", "emit", "backup.done", "size=12"]).stdout == "1\n"
    assert guest.run(["guestagent", "emit", "Backup"], check=False).status == 1
    hostd.wait_for_sample("guest_events_total", {"domain": suite, "severity": "info"}, lambda count: count == 1)
    assert "resumed: this guest had been paused" in _noticed_after_a_pause(guest, hostd)


def test_a_guest_with_a_disk_tells_how_full_it_is(boot: Boot, start_hostd: StartHostd) -> None:
    guest = boot(GuestSpec(name="disk", disk_mib=64))
    guest.shell("modprobe ext4; mke2fs -q /dev/vda && mkdir -p /data && mount /dev/vda /data")
    hostd = start_hostd()

    size = hostd.wait_for_sample("guest_filesystem_size_bytes", {"domain": "disk", "mountpoint": "/data"})

    assert 0.8 * 64 * 2**20 < size <= 64 * 2**20
    capacity = hostd.wait_for_sample("libvirt_domain_block_stats_capacity_bytes", {"domain": "disk"})
    assert capacity == 64 * 2**20
    assert hostd.value("libvirt_domain_block_stats_write_bytes_total", domain="disk", target_device="vda") is not None


def _wait_until_told(guest: Guest, *, name: str = "host_cpus") -> str:
    """Wait until the agent has the host's value: it comes with the first metrics, just after the first report."""
    script = f"until guestagent get {name} 2>/dev/null | grep -q .; do sleep 0.2; done; guestagent get {name}"
    return guest.shell(script, timeout=60).stdout.strip()


def _noticed_after_a_pause(guest: Guest, hostd: Hostd) -> str:
    """What the guest's programs are told after a pause that is long enough to be told of."""
    guest.domain.suspend()
    hostd.wait_for_sample("guest_report_age_seconds", {"domain": guest.name}, lambda age: age > 3)
    guest.domain.resume()
    return guest.shell("until guestagent notices | grep .; do sleep 0.2; done").stdout


def _memory_in_xml(guest: Guest) -> int:
    memory = ET.fromstring(guest.domain.XMLDesc()).find("memory")
    assert memory is not None
    assert memory.get("unit") == "KiB"
    return int(memory.text or "") * 1024
