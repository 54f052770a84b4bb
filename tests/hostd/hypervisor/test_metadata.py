"""Metadata as OpenStack, oVirt and virt-manager write it, and what the rules make of it."""

from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor.metadata import Labels, labels_of
from hostd.labels import PRESETS, Rule, Rules, names_of, problem_of

NOVA = """<nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.{minor}">
  <nova:package version="27.1.0-1.el9"/>
  <nova:name>web-1</nova:name>
  <nova:creationTime>2026-03-01 12:00:00</nova:creationTime>
  <nova:flavor name="m1.small">
    <nova:memory>2048</nova:memory><nova:disk>20</nova:disk><nova:swap>0</nova:swap>
    <nova:ephemeral>0</nova:ephemeral><nova:vcpus>1</nova:vcpus>
  </nova:flavor>
  <nova:owner>
    <nova:user uuid="2e1f0b3c4d5e6f708192a3b4c5d6e7f8">ann</nova:user>
    <nova:project uuid="0123456789abcdef0123456789abcdef">web shop</nova:project>
  </nova:owner>
  <nova:root type="image" uuid="8f5bc5b6-0000-4000-8000-000000000000"/>
  <nova:ports><nova:port uuid="70e2a1a6-0000-4000-8000-000000000001">
    <nova:ip type="fixed" address="10.0.0.7" ipVersion="4"/></nova:port></nova:ports>
</nova:instance>"""
OVIRT = """<ovirt-tune:qos xmlns:ovirt-tune="http://ovirt.org/vm/tune/1.0"/>
<ovirt-vm:vm xmlns:ovirt-vm="http://ovirt.org/vm/1.0">
  <ovirt-vm:balloonTarget type="int">1048576</ovirt-vm:balloonTarget>
  <ovirt-vm:clusterVersion>4.7</ovirt-vm:clusterVersion>
  <ovirt-vm:destroy_on_reboot type="bool">False</ovirt-vm:destroy_on_reboot>
  <ovirt-vm:resumeBehavior>auto_resume</ovirt-vm:resumeBehavior>
  <ovirt-vm:startTime type="float">1700000000.5</ovirt-vm:startTime>
  <ovirt-vm:device devtype="disk" name="sda"><ovirt-vm:guestName>/dev/sda2</ovirt-vm:guestName></ovirt-vm:device>
</ovirt-vm:vm>"""
LIBOSINFO = """<libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
  <libosinfo:os id="http://debian.org/debian/12"/>
</libosinfo:libosinfo>"""
OWN = "<h:host xmlns:h='urn:inventory' team='blue'><h:note> kept\n by <h:b>ann</h:b> </h:note><h:empty/></h:host>"

TEAM = Rule("team", "{urn:inventory}host/@team")
NOTE = Rule("note", "{urn:inventory}host/{urn:inventory}note")


def labels(metadata: str, *rules: Rule, promote: tuple[str, ...] = ()) -> Labels:
    domain = ET.fromstring(f"<domain><metadata>{metadata}</metadata></domain>")
    return labels_of(domain, Rules(metadata=rules, promote=promote))


def managed(metadata: str, preset: str) -> dict[str, str]:
    return dict(zip(names_of(PRESETS[preset]), labels(metadata).managers[preset], strict=True))


@pytest.mark.parametrize("minor", [0, 1])
def test_openstacks_is_found_in_either_version_of_its_namespace(minor: int) -> None:
    assert managed(NOVA.replace("{minor}", str(minor)), "nova") == {
        "instance_name": "web-1",
        "flavor_name": "m1.small",
        "user_name": "ann",
        "user_id": "2e1f0b3c4d5e6f708192a3b4c5d6e7f8",
        "project_name": "web shop",
        "project_id": "0123456789abcdef0123456789abcdef",
        "root_type": "image",
        "root_id": "8f5bc5b6-0000-4000-8000-000000000000",
    }


def test_ovirts_and_libosinfos_are_found_beside_each_other() -> None:
    assert managed(OVIRT + LIBOSINFO, "ovirt") == {"cluster_version": "4.7", "resume_behavior": "auto_resume"}
    assert managed(OVIRT + LIBOSINFO, "libosinfo") == {"os_id": "http://debian.org/debian/12"}
    assert set(labels(OVIRT + LIBOSINFO).managers) == {"ovirt", "libosinfo"}


def test_a_volume_booted_server_has_no_root_and_the_rest() -> None:
    without = NOVA.replace("{minor}", "1").replace("<nova:root ", "<nova:none ")
    assert managed(without, "nova")["root_type"] == ""
    assert managed(without, "nova")["project_name"] == "web shop"


def test_ones_own_rules_find_texts_and_attributes() -> None:
    assert labels(OWN, TEAM, NOTE).metadata == (("team", "blue"), ("note", "kept\n by ann"))


def test_every_label_of_the_rules_is_there_also_where_it_has_no_value() -> None:
    absent = Rule("absent", "{urn:inventory}none")
    empty = Rule("empty", "{urn:inventory}host/{urn:inventory}empty")
    assert labels(OWN, absent, TEAM, empty).metadata == (("absent", ""), ("team", "blue"), ("empty", ""))


def test_where_no_rule_finds_anything_there_are_no_labels() -> None:
    assert labels(LIBOSINFO, TEAM, NOTE).metadata == ()
    assert labels("", TEAM) == labels_of(ET.fromstring("<domain/>"), Rules(metadata=(TEAM,))) == Labels(managers={})


def test_of_several_rules_for_a_label_the_first_that_finds_something_wins() -> None:
    nowhere, second = Rule("team", "{urn:other}x"), Rule("team", "{urn:inventory}host/{urn:inventory}note")
    assert labels(OWN, nowhere, TEAM, second).metadata == (("team", "blue"),)


def test_promoted_labels_are_those_that_have_a_value() -> None:
    absent = Rule("absent", "{urn:inventory}none")
    assert labels(OWN, TEAM, NOTE, absent, promote=("absent", "team")).promoted == (("team", "blue"),)


@pytest.mark.parametrize(("length", "kept", "cut"), [(256, 256, 0), (257, 256, 1), (100_000, 256, 1)])
def test_a_value_is_no_longer_than_256_characters_and_what_is_cut_is_counted(length: int, kept: int, cut: int) -> None:
    found = labels(OWN.replace("blue", "ü" * length), TEAM, promote=("team",))
    assert (found.metadata, found.promoted, found.cut) == ((("team", "ü" * kept),), (("team", "ü" * kept),), cut)


LETTERS = st.characters(exclude_categories=("Cs", "Cc"))


@given(st.text(LETTERS))
def test_any_value_comes_out_as_it_went_in_but_for_blanks_around_it(value: str) -> None:
    found = labels(f"<h:host xmlns:h='urn:inventory'><h:note>{escape(value)}</h:note></h:host>", NOTE)
    stripped = value.strip()[:256]
    assert found.metadata == ((("note", stripped),) if stripped else ())


@given(st.text(st.sampled_from("{}/[]@='\"*.():ab0 \n")) | st.text())
def test_any_path_is_refused_or_can_be_followed(path: str) -> None:
    rule = Rule("team", path)
    if problem_of(rule) is None:
        labels(OWN + LIBOSINFO, rule)
