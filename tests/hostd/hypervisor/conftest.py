"""The adapter connected to libvirt's test driver, and somebody else who works on the same domains."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import libvirt
import pytest

from hostd.hypervisor import (
    events,
)
from hostd.hypervisor.adapter import LibvirtAdapter
from tests.support.testdriver import NODE, Binding, adapter_of, ignore


@pytest.fixture
async def hypervisor() -> AsyncIterator[LibvirtAdapter]:
    default = adapter_of("test:///default")
    await default.connect(ignore)
    yield default
    await default.close()


@pytest.fixture
async def several(tmp_path: Path) -> AsyncIterator[LibvirtAdapter]:
    node = tmp_path / "node.xml"
    node.write_text(NODE)
    from_file = adapter_of(f"test://{node}")
    await from_file.connect(ignore)
    yield from_file
    await from_file.close()


@pytest.fixture
def operator() -> Iterator[Binding]:
    """Somebody else who works on the same domains; the test driver shares its default ones within a process."""
    events.start()
    connection = libvirt.open("test:///default")
    yield connection
    with suppress(libvirt.libvirtError):  # a test may have closed it
        connection.close()
