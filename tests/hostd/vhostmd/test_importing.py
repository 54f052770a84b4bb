"""What a vhostmd.conf becomes: every case in which vhostmd itself refuses one, and which metrics are known."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd import config
from hostd.metrics import DOMAIN_SCOPES, WORLD_SCOPES
from hostd.settings import VhostmdMetric, VhostmdSettings
from hostd.vhostmd.importing import Imported, NotVhostmdError, Started, imported
from hostd.vhostmd.importing.known import SETS

CONFIGS = Path(__file__).parent / "configs"
CONF = """\
<?xml version="1.0"?>
<!DOCTYPE vhostmd SYSTEM "vhostmd.dtd">
<vhostmd>
<globals>
<disk>
<name>any</name>
<path>/dev/shm/vhostmd0</path>
<size unit="k">256</size>
</disk>
<update_period>5</update_period>
<path>/bin:/usr/bin</path>
<transport>vbd</transport>
<transport>virtio</transport>
</globals>
<metrics>
<metric type="string" context="host">
<name>Own</name>
<action>/opt/own</action>
</metric>
</metrics>
</vhostmd>
"""

VIRTIO = "<virtio>\n<max_channels>9</max_channels>\n<expiration_time>15</expiration_time>\n</virtio>\n"
HEADS_VIRTIO = VIRTIO.replace("<max", "<channel_path>/run</channel_path>\n<max")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Where the file is said to be: a folder that has vhostmd's DTD."""
    (tmp_path / "vhostmd.dtd").touch()
    return tmp_path / "vhostmd.conf"


def taken(conf: Path, text: str, started: Started | None = None) -> tuple[Imported, VhostmdSettings]:
    """What `text` is imported as, and what hostd then makes of it."""
    result = imported(conf, text.encode(), started or Started())
    toml = conf.with_suffix(".toml")
    toml.write_text(result.toml, encoding="utf-8")
    return result, config.load(toml).vhostmd


def changed(old: str, new: str) -> str:
    assert CONF.count(old) == 1, old
    return CONF.replace(old, new)


OWN = VhostmdMetric(name="Own", exec=("/opt/own",))
DEFAULT: dict[str, Any] = {
    "disk_path": "/dev/shm/vhostmd0",
    "set": "none",
    "program_path": "/bin:/usr/bin",
    "metric": (OWN,),
}


def test_a_file_that_all_is_well_with(conf: Path) -> None:
    result, settings = taken(conf, CONF)
    assert settings == VhostmdSettings(**DEFAULT)
    assert [(remark.line, remark.text) for remark in result.loud] == [
        (0, "none of its metrics is one that hostd knows: no set is told"),
        (16, "'Own': is not known to hostd and is carried over as a program"),
    ]


REFUSES = "vhostmd refuses to start: "
WARNS = "vhostmd warns and leaves it out: "
SILENT = "vhostmd says nothing of "

