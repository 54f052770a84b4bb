"""Settings: defaults, the file, the command line over it, and every mistake named by file, key and reason."""

import itertools
import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from hostd import config
from hostd.config import ConfigError, address_of, load
from hostd.labels import PRESETS, Rule, problem_of
from hostd.settings import SHAREABLE, ConnectionSettings, DeviceSettings, Settings

SAMPLE = Path(__file__).parents[2] / "packaging" / "hostd.toml"

MISTAKES = [  # what is in the file, and what is said of it after the file's name
    ("[nope]", "nope: there is no such setting"),
    ("[http]\nport = 1", "http.port: there is no such setting"),
    ("listen = 'x'", "listen: there is no such setting"),
    ("http = 1", "http: Expected `object`, got `int`"),
    ("[http]\nlisten = 9177", "http.listen: Expected `str`, got `int`"),
    ("[[connection]]\nuri = ''", "connection[0].uri: Expected `str` of length >= 1"),
    ("[[connection]]\ndeadline_seconds = 0", "connection[0].deadline_seconds: Expected `float` >= 0.1"),
    ("[[connection]]\ndomains_at_once = 17", "connection[0].domains_at_once: Expected `int` <= 16"),
    ("[[connection]]\nname = 'a b'", "connection[0].name: Expected `str` matching regex"),
    ("[connection]\nuri = 'xen:///'", "connection: Expected `array`, got `object`; write [[connection]]"),
    ("connection = []", "connection: there has to be one"),
    ("[[connection]]\nname = 'a'\n[[connection]]", "connection[1].name: each of several connections has to have one"),
    ("[[connection]]\nname = 'a'\n[[connection]]\nname = 'a'", "connection[1].name: 'a' is there twice"),
    ("[[connection]]\ninclude = 'web-*'", "connection[0].include: Expected `array`, got `str`"),
    ("[[connection]]\nexclude = ['']", "connection[0].exclude[0]: Expected `str` of length >= 1"),
    ("[[connection]]\nexclude = ['a', 'web-[12']", "connection[0].exclude[1]: 'web-[12' has a [ without its ]"),
    ("[disks]\nexclude = 'hd*'", "disks.exclude: Expected `array`, got `str`"),
    ("[disks]\ninclude = ['']", "disks.include[0]: Expected `str` of length >= 1"),
    ("[disks]\ninclude = ['vd[']", "disks.include[0]: 'vd[' has a [ without its ]; write [[] for the sign itself"),
    ("[interfaces]\nexclude = ['[]']", "interfaces.exclude[0]: '[]' has a [ without its ]"),
    ("[interfaces]\nonly = []", "interfaces.only: there is no such setting"),
    ("[[metadata]]\npreset = 'vmware'", "metadata[0].preset: Invalid enum value 'vmware'"),
    ("[[metadata]]\npreset = 'nova'\nlabel = 'a'", "metadata[0].preset: it stands for several labels"),
    ("[[metadata]]", "metadata[0]: '' is not a label"),
    ("[[metadata]]\nlabel = 'Team'\npath = 'a'", "metadata[0]: 'Team' is not a label"),
    ("[[metadata]]\nlabel = '__a'\npath = 'a'", "metadata[0]: '__a' is not a label"),
    ("[[metadata]]\nlabel = 'a\u0301'\npath = 'a'", "metadata[0]: 'a\u0301' is not a label"),
    (f"[[metadata]]\nlabel = '{'a' * 65}'\npath = 'a'", "metadata[0]: 'aaaa"),
    ("[[metadata]]\nlabel = 'uuid'\npath = 'a'", "metadata[0]: the label 'uuid' is taken"),
    ("[[metadata]]\nlabel = 'a'", "metadata[0]: '' leads nowhere; write {namespace}tag"),
    ("[[metadata]]\nlabel = 'a'\npath = '/@b'", "metadata[0]: '/@b' leads nowhere"),
    ("[[metadata]]\nlabel = 'a'\npath = 'b/@'", "metadata[0]: 'b/@' leads nowhere"),
    ("[[metadata]]\nlabel = 'a'\npath = '/b'", "metadata[0]: '/b' is not a path: "),
    ("[[metadata]]\nlabel = 'a'\npath = 'nova:b'", "metadata[0]: 'nova:b' is not a path: "),
    ("[[metadata]]\nlabel = 'a'\npath = 'b['", "metadata[0]: 'b[' is not a path: "),
    (
        "".join(f"[[metadata]]\nlabel = 'l{number}'\npath = 'a'\n" for number in range(33)),
        "metadata: 33 labels are more than 32",
    ),
    ("[exposition]\npromote = ['team']", "exposition.promote: 'team' is not a label of any [[metadata]]"),
    ("[exposition]\ncompat = ['kumina']", "exposition.compat[0]: Invalid enum value 'kumina'"),
    ("[vhostmd]\nchannel = 'io.virtwire.agent.0'", "vhostmd.channel: 'io.virtwire.agent.0' is that of guests.channel"),
    ("[vhostmd]\ndisk_path = 'a'", "vhostmd.disk_path: 'a' has to begin with a /"),
    ("[vhostmd]\ndisk_path = '/a'\ndisk_folder = '/b'", "vhostmd.disk_folder: it takes the place of disk_path"),
    (
        "[vhostmd]\ndisk_path = '/a'\nset = 'kubevirt'",
        "vhostmd.disk_path: KubeVirt's metrics do not say whose they are",
    ),
    ("[vhostmd]\ndisk_size_bytes = 100_000", "vhostmd.disk_size_bytes: Expected `int` that's a multiple of 65536"),
    ("[vhostmd]\nset = 'xen'", "vhostmd.set: Invalid enum value 'xen'"),
    ("[[vhostmd.metric]]", "vhostmd.metric[0]: Object missing required field `name`"),
    ("[[vhostmd.metric]]\nname = 'a'", "vhostmd.metric[0]: it needs either `metric` or `exec`"),
    ("[[vhostmd.metric]]\nname = 'a'\nmetric = 'a'\nexec = ['a']", "vhostmd.metric[0]: it needs either"),
    ("[[vhostmd.metric]]\nname = 'a'\nexec = ['']", "vhostmd.metric[0]: exec[0]: there has to be a program"),
    ("[[vhostmd.metric]]\nname = 'a'\nexec = ['a']\nlabels = {b = 'c'}", "vhostmd.metric[0]: labels: they are of a"),
    ("[[vhostmd.metric]]\nname = 'a'\nmetric = 'a'\ntype = 'xml'", "vhostmd.metric[0]: type: 'xml' is what a program"),
    ("[[vhostmd.metric]]\nname = 'a'\nexec = ['a']\ntype = 'group'", "vhostmd.metric[0]: variables: a group has to"),
    (
        "[[vhostmd.metric]]\nname = 'a'\nexec = ['a']\nvariables = [{name = 'b'}]",
        "vhostmd.metric[0]: variables: they are of a group",
    ),
    ("[history]\nmax_age_seconds = 59", "history.max_age_seconds: Expected `float` >= 60"),
    ("[history]\nmax_bytes = 1000", "history.max_bytes: Expected `int` >= 1048576"),
    ("[sampling]\ndetails_interval_seconds = 0", "sampling.details_interval_seconds: Expected `float` >= 0.1"),
    ("[sampling]\ninterval_seconds = '5'", "sampling.interval_seconds: Expected `float`, got `str`"),
    ("[sampling]\ninterval_seconds = true", "sampling.interval_seconds: Expected `float`, got `bool`"),
    ("[sampling]\ninterval_seconds = nan", "sampling.interval_seconds: Expected `float` >= 0.1"),
    ("[sampling]\ninterval_seconds = inf", "sampling.interval_seconds: Expected `float` <= 3600.0"),
    ("[sampling]\ninterval_seconds = 3600.1", "sampling.interval_seconds: Expected `float` <= 3600.0"),
    ("[sampling]\nrare_interval_seconds = 0", "sampling.rare_interval_seconds: Expected `float` >= 0.1"),
    ("[sampling]\ngroups = ['block', 'disk']", "sampling.groups: 'disk' is not one of state, cpu_total, balloon, "),
    ("[sampling]\nkvm_stats = ['a.b']", "sampling.kvm_stats[0]: Expected `str` matching regex"),
    ("[guests]\nreport_interval_seconds = -1", "guests.report_interval_seconds: Expected `float` >= 0.1"),
    ("[guests]\nchannel = ''", "guests.channel: Expected `str` of length >= 1"),
    (f"[guests]\nchannel = '{'x' * 65}'", "guests.channel: Expected `str` of length <= 64"),
    ("[guests]\nshare = 'host_cpus'", "guests.share: Expected `array`, got `str`"),
    ("[guests]\nshare = [1]", "guests.share[0]: Expected `str`, got `int`"),
    ("[guests]\nshare = ['host_cpus', 'secrets']", "guests.share: 'secrets' is not one of domain_cpu_time_seconds"),
    ("[guests]\nshare = ['host_name']", "guests.share: 'host_name' is not one of "),
    ("[guests]\nshare_host_name = 1", "guests.share_host_name: Expected `bool`, got `int`"),
    ("[http]\nlisten = 'here'", "http.listen: 'here' is not an IP address and a port"),
    ("[http", "not TOML: "),
    ("a = 1\na = 2", "not TOML: "),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hostd.toml"


def test_without_a_file_everything_has_its_default() -> None:
    assert load(None) == Settings()


def test_an_empty_file_changes_nothing(file: Path) -> None:
    file.write_text("")
    assert load(file) == Settings()


def test_a_file_changes_what_it_names(file: Path) -> None:
    file.write_text("[sampling]\ninterval_seconds = 5\n[guests]\nshare = ['host_cpus']\n")
    settings = load(file)
    assert settings.sampling.interval_seconds == 5.0
    assert settings.guests.share == ("host_cpus",)
    assert settings.connection == Settings().connection


def test_brackets_in_a_pattern_are_a_set_of_signs_or_a_set_of_the_bracket_itself(file: Path) -> None:
    patterns = ("vd[a-c]", "[!v]*", "[[]0]", "[]]", "[!]]", "a]")
    file.write_text(f"[disks]\nexclude = {list(patterns)}\n[interfaces]\ninclude = ['vnet*']\n")
    settings = load(file)
    assert settings.disks == DeviceSettings(exclude=patterns)
    assert settings.interfaces == DeviceSettings(include=("vnet*",))


def test_several_connections_each_have_their_own_settings(file: Path) -> None:
    file.write_text("[[connection]]\nname = 'here'\n[[connection]]\nname = 'there'\nuri = 'xen+ssh://there/'\n")
    here, there = load(file).connection
    assert here == ConnectionSettings(name="here")
    assert there == ConnectionSettings(name="there", uri="xen+ssh://there/")


def test_presets_and_rules_of_ones_own_become_one_list_of_rules(file: Path) -> None:
    own = "[[metadata]]\nlabel = 'team'\npath = '{urn:x}host/@team'\n"
    file.write_text(f"[[metadata]]\npreset = 'ovirt'\n{own}[exposition]\npromote = ['team', 'cluster_version']\n")
    rules = config.rules_of(load(file))
    assert rules.metadata == (*PRESETS["ovirt"], Rule("team", "{urn:x}host/@team"))
    assert rules.promote == ("team", "cluster_version")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_chosen_and_its_rules_followed(preset: str) -> None:
    rules = config.rules_of(msgspec.convert({"metadata": [{"preset": preset}]}, Settings))
    assert rules.metadata == PRESETS[preset]
    assert [problem_of(rule) for rule in rules.metadata] == [None] * len(rules.metadata)


def test_the_command_line_goes_over_the_file(file: Path) -> None:
    connections = "[[connection]]\nname = 'a'\nuri = 'xen:///'\ndeadline_seconds = 9\n[[connection]]\nname = 'b'\n"
    file.write_text(f"{connections}[http]\nlisten = '127.0.0.1:1'\n")
    settings = load(file, uri="test:///default", listen="[::1]:0")
    assert settings.connection == (ConnectionSettings(uri="test:///default", deadline_seconds=9),)
    assert settings.http.listen == "[::1]:0"


@pytest.mark.parametrize(("content", "said"), MISTAKES, ids=[said.split(":")[0] for _, said in MISTAKES])
def test_a_mistake_is_named_by_file_key_and_reason_in_one_line(file: Path, content: str, said: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(file))}: {re.escape(said)}") as caught:
        load(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(file))}: No such file or directory$"):
        load(file)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r": Is a directory$"):
        load(tmp_path)


