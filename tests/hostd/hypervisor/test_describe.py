"""A domain's XML to the few facts that hostd needs of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor.describe import Description, describe
from hostd.model.devices import Hardware
from hostd.model.domain import Channel
from tests.support.particulars import NO_DEVICES

NAME = "io.virtwire.agent.0"
VHOSTMD = "org.github.vhostmd.1"


def domain(devices: str = "", *, memory: str = "") -> str:
    return f"<domain type='kvm'>{memory}<devices>{devices}</devices></domain>"


def channel(name: str = NAME, *, source: str = "<source mode='bind' path='/run/a'/>", state: str = "") -> str:
    return f"<channel type='unix'>{source}<target type='virtio' name='{name}'{state}/></channel>"


def test_a_live_domain_is_described() -> None:
    xml = f"""<domain type='kvm' id='7'><name>alpha</name><title> The first of all\n</title>
      <memory unit='KiB'>524288</memory><vcpu placement='static' current='2'>4</vcpu>
      <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
      <devices><emulator>/usr/bin/qemu</emulator>
      <channel type='unix'><source mode='bind' path='/run/libvirt/alpha.sock'/>
        <target type='virtio' name='{NAME}' state='connected'/><alias name='channel0'/></channel>
      </devices></domain>"""
    assert describe(xml, channel_name=NAME) == Description(
        os_type="hvm",
        machine="pc-q35-7.2",
        architecture="x86_64",
        emulator="/usr/bin/qemu",
        title="The first of all",
        hardware=Hardware(devices=NO_DEVICES),
        memory_maximum_bytes=512 << 20,
        vcpus=2,
        channel=Channel(path="/run/libvirt/alpha.sock", is_open_in_guest=True),
    )


def test_what_is_not_there_is_not_known() -> None:
    assert describe("<domain/>", channel_name=NAME) == Description(hardware=Hardware(devices=NO_DEVICES))


@pytest.mark.parametrize(
    ("state", "is_open"), [(" state='connected'", True), (" state='disconnected'", False), ("", None)]
)
def test_whether_the_guest_has_the_port_open_is_libvirts_word(state: str, is_open: bool | None) -> None:
    found = describe(domain(channel(state=state)), channel_name=NAME).channel
    assert found == Channel(path="/run/a", is_open_in_guest=is_open)


@pytest.mark.parametrize(
    "devices",
    [
        "",
        channel("org.qemu.guest_agent.0"),
        channel(NAME + "0"),
        channel(NAME.upper()),
        channel(source=""),
        channel(source="<source mode='bind'/>"),
        f"<channel type='pty'><source path='/dev/pts/3'/><target type='virtio' name='{NAME}'/></channel>",
        f"<channel type='spicevmc'><target type='virtio' name='{NAME}'/></channel>",
        "<channel type='unix'><source path='/run/a'/></channel>",
    ],
)
def test_a_domain_without_a_socket_for_our_channel_has_no_channel(devices: str) -> None:
    assert describe(domain(devices), channel_name=NAME).channel is None


SERIAL = "<{tag} type='{kind}'><source mode='{mode}' path='/run/{alias}'/><alias name='{alias}'/></{tag}>"


def serial(alias: str, *, tag: str = "serial", kind: str = "unix", mode: str = "bind") -> str:
    return SERIAL.format(tag=tag, kind=kind, mode=mode, alias=alias)


@pytest.mark.parametrize(
    ("devices", "path"),
    [
        (serial("serial0") + serial("serial1"), "/run/serial1"),
        (serial("serial1") + serial("ua-agent"), "/run/ua-agent"),
        (serial("serial0") + serial("console1", tag="console"), "/run/console1"),
        (serial("serial0"), None),
        (serial("serial1", kind="pty"), None),
        (serial("serial1", mode="connect"), None),  # QEMU would be the one to connect
        ("<serial type='unix'><alias name='serial1'/></serial>", None),
        (serial("serial1") + channel(source="<source path='/run/ours'/>"), "/run/ours"),
    ],
)
def test_without_our_channel_the_line_is_the_first_of_the_aliases_that_is_a_socket(
    devices: str, path: str | None
) -> None:
    aliases = ("ua-agent", "serial1", "console1")
    found = describe(domain(devices), channel_name=NAME, serial_aliases=aliases).channel
    assert found == (None if path is None else Channel(path=path, is_open_in_guest=None))


def test_no_serial_line_is_taken_unasked() -> None:
    assert describe(domain(serial("serial0") + serial("serial1")), channel_name=NAME).channel is None


@pytest.mark.parametrize(
    ("vsock", "cid"),
    [
        ("<vsock><cid auto='yes' address='7'/></vsock>", 7),
        ("<vsock><cid auto='yes'/></vsock>", None),
        ("<vsock><cid address='x'/></vsock>", None),
        ("", None),
    ],
)
def test_a_domain_has_the_vsock_address_that_libvirt_says(vsock: str, cid: int | None) -> None:
    assert describe(domain(vsock), channel_name=NAME).vsock_cid == cid


def test_ours_is_found_among_several_channels() -> None:
    devices = (
        channel("org.qemu.guest_agent.0", source="<source path='/run/qga'/>")
        + channel(source="<source path='/run/ours'/>")
        + channel(VHOSTMD, source="<source path='/run/vhostmd'/>")
    )
    assert describe(domain(devices), channel_name=NAME).channel == Channel(path="/run/ours", is_open_in_guest=None)


@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/libvirt/qemu/channel/target/domain-7-alpha/org.github.vhostmd.1",  # until libvirt 9.6
        "/run/libvirt/qemu/channel/7-alpha/org.github.vhostmd.1",
    ],
)
def test_the_channel_of_vhostmd_is_where_the_xml_says_beside_ours(path: str) -> None:
    devices = channel() + channel(VHOSTMD, source=f"<source mode='bind' path='{path}'/>", state=" state='connected'")
    found = describe(domain(devices), channel_name=NAME, vhostmd_channel_name=VHOSTMD)
    assert found.channel == Channel(path="/run/a", is_open_in_guest=None)
    assert found.vhostmd_channel == Channel(path=path, is_open_in_guest=True)


def test_the_channel_of_vhostmd_is_not_looked_for_where_it_is_not_served() -> None:
    devices = channel(VHOSTMD) + channel("")
    assert describe(domain(devices), channel_name=NAME).vhostmd_channel is None


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("<memory>1024</memory>", 1 << 20),
        ("<memory unit='KiB'>1024</memory>", 1 << 20),
        ("<memory unit='k'>1</memory>", 1 << 10),
        ("<memory unit='b'>5</memory>", 5),
        ("<memory unit='bytes'>5</memory>", 5),
        ("<memory unit='KB'>5</memory>", 5000),
        ("<memory unit='MB'>5</memory>", 5_000_000),
        ("<memory unit='M'>5</memory>", 5 << 20),
        ("<memory unit='MiB'>5</memory>", 5 << 20),
        ("<memory unit='GB'>5</memory>", 5 * 10**9),
        ("<memory unit='G'>5</memory>", 5 << 30),
        ("<memory unit='GiB'>5</memory>", 5 << 30),
        ("<memory unit='TB'>5</memory>", 5 * 10**12),
        ("<memory unit='T'>5</memory>", 5 << 40),
        ("<memory unit='TiB'>5</memory>", 5 << 40),
        ("<memory unit='KiB'>\n 8 </memory>", 8 << 10),
        ("<memory unit='KiB'/>", None),
        ("<memory unit='KiB'>-1</memory>", None),
        ("<memory unit='KiB'>much</memory>", None),
        ("<memory unit='furlong'>5</memory>", None),
        ("", None),
    ],
)
def test_memory_is_told_in_bytes_whatever_its_unit(memory: str, expected: int | None) -> None:
    assert describe(domain(memory=memory), channel_name=NAME).memory_maximum_bytes == expected


@pytest.mark.parametrize(
    ("vcpus", "expected"),
    [
        ("<vcpu>4</vcpu>", 4),
        ("<vcpu placement='static'> 4\n</vcpu>", 4),
        ("<vcpu current='1'>4</vcpu>", 1),
        ("<vcpu/>", None),
        ("<vcpu>many</vcpu>", None),
        ("<vcpu current='-1'>4</vcpu>", None),
        ("<vcpu>\u0664</vcpu>", None),
        ("", None),
    ],
)
def test_the_virtual_cpus_that_it_has_now_are_told(vcpus: str, expected: int | None) -> None:
    assert describe(domain(memory=vcpus), channel_name=NAME).vcpus == expected


@pytest.mark.parametrize("xml", ["", "<domain>", "no", "<domain/><domain/>", "<a>\0</a>", "<a>&none;</a>"])
def test_what_is_not_xml_is_an_error_that_says_so(xml: str) -> None:
    with pytest.raises(ValueError, match=r"^domain XML: "):
        describe(xml, channel_name=NAME)


@given(st.text())
def test_any_name_of_a_channel_finds_only_itself(name: str) -> None:
    found = describe(domain(channel()), channel_name=name).channel
    assert (found is not None) == (name == NAME)


@given(st.text())
def test_any_text_is_described_or_is_no_xml(text: str) -> None:
    try:
        describe(text, channel_name=NAME)
    except ValueError as error:
        assert str(error).startswith("domain XML: ")  # noqa: PT017 - either outcome is right