# What stands in place of what, the line and the beginning of what is said of it, and what is otherwise in the settings.
MATRIX: list[tuple[str, str, int, str, dict[str, Any]]] = [
    # the DTD
    ('<!DOCTYPE vhostmd SYSTEM "vhostmd.dtd">', "", 1, f"{REFUSES}no DOCTYPE names a DTD; none is needed here", {}),
    ('SYSTEM "vhostmd.dtd"', "", 2, f"{REFUSES}no DOCTYPE names a DTD", {}),
    ('"vhostmd.dtd"', '"other.dtd"', 2, f"{REFUSES}its DTD 'other.dtd' is not there; none is needed here", {}),
    ('"vhostmd.dtd"', '"/none/vhostmd.dtd"', 2, f"{REFUSES}its DTD '/none/vhostmd.dtd' is not there", {}),
    ('"vhostmd.dtd"', f'"{"a/" * 9000}vhostmd.dtd"', 2, f"{REFUSES}its DTD 'a/a/a/", {}),
    ('"vhostmd.dtd"', '"http://a/vhostmd.dtd"', 2, "the DTD 'http://a/vhostmd.dtd' is not fetched", {}),
    # elements and attributes
    ("<globals>\n", "<globals>\n<log/>\n", 5, f"{REFUSES}<globals> has no <log> in vhostmd's DTD; nothing is made", {}),
    ("</metrics>", "<more/></metrics>", 20, f"{REFUSES}<metrics> has no <more> in vhostmd's DTD", {}),
    ("any</name>", "any<b/></name>", 6, f"{REFUSES}<name> has no <b> in vhostmd's DTD", {}),
    ("<globals>", '<globals a="b">', 4, f"{REFUSES}<globals> has an attribute 'a' that its DTD does not have", {}),
    ("<disk>", "<disk>stray", 5, f"{REFUSES}<disk> has text of its own, 'stray'; nothing is made of it", {}),
    ("<name>any</name>\n", "", 5, f"{REFUSES}<disk> has no <name>; it is taken for empty", {}),
    ("<path>/bin:/usr/bin</path>\n", "", 4, f"{REFUSES}<globals> has no <path>", {"program_path": None}),
    ("</update_period>", "</update_period><update_period>9</update_period>", 10, f"{REFUSES}<globals> has another", {}),
    (
        "<name>any</name>\n<path>/dev/shm/vhostmd0</path>",
        "<path>/dev/shm/vhostmd0</path>\n<name>any</name>",
        7,
        f"{REFUSES}<name> has to be before <path>; here it need not be",
        {},
    ),
    (
        "<name>Own</name>\n<action>/opt/own</action>",
        "<action>/opt/own</action>\n<name>Own</name>",
        18,
        f"{REFUSES}<name> has to be before <action>",
        {},
    ),
    # the disk
    ("<path>/dev/shm/vhostmd0</path>\n", "", 5, f"{REFUSES}<disk> has no <path>; it is taken for empty", {}),
    ("/dev/shm/vhostmd0", "", 7, "an empty path is /dev/shm/vhostmd0 to vhostmd", {}),
    ("/dev/shm/vhostmd0", " /a ", 7, "vhostmd takes the blanks around ' /a ' for part of", {"disk_path": "/a"}),
    ("/dev/shm/vhostmd0", "a/b", 7, "'a/b' begins in / for vhostmd, as its daemon does", {"disk_path": "/a/b"}),
    ('<size unit="k">', "<size>", 8, f"{REFUSES}<size> has no attribute unit", {"disk_size_bytes": 65536}),
    ('unit="k">256', 'unit="">65536', 0, "", {"disk_size_bytes": 65536}),
    ('unit="k">256', 'unit="MiB"> 1', 0, "", {"disk_size_bytes": 1048576}),
    ('unit="k"', 'unit="G"', 8, f"{REFUSES}the unit 'G' is neither k nor M; 262144 bytes are taken", {}),
    ("256</size>", "much</size>", 8, f"{REFUSES}the size 'much' is no number; 262144 bytes are taken", {}),
    ("256</size>", "</size>", 8, f"{REFUSES}the size '' is no number", {}),
    ("256</size>", "256 or so</size>", 8, f"{SILENT}'or so' after the size, nor counts it", {}),
    ("256</size>", "100</size>", 8, "102400 bytes are made a multiple of 65536", {"disk_size_bytes": 131072}),
    ("256</size>", "-1</size>", 8, f"{REFUSES}-1024 bytes are not between 1024 and", {"disk_size_bytes": 65536}),
    ("256</size>", "0</size>", 8, f"{REFUSES}0 bytes are not between 1024 and", {"disk_size_bytes": 65536}),
    ("256</size>", "262145</size>", 8, f"{REFUSES}268436480 bytes are not between", {"disk_size_bytes": 256 << 20}),
    ("256</size>", f"{'9' * 5000}</size>", 8, f"{REFUSES}", {"disk_size_bytes": 256 << 20}),
    # how often
    ("<update_period>5</update_period>\n", "", 4, f"{REFUSES}<globals> has no <update_period>", {}),
    (">5</update", ">0</update", 10, f"{REFUSES}the period '0' is no number from 1; 5.0 is taken", {}),
    (">5</update", ">often</update", 10, f"{REFUSES}the period 'often' is no number from 1; 5.0 is taken", {}),
    (">5</update", ">-3</update", 10, f"{REFUSES}the period '-3' is no number from 1", {}),
    (">5</update", ">1.9</update", 10, f"{SILENT}'.9' after the period, nor counts it", {"period_seconds": 1.0}),
    (">5</update", ">\n 7</update", 0, "", {"period_seconds": 7.0}),
    (">5</update", ">9999</update", 10, "a period of 9999 s is longer than 3600", {"period_seconds": 3600.0}),
    # the ways
    ("<transport>vbd</transport>\n", "", 7, "vhostmd makes '/dev/shm/vhostmd0' and leaves it empty", {"disk_path": ""}),
    (
        "<transport>vbd</transport>\n<transport>virtio</transport>\n",
        "",
        4,
        "without a transport that it knows vhostmd takes vbd, and so is it here",
        {"virtio": False},
    ),
    ("<transport>virtio<", "<transport> virtio<", 13, f"{SILENT}the transport ' virtio', which", {"virtio": False}),
    ("<transport>virtio<", "<transport>ivshmem<", 13, f"{SILENT}the transport 'ivshmem', which", {"virtio": False}),
    ("<transport>vbd<", "<transport>VBDxyz<", 12, "the transport 'VBDxyz' is vbd to vhostmd, which looks at", {}),
    ("<transport>vbd<", "<transport>Vbd\n<", 12, "the transport 'Vbd\\n' is vbd to vhostmd", {}),
    (
        "<transport>virtio<",
        "<transport>xenstore<",
        13,
        "vhostmd refuses to start with the transport xenstore unless built for it; here the program xenstore-write",
        {"virtio": False, "xenstore": True},
    ),
    ("<update", f"{HEADS_VIRTIO}<update", 12, "<max_channels> '9' is not needed: a channel costs nobody else", {}),
    ("<update", f"{HEADS_VIRTIO}<update", 13, "<expiration_time> '15' is not needed: a channel is served while", {}),
    ("<update", f"{HEADS_VIRTIO}<update", 11, "<channel_path> '/run' is not needed: where a domain's socket", {}),
    ("<update", f"{HEADS_VIRTIO * 2}<update", 15, f"{SILENT}another <virtio>; the first one counts", {}),
    ("/bin:/usr/bin", "", 11, "an empty path leaves vhostmd with the PATH it", {"program_path": None}),
    ("/bin:/usr/bin", "\n/bin ", 11, "the blanks around the path are left out", {"program_path": "/bin"}),
    # metrics
    ('type="string" ', "", 16, f"{REFUSES}<metric> has no attribute type", {}),
    (
        'type="string"',
        'type=" int32 "',
        16,
        f"'Own': {WARNS}the type ' int32 ' has blanks; it is int32",
        {"type": "int32"},
    ),
    ('type="string"', 'type="INT32"', 16, f"'Own': {REFUSES}the type 'INT32' is none of", {"type": "int32"}),
    ('type="string"', 'type="float"', 16, f"'Own': {REFUSES}the type 'float' is none of", {}),
    (' context="host"', "", 16, f"{REFUSES}<metric> has no attribute context", {}),
    ('context="host"', 'context="VM"', 16, f"'Own': {REFUSES}the context 'VM' is none of", {"context": "vm"}),
    ('context="host"', 'context="host" cnt="4"', 16, "'Own': cnt means nothing to vhostmd", {}),
    ('context="host"', 'context="host" unit="GB"', 0, "", {"unit": "GB"}),
    ('context="host"', f'context="host" unit="{"u" * 33}"', 16, "'Own': the unit 'uuuu", {}),
    ('context="host"', 'context="host" id="1"', 16, f"{REFUSES}<metric> has an attribute 'id'", {}),
    ("<name>Own</name>", "<name></name>", 16, f"'': {WARNS}its name is empty; so is it here", {"metric": ()}),
    ("<name>Own</name>", f"<name>{'n' * 257}</name>", 16, "'nnn", {"metric": ()}),
    ("<name>Own</name>", "<name> Own </name>", 0, "", {"name": " Own "}),
    ("<name>Own</name>", "<name>O<![CDATA[&]]><!-- n -->&amp;</name>", 0, "", {"name": "O&&"}),
    ("<action>/opt/own</action>", "<action/>", 16, f"'Own': {WARNS}its action is empty", {"metric": ()}),
    ("<action>/opt/own</action>", "", 16, f"{REFUSES}<metric> has no <action>", {"metric": ()}),
    ("/opt/own", "&ours;", 18, f"{REFUSES}unless its DTD declares &ours;, which is not read here", {"metric": ()}),
    ("</action>", "</action><variable/>", 16, f"'Own': {SILENT}variables of what is no group", {}),
    ('type="string"', 'type="group"', 16, f"'Own': {SILENT}a group without variables", {"metric": ()}),
]