def test_a_file_that_is_not_text_is_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"hostd\.toml: not TOML: "):
        load(file)


def test_a_wrong_address_on_the_command_line_is_the_command_lines() -> None:
    with pytest.raises(ConfigError, match=r"^--listen: 'x' is not"):
        load(None, listen="x")


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:9177", "127.0.0.1", 9177),
        ("0.0.0.0:0", "0.0.0.0", 0),  # noqa: S104 - an example
        ("[::1]:9177", "::1", 9177),
        ("[::]:65535", "::", 65535),
        ("[fe80::1%lo]:80", "fe80::1%lo", 80),
    ],
)
def test_an_address_is_an_ip_address_and_a_port(listen: str, host: str, port: int) -> None:
    assert address_of(listen, where="here") == (host, port)


@pytest.mark.parametrize(
    "listen",
    [
        "",
        ":",
        ":80",
        "localhost:80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1: 80",
        "127.0.0.1:80\n",
        "127.0.0.1:٣",
        "127.0.0.1:" + "9" * 5000,
        "::1",
        "::1:9177",
        "[::1]",
        "[::1]:",
        "[::1:80",
        "::1]:80",
        "[127.0.0.1]:80",
        "127.0.0.1]:80",
        "[[::1]]:80",
        "[]:80",
        "unix:/run/x",
        "1:2:3",
    ],
)
def test_anything_else_is_not(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"^here: "):
        address_of(listen, where="here")


def test_the_sample_file_has_every_setting_at_its_default() -> None:
    assert tomllib.loads(SAMPLE.read_text()) == json.loads(msgspec.json.encode(Settings()))
    assert load(SAMPLE) == Settings()


def test_the_sample_file_says_something_of_every_setting() -> None:
    lines = SAMPLE.read_text().splitlines()
    silent = [line for above, line in itertools.pairwise(lines) if " = " in line and above[:1] != "#"]
    assert silent == []


def test_everything_that_guests_can_be_told_is_shared_by_default_but_the_hosts_name() -> None:
    assert set(Settings().guests.share) == SHAREABLE - {"host_name"}
    assert not Settings().guests.share_host_name
