"""A host's capabilities to the few facts that hostd tells of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor.capabilities import Described, described
from hostd.model.host import Capabilities, NumaCell, Pages

QEMU = """<capabilities>

  <host>
    <uuid>68f4a07d-54a7-4714-9c6e-1734a47654ae</uuid>
    <cpu>
      <arch>x86_64</arch>
      <model>EPYC-Milan</model>
      <vendor>AMD</vendor>
      <microcode version='167776681'/>
      <signature family='25' model='1' stepping='1'/>
      <counter name='tsc' frequency='2445403000' scaling='yes'/>
      <topology sockets='1' dies='1' cores='4' threads='2'/>
      <maxphysaddr mode='emulate' bits='48'/>
      <feature name='ht'/>
      <feature name='topoext'/>
      <pages unit='KiB' size='4'/>
      <pages unit='KiB' size='2048'/>
      <pages unit='KiB' size='1048576'/>
    </cpu>
    <power_management>
      <suspend_mem/>
    </power_management>
    <iommu support='yes'/>
    <migration_features>
      <live/>
      <uri_transports>
        <uri_transport>tcp</uri_transport>
        <uri_transport>rdma</uri_transport>
      </uri_transports>
    </migration_features>
    <topology>
      <cells num='2'>
        <cell id='0'>
          <memory unit='KiB'>32797180</memory>
          <pages unit='KiB' size='4'>8150723</pages>
          <pages unit='KiB' size='2048'>96</pages>
          <pages unit='KiB' size='1048576'>0</pages>
          <distances>
            <sibling id='0' value='10'/>
            <sibling id='2' value='32'/>
          </distances>
          <cpus num='2'>
            <cpu id='0' socket_id='0' die_id='0' core_id='0' siblings='0-1'/>
            <cpu id='1' socket_id='0' die_id='0' core_id='0' siblings='0-1'/>
          </cpus>
        </cell>
        <cell id='2'>
          <memory unit='KiB'>33019456</memory>
          <pages unit='KiB' size='4'>7206288</pages>
          <pages unit='KiB' size='2048'>0</pages>
          <pages unit='KiB' size='1048576'>4</pages>
          <distances>
            <sibling id='0' value='32'/>
            <sibling id='2' value='10'/>
          </distances>
          <cpus num='1'>
            <cpu id='2' socket_id='1' die_id='0' core_id='0' siblings='2'/>
          </cpus>
        </cell>
      </cells>
    </topology>
    <cache>
      <bank id='0' level='3' type='both' size='32' unit='MiB' cpus='0-2'/>
    </cache>
    <secmodel>
      <model>apparmor</model>
      <doi>0</doi>
    </secmodel>
    <secmodel>
      <model>dac</model>
      <doi>0</doi>
      <baselabel type='kvm'>+64055:+994</baselabel>
    </secmodel>
  </host>

  <guest>
    <os_type>hvm</os_type>
    <arch name='i686'>
      <wordsize>32</wordsize>
      <emulator>/usr/bin/qemu-system-i386</emulator>
      <machine maxCpus='255'>pc-i440fx-7.2</machine>
      <domain type='qemu'/>
      <domain type='kvm'/>
    </arch>
  </guest>

  <guest>
    <os_type>hvm</os_type>
    <arch name='aarch64'>
      <wordsize>64</wordsize>
      <emulator>/usr/bin/qemu-system-aarch64</emulator>
      <domain type='qemu'/>
    </arch>
  </guest>