@pytest.mark.parametrize(("old", "new", "line", "said", "then"), MATRIX)
def test_what_vhostmd_refuses_is_taken_as_it_is_meant_and_said(
    old: str, new: str, line: int, said: str, then: dict[str, Any], *, conf: Path
) -> None:
    result, settings = taken(conf, changed(old, new))
    if said:
        assert any(each.line == line and each.text.startswith(said) for each in result.remarks), result.remarks
        assert f"# Line {line}: {said}"[:70].split("'")[0] in result.toml  # which may be broken into lines further on
    wanted = {**DEFAULT, **{key: value for key, value in then.items() if key in VhostmdSettings.__struct_fields__}}
    of_metric = {key: value for key, value in then.items() if key not in VhostmdSettings.__struct_fields__}
    if of_metric:
        wanted["metric"] = (VhostmdMetric(**{"name": "Own", "exec": ("/opt/own",), **of_metric}),)
    assert settings == VhostmdSettings(**{key: value for key, value in wanted.items() if value is not None})


GROUP = """<metric type="group" context="vm" unit="KiB"><name>Both</name><action>/opt/both</action>
<variable name="A" type="uint64"/>
<variable name="B" type="real64" unit="s">text that means nothing</variable>
<variable type="float"/></metric>
</metrics>"""


