"""Which domains are looked at, and what becomes of their metadata, over libvirt's own test driver."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import libvirt
import pytest

from hostd import telemetry
from hostd.hypervisor import NoSuchDomain, Notice
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.labels import PRESETS, Rule, Rules
from hostd.settings import ConnectionSettings, SamplingSettings, StorageSettings

Binding: TypeAlias = Any  # libvirt's own has no types
Opening: TypeAlias = Callable[..., Any]

NAMES = ("web-1", "web-2", "web-old", "db")
METADATA = """<metadata>
  <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"><nova:name>shop</nova:name></nova:instance>
  <h:host xmlns:h="urn:inventory" team="{}"/></metadata>"""
RULES = Rules(metadata=(*PRESETS["nova"], Rule("team", "{urn:inventory}host/@team")), promote=("team",))
NODE = "".join(
    f"<domain type='test'><name>{name}</name><uuid>{number:08}-0000-4000-8000-000000000000</uuid>"
    f"<memory>1024</memory><os><type>hvm</type></os>{METADATA.format('x' * 257 if number else 'blue')}</domain>"
    for number, name in enumerate(NAMES)
)


def ignore(_notice: Notice) -> None:
    return


def uuid_of(name: str) -> str:
    return f"{NAMES.index(name):08}-0000-4000-8000-000000000000"


@pytest.fixture
async def opening(tmp_path: Path) -> AsyncIterator[Opening]:
    node = tmp_path / "node.xml"
    node.write_text(f"<node>{NODE}</node>")
    opened: list[LibvirtAdapter] = []

    async def open_with(*, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> LibvirtAdapter:
        settings = ConnectionSettings(uri=f"test://{node}", deadline_seconds=60, include=include, exclude=exclude)
        opened.append(
            LibvirtAdapter(
                settings, channel_name="", sampling=SamplingSettings(), storage=StorageSettings(), rules=RULES
            )
        )
        await opened[-1].connect(ignore)
        return opened[-1]

    yield open_with
    for each in opened:
        await each.close()


@pytest.mark.parametrize(
    ("include", "exclude", "looked_at"),
    [
        ((), (), {"web-1", "web-2", "web-old", "db"}),
        (("web-*",), (), {"web-1", "web-2", "web-old"}),
        (("web-*", "d?"), ("*-old",), {"web-1", "web-2", "db"}),
        ((), ("web-[0-9]",), {"web-old", "db"}),
        (("WEB-*",), (), set()),
        (("*",), ("*",), set()),
    ],
)
async def test_domains_are_chosen_by_patterns_of_their_names(
    opening: Opening, include: tuple[str, ...], exclude: tuple[str, ...], looked_at: set[str]
) -> None:
    hypervisor = await opening(include=include, exclude=exclude)
    assert {facts.name for facts in await hypervisor.list_domains()} == looked_at
    assert set(await hypervisor.survey()) == {uuid_of(name) for name in looked_at}


async def test_one_that_is_left_out_is_asked_for_nothing(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()

    def note(call: str) -> None:
        original = getattr(libvirt.virDomain, call)

        def noting(domain: Binding, *rest: object) -> object:
            asked.add(domain.name())
            return original(domain, *rest)

        monkeypatch.setattr(libvirt.virDomain, call, noting)

    for call in ("state", "XMLDesc", "isActive", "isPersistent", "controlInfo"):
        note(call)
    hypervisor = await opening(exclude=("db",))
    await hypervisor.list_domains()
    await hypervisor.survey()
    with pytest.raises(NoSuchDomain, match=r"^describe: .*connection\.include or connection\.exclude$"):
        await hypervisor.describe(uuid_of("db"))
    assert asked == {"web-1", "web-2", "web-old"}


async def test_where_there_is_no_bulk_call_it_is_the_same(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        error = libvirt.libvirtError("no")
        error.err = (libvirt.VIR_ERR_NO_SUPPORT, 0, "no", 0, "", "", "", 0, 0)
        raise error

    monkeypatch.setattr(libvirt.virConnect, "domainListGetStats", refuse)
    hypervisor = await opening(include=("web-?",))
    assert set(await hypervisor.survey()) == {uuid_of("web-1"), uuid_of("web-2")}


async def test_metadata_becomes_labels_and_what_is_too_long_is_cut_and_counted(opening: Opening) -> None:
    hypervisor = await opening(include=("web-1", "db"))
    cut = telemetry.REGISTRY.get_sample_value("hostd_labels_cut_total") or 0
    listed = {facts.name: facts for facts in await hypervisor.list_domains()}
    assert telemetry.REGISTRY.get_sample_value("hostd_labels_cut_total") == cut + 1
    assert dict(listed["web-1"].metadata)["team"] == "blue"
    assert dict(listed["web-1"].metadata)["instance_name"] == "shop"
    assert listed["web-1"].promoted == (("team", "blue"),)
    assert listed["web-1"].managers["nova"][0] == "shop"
    assert listed["db"].promoted == (("team", "x" * 256),)