</capabilities>
"""
KNOWN = Described(
    capabilities=Capabilities(
        architecture="x86_64",
        cpu_model="EPYC-Milan",
        cpu_vendor="AMD",
        cpu_microcode="167776681",
        has_iommu=True,
        can_migrate_live=True,
        migration_transports=("rdma", "tcp"),
        security_models=("apparmor", "dac"),
        domain_types=("kvm", "qemu"),
    ),
    cells=(
        NumaCell(
            number=0,
            cpus=2,
            total_bytes=32797180 << 10,
            pages=(
                Pages(page_bytes=4 << 10, total=8150723),
                Pages(page_bytes=2 << 20, total=96),
                Pages(page_bytes=1 << 30, total=0),
            ),
        ),
        NumaCell(
            number=2,
            cpus=1,
            total_bytes=33019456 << 10,
            pages=(
                Pages(page_bytes=4 << 10, total=7206288),
                Pages(page_bytes=2 << 20, total=0),
                Pages(page_bytes=1 << 30, total=4),
            ),
        ),
    ),
)


def cell(content: str, *, number: str = "0") -> str:
    return f"<c><host><topology><cells><cell id='{number}'>{content}</cell></cells></topology></host></c>"


def test_a_host_of_two_cells_and_three_sizes_of_pages_is_described() -> None:
    assert described(QEMU) == KNOWN


def test_what_is_not_there_is_not_known_but_that_it_cannot_migrate() -> None:
    assert described("<capabilities/>") == Described(capabilities=Capabilities(can_migrate_live=False))


@pytest.mark.parametrize(
    ("iommu", "expected"),
    [("<iommu support='no'/>", False), ("<iommu support='perhaps'/>", None), ("<iommu/>", None), ("", None)],
)
def test_an_iommu_is_there_or_not_or_not_known(iommu: str, *, expected: bool | None) -> None:
    assert described(f"<c><host>{iommu}</host></c>").capabilities.has_iommu is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", NumaCell(number=0)),
        ("<memory>3</memory>", NumaCell(number=0, total_bytes=3072)),
        ("<memory unit='KiB'> 3\n</memory>", NumaCell(number=0, total_bytes=3072)),
        ("<memory unit='MiB'>3</memory>", NumaCell(number=0)),
        ("<memory unit='KiB'>-3</memory>", NumaCell(number=0)),
        ("<memory unit='KiB'>much</memory>", NumaCell(number=0)),
        (f"<memory>{'9' * 5000}</memory>", NumaCell(number=0)),
        ("<cpus/>", NumaCell(number=0)),
        ("<pages unit='KiB' size='4'/>", NumaCell(number=0, pages=(Pages(page_bytes=4096),))),
        ("<pages unit='KiB' size='0'>7</pages><pages>7</pages>", NumaCell(number=0)),
    ],
)
def test_a_cell_tells_what_can_be_read_of_it(content: str, expected: NumaCell) -> None:
    assert described(cell(content)).cells == (expected,)


@pytest.mark.parametrize("number", ["", "-1", "x", "9" * 21])
def test_a_cell_without_a_number_cannot_be_told_apart_and_is_left_out(number: str) -> None:
    assert described(cell("", number=number)).cells == ()


@pytest.mark.parametrize("xml", ["", "<capabilities>", "no", "<a/><a/>", "<a>\0</a>", "<a>&none;</a>"])
def test_what_is_not_xml_is_an_error_that_says_so(xml: str) -> None:
    with pytest.raises(ValueError, match=r"^capabilities: "):
        described(xml)


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="<&'"), max_size=30)


@given(TEXTS, TEXTS, TEXTS)
def test_any_value_is_described_and_no_number_is_negative(number: str, size: str, value: str) -> None:
    content = f"<memory>{value}</memory><cpus num='{value}'/><pages unit='KiB' size='{size}'>{value}</pages>"
    for found in described(cell(content, number=number)).cells:
        counts = [found.number, found.cpus, found.total_bytes]
        counts += [count for pages in found.pages for count in (pages.page_bytes, pages.total)]
        assert all(count is None or count >= 0 for count in counts)


@given(st.text())
def test_any_text_is_described_or_is_no_xml(text: str) -> None:
    try:
        described(text)
    except ValueError as error:
        assert str(error).startswith("capabilities: ")  # noqa: PT017 - either outcome is right