def test_a_group_keeps_its_variables_in_their_places_with_their_units(conf: Path) -> None:
    result, settings = taken(conf, changed("</metrics>", GROUP))
    both = settings.metric[1]
    assert (both.name, both.type, both.context, both.unit, both.exec) == ("Both", "group", "vm", "", ("/opt/both",))
    assert [(each.name, each.type, each.unit) for each in both.variables] == [
        ("A", "uint64", "KiB"),
        ("B", "real64", "s"),
        ("variable-3", "string", "KiB"),
    ]
    said = [remark.text for remark in result.loud]
    assert f"{REFUSES}<variable> has an attribute 'unit' that its DTD does not have; it is taken" in said
    assert "'Both': variable 3 has no name of 1 to 256 characters; it keeps its place as variable-3" in said


def test_what_prints_metrics_in_xml_is_carried_over_as_such(conf: Path) -> None:
    _, settings = taken(conf, changed('type="string"', 'type="xml"'))
    assert settings.metric == (VhostmdMetric(name="Own", type="xml", exec=("/opt/own",)),)


def test_nothing_of_a_file_that_says_nothing_is_missed(conf: Path) -> None:
    result, settings = taken(conf, "<vhostmd/>")
    assert settings == VhostmdSettings(disk_path="/dev/shm/vhostmd0", virtio=False, set="none")
    for tag in ("globals", "metrics"):
        assert f"<vhostmd> has no <{tag}>; it is taken for empty" in result.toml


