"""The XML of virConnectGetCapabilities to what the host can do and how its memory is laid out: pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from hostd.model.host import Capabilities, NumaCell, Pages

_KIB = 1024
_IS_SUPPORTED = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the XML says. Of the cells, what is free is not in it."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    cells: tuple[NumaCell, ...] = ()


def described(xml: str) -> Described:
    """The facts in a host's capabilities; what is not there is not known.

    Raises:
        ValueError: it is not XML.

    """
    try:
        root = ET.fromstring(xml)  # noqa: S314 - libvirt's own serialisation, without a document type
    except ET.ParseError as error:
        raise ValueError(f"capabilities: {error}") from error
    iommu, microcode = root.find("host/iommu"), root.find("host/cpu/microcode")
    return Described(
        capabilities=Capabilities(
            architecture=_text(root, "host/cpu/arch"),
            cpu_model=_text(root, "host/cpu/model"),
            cpu_vendor=_text(root, "host/cpu/vendor"),
            cpu_microcode=None if microcode is None else microcode.get("version"),
            has_iommu=None if iommu is None else _IS_SUPPORTED.get(iommu.get("support", "")),
            can_migrate_live=root.find("host/migration_features/live") is not None,
            migration_transports=_texts(root, "host/migration_features/uri_transports/uri_transport"),
            security_models=_texts(root, "host/secmodel/model"),
            domain_types=_unique(domain.get("type") for domain in root.iterfind("guest/arch/domain")),
        ),
        cells=tuple(_cells(root)),
    )


def _cells(root: ET.Element) -> Iterator[NumaCell]:
    for cell in root.iterfind("host/topology/cells/cell"):
        number = _whole(cell.get("id"))
        if number is None:
            continue
        cpus, memory = cell.find("cpus"), cell.find("memory")
        yield NumaCell(
            number=number,
            cpus=None if cpus is None else _whole(cpus.get("num")),
            total_bytes=None if memory is None else _kibibytes(memory, memory.text),
            pages=tuple(_pages(cell)),
        )


def _pages(cell: ET.Element) -> Iterator[Pages]:
    for pages in cell.iterfind("pages"):
        size = _kibibytes(pages, pages.get("size"))
        if size:
            yield Pages(page_bytes=size, total=_whole(pages.text))


def _kibibytes(element: ET.Element, value: str | None) -> int | None:
    """In bytes; libvirt has never written another unit here."""
    number = _whole(value)
    return None if number is None or element.get("unit", "KiB") != "KiB" else number * _KIB


def _whole(value: str | None) -> int | None:
    digits = (value or "").strip()
    return int(digits) if digits.isdecimal() and len(digits) <= 20 else None  # noqa: PLR2004 - as long as 64 bits


def _text(root: ET.Element, path: str) -> str | None:
    return (root.findtext(path) or "").strip() or None


def _texts(root: ET.Element, path: str) -> tuple[str, ...]:
    return _unique((element.text or "").strip() for element in root.iterfind(path))


def _unique(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))