@pytest.mark.parametrize(
    ("virtio", "unit", "form"),
    [
        ("", "", "0.5 and before; 1.2; after 1.2, and SUSE's 1.2"),
        ("", ' unit="s"', "1.2; after 1.2, and SUSE's 1.2"),
        (VIRTIO, "", "1.0 and 1.1; 1.2"),
        (VIRTIO, ' unit="s"', "1.2"),
        (VIRTIO * 2, "", "1.2"),
        (HEADS_VIRTIO, "", "after 1.2, and SUSE's 1.2"),
        (VIRTIO + HEADS_VIRTIO, "", "of no release"),
    ],
)
def test_which_releases_read_it_is_said(virtio: str, unit: str, form: str, conf: Path) -> None:
    text = changed("<update", f"{virtio}<update").replace('context="host"', f'context="host"{unit}')
    result, _ = taken(conf, text)
    assert f"# its form is that of vhostmd {form}.\n" in result.toml
    aloud = [remark for remark in result.loud if "would refuse it" in remark.text]
    assert bool(aloud) == (form == "of no release")


def test_a_release_that_refuses_it_is_named_with_the_line_and_the_reason(conf: Path) -> None:
    said = [(each.line, each.text) for each in taken(conf, changed("<update", f"{VIRTIO}<update"))[0].remarks]
    assert (10, "vhostmd after 1.2, and SUSE's 1.2 would refuse it: <virtio> has no <channel_path>") in said
    said = [(each.line, each.text) for each in taken(conf, CONF)[0].remarks]
    assert (4, "vhostmd 1.0 and 1.1 would refuse it: <globals> has no <virtio>") in said


# What is known, and what only looks like it.


def metrics(*each: tuple[str, str, str, str]) -> str:
    """A file with these: name, type, context and action."""
    told = "".join(
        f'<metric type="{kind}" context="{context}">\n<name>{name}</name>\n'
        f"<action><![CDATA[{action}]]></action></metric>\n"
        for name, kind, context, action in each
    )
    return f"{CONF[: CONF.index('<metric ')]}{told}</metrics></vhostmd>"


def names(settings: VhostmdSettings) -> list[str]:
    return [metric.name for metric in settings.metric]


@pytest.mark.parametrize(
    ("file", "name_of_set", "ways", "seconds", "own"),
    [
        ("generation-0.5.conf", "sap", (False, "/dev/shm/vhostmd0"), 60.0, []),
        ("generation-1.1.conf", "vhostmd", (True, "/dev/shm/vhostmd0"), 5.0, []),
        ("generation-1.2.conf", "vhostmd", (True, "/dev/shm/vhostmd0"), 5.0, []),
        ("generation-head.conf", "vhostmd", (True, ""), 5.0, ["Tier", "Load", "Banner"]),
        ("custom-dtd.conf", "sap", (False, "/dev/shm/vhostmd0"), 5.0, []),
    ],
)
def test_each_generations_metrics_are_told_without_a_program(
    file: str, name_of_set: str, ways: tuple[bool, str], seconds: float, own: list[str], *, conf: Path
) -> None:
    result, settings = taken(conf, (CONFIGS / file).read_text(encoding="utf-8"))
    assert settings.set == name_of_set
    assert (settings.virtio, settings.disk_path) == ways
    assert settings.period_seconds == seconds
    assert settings.disk_size_bytes == 262144
    assert names(settings) == own
    added = [remark.text for remark in result.remarks if "tells in addition" in remark.text]
    assert bool(added) == (file == "custom-dtd.conf")


def test_what_a_subset_will_be_told_in_addition_is_said(conf: Path) -> None:
    result, settings = taken(
        conf, metrics(("Time", "uint64", "host", "date +%s"), ("HostName", "string", "host", "hostname"))
    )
    assert settings.set == "sap"
    (added,) = [remark.text for remark in result.loud if "tells in addition" in remark.text]
    assert "VirtProductInfo (host)" in added
    assert "HostName" not in added


@pytest.mark.parametrize(
    ("kind", "action", "why"),
    [
        ("uint64", "/usr/local/bin/clock", "its action does not look like what the name says"),
        ("uint64", "date +%s; /usr/local/bin/notify", "its action runs 'notify', which may do anything"),
        ("string", "date +%s", "its type is string, and the set's uint64"),
    ],
)
def test_one_that_has_only_the_name_of_a_known_one_is_carried_over(
    kind: str, action: str, why: str, conf: Path
) -> None:
    text = metrics(("Time", kind, "host", action), ("HostName", "string", "host", "hostname"))
    result, settings = taken(conf, text)
    assert names(settings) == ["Time"]
    assert any(
        remark.text == f"'Time' is a name of the set sap, but {why}; this one is for its place"
        for remark in result.loud
    )
    assert " Time (host)" not in next(remark.text for remark in result.loud if "tells in addition" in remark.text)


def test_of_a_mixture_the_better_fitting_set_is_told_and_the_rest_out_of_our_own_numbers_or_by_its_program(
    conf: Path,
) -> None:
    text = metrics(
        ("NumCPUs", "uint32", "host", "virsh nodeinfo | grep CPU"),
        ("UsedMem", "uint64", "host", "free -m | awk '{print $3}'"),
        ("FreeMem", "uint64", "host", "free -m | awk '{print $7}'"),
        ("ResourceProcessorLimit", "uint32", "vm", "virsh dominfo UUID | awk '/^CPU.s/ {print $2}'"),
        ("FreePhysicalMemory", "uint64", "host", "free -m | awk '{print $4}'"),
    )
    _, settings = taken(conf, text)
    assert settings.set == "vhostmd"
    limit, free = settings.metric
    assert (limit.metric, limit.context, limit.type) == ("libvirt_domain_vcpu_current", "vm", "uint32")
    assert (free.name, free.exec) == ("FreePhysicalMemory", ("/bin/sh", "-c", "free -m | awk '{print $4}'"))


def test_the_pages_that_two_sets_count_in_their_own_way_are_told_apart_by_what_is_counted(conf: Path) -> None:
    known = ("UsedMem", "uint64", "host", "free -m")
    swapped = ("PagedInMemory", "uint64", "host", "vmstat -s | grep 'pages swapped in'")
    paged = ("PagedInMemory", "uint64", "host", "vmstat -s | grep 'K paged in'")
    assert names(taken(conf, metrics(known, paged))[1]) == []
    assert names(taken(conf, metrics(known, known, swapped))[1]) == ["PagedInMemory"]


def test_families_that_stand_for_others_metrics_are_there() -> None:
    scopes: tuple[Any, ...] = (*WORLD_SCOPES, *DOMAIN_SCOPES)
    there = {metric.name for scope in scopes for metric in scope.metrics}
    assert {known.metric for rows in SETS.values() for known in rows if known.metric} <= there


# Programs.


@pytest.mark.parametrize(
    ("action", "program"),
    [
        ("/opt/own", ("/opt/own",)),
        ("\n  /opt/own  -a 'b c' \"d\"\n", ("/bin/sh", "-c", "\n  /opt/own  -a 'b c' \"d\"\n")),
        ("/opt/own -a 'b c' \"d\"", ("/opt/own", "-a", "b c", "d")),
        ("virsh CONNECT list", ("virsh", "list")),
        ("/opt/own | cat", ("/bin/sh", "-c", "/opt/own | cat")),
        ("LANG=C /opt/own", ("/bin/sh", "-c", "LANG=C /opt/own")),
        ("ulimit -n", ("/bin/sh", "-c", "ulimit -n")),
        ("/opt/own 'a", ("/bin/sh", "-c", "/opt/own 'a")),
        ("/opt/own $HOME", ("/bin/sh", "-c", "/opt/own $HOME")),
        ("/opt/own 'a*'", ("/bin/sh", "-c", "/opt/own 'a*'")),
        ("''", ("/bin/sh", "-c", "''")),
    ],
)
def test_a_program_needs_no_shell_where_none_would_do_anything(
    action: str, program: tuple[str, ...], conf: Path
) -> None:
    _, settings = taken(conf, metrics(("Own", "string", "host", action)))
    assert settings.metric[0].exec == program


def test_a_domains_facts_are_in_the_environment(conf: Path) -> None:
    result, settings = taken(conf, metrics(("Tier", "string", "vm", "/opt/tier NAME VMID UUID")))
    text = '/opt/tier "$VIRTWIRE_DOMAIN_NAME" "$VIRTWIRE_DOMAIN_ID" "$VIRTWIRE_DOMAIN_UUID"'
    assert settings.metric[0].exec == ("/bin/sh", "-c", text)
    assert "# It was:\n#     /opt/tier NAME VMID UUID\n" in result.toml
    assert "NAME was replaced by vhostmd and is now the variable VIRTWIRE_DOMAIN_NAME" in result.toml


def test_where_a_name_may_be_code_the_metric_is_a_comment_until_somebody_has_looked(conf: Path) -> None:
    result, settings = taken(conf, metrics(("Tier", "string", "vm", "awk '/NAME/' /etc/tiers")))
    assert settings.metric == ()
    assert any(
        "is written as a comment, for you to look at first: awk may take NAME" in each.text for each in result.loud
    )
    lines = result.toml.splitlines()
    tables = "\n".join(line.removeprefix("#") for line in lines[lines.index("#[[vhostmd.metric]]") :])
    (metric,) = tomllib.loads(tables)["vhostmd"]["metric"]
    assert metric["exec"] == ["/bin/sh", "-c", "awk '/'\"$VIRTWIRE_DOMAIN_NAME\"'/' /etc/tiers"]


def test_a_token_within_a_word_and_within_a_variables_name_are_both_said(conf: Path) -> None:
    result, _ = taken(conf, metrics(("Tier", "string", "vm", "/opt/tier HOSTNAME $VM_UUID")))
    said = [remark.text for remark in result.loud]
    assert "'Tier': HOSTNAME has a token of vhostmd's within it, which vhostmd replaced, too; is that meant?" in said
    assert "'Tier': the variable VM_UUID has a token of vhostmd's in its name, which is left as it is" in said


def test_an_action_that_is_too_long_is_a_comment(conf: Path) -> None:
    result, settings = taken(conf, metrics(("Own", "string", "host", f"echo {'a' * 5000}")))
    assert settings.metric == ()
    assert any("is longer than 4096 characters: make it a script" in remark.text for remark in result.loud)


def test_options_that_vhostmd_was_started_with_go_where_they_belong(conf: Path) -> None:
    text = metrics(("Own", "string", "host", "virsh CONNECT list"))
    result, settings = taken(conf, text, Started(connect="xen:///", user="vhostmd"))
    own = settings.metric[0]
    assert own.exec == ("/bin/sh", "-c", 'virsh --connect "$VIRTWIRE_URI" list')
    assert own.user == "vhostmd"
    assert "# vhostmd was started with -c: [[connection]] has to have uri = 'xen:///'.\n" in result.toml


# The file itself.

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
WRONG = [
    (b"", 1, "not well-formed XML: no element found"),
    (b"<vhostmd>", 1, "not well-formed XML: no element found"),
    (b"<vhostmd>\n<a></b></vhostmd>", 2, "not well-formed XML: mismatched tag"),
    (b"<vhostmd>\n&none;</vhostmd>", 2, "not well-formed XML: undefined entity"),
    (b"<vhostmd>a && b</vhostmd>", 1, "not well-formed XML: not well-formed"),
    (b"<vhostmd>\xff</vhostmd>", 1, "not well-formed XML: not well-formed (invalid token)"),
    (b"\0\1\2", 1, "not well-formed XML"),
    (b"[vhostmd]\nset = 'sap'\n", 1, "not well-formed XML"),
    (b"<domain/>", 1, "begins with <domain>, not <vhostmd>: is it a vhostmd.conf?"),
    (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><vhostmd>&l9;</vhostmd>'.encode(), 1, ""),
    (f'<!DOCTYPE a [<!ENTITY a "{"a" * 50_000}">]><vhostmd>{"&a;" * 200}</vhostmd>'.encode(), 1, "its entities come"),
    (f"<vhostmd>{'<a/>' * 20_001}</vhostmd>".encode(), 1, "its entities come to more than a configuration has"),
    (b'<!DOCTYPE a [<!ENTITY a "&b;"><!ENTITY b "&a;">]><vhostmd>&a;</vhostmd>', 1, "not well-formed XML: recursive"),
]


@pytest.mark.parametrize(("data", "line", "said"), WRONG)
def test_what_is_no_configuration_of_vhostmd_is_refused_with_its_line(
    data: bytes, line: int, said: str, conf: Path
) -> None:
    with pytest.raises(NotVhostmdError) as error:
        imported(conf, data, Started())
    assert str(error.value).startswith(f"{conf}:{line}: {said}")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<vhostmd>" + b" " * (1 << 20), "1048585 bytes are more than 1048576: is it a vhostmd.conf?"),
        (b'<?xml version="1.0" encoding="klingon"?><vhostmd/>', "cannot be decoded: unknown encoding: klingon"),
    ],
)
def test_so_is_what_cannot_be_looked_into(data: bytes, said: str, conf: Path) -> None:
    with pytest.raises(NotVhostmdError) as error:
        imported(conf, data, Started())
    assert said in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "iso-8859-15"])
def test_encodings_that_xml_declares_are_read(encoding: str, conf: Path) -> None:
    text = changed("Own", "Größe").replace('version="1.0"', f'version="1.0" encoding="{encoding}"')
    assert "Größe" in imported(conf, text.encode(encoding), Started()).toml


def test_entities_of_the_file_itself_are_expanded_and_external_ones_never_read(conf: Path) -> None:
    secret = conf.with_name("secret")
    secret.write_text("hunter2")
    subset = f'SYSTEM "vhostmd.dtd" [<!ENTITY opt "/opt"><!ENTITY s SYSTEM "{secret}">]'
    text = changed('SYSTEM "vhostmd.dtd"', subset).replace("/opt/own", "&opt;/own").replace("any", "&s;")
    result, settings = taken(conf, text)
    assert settings.metric[0].exec == ("/opt/own",)
    assert "hunter2" not in result.toml


XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\"'\\$`#[]=")
)


@given(name=XML_TEXT, action=XML_TEXT, unit=XML_TEXT, path=XML_TEXT)
def test_whatever_is_written_there_hostd_reads_what_is_made_of_it(
    name: str, action: str, unit: str, path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def escaped(text: str) -> str:
        signs = {ord(sign): f"&#{ord(sign)};" for sign in "<>&\"'\t\n"}
        return text.translate(signs)

    text = (
        CONF.replace("Own", escaped(name)).replace("/opt/own", escaped(action)).replace("/bin:/usr/bin", escaped(path))
    )
    text = text.replace('context="host"', f'context="vm" unit="{escaped(unit)}"')
    result, settings = taken(tmp_path_factory.mktemp("any") / "vhostmd.conf", text)
    for metric in settings.metric:
        assert metric.name == name
        assert metric.unit in {unit, ""}
    active = bool(name and action and len(name) <= 256) and "is written as a comment" not in result.toml
    assert bool(settings.metric) == active
