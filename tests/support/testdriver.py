"""Libvirt's own test driver behind the adapter: real libvirt and real events, without a daemon."""

from collections.abc import Callable
from typing import Any, TypeAlias

import libvirt

from hostd import telemetry
from hostd.hypervisor import (
    Notice,
)
from hostd.hypervisor.adapter import LibvirtAdapter
from hostd.hypervisor.selection import ALL_DEVICES, Devices
from hostd.model.stats import DomainStats
from hostd.settings import ConnectionSettings, SamplingSettings, StorageSettings

Binding: TypeAlias = Any  # libvirt's own has no types

DEADLINE = 60.0

NAME = "io.virtwire.agent.0"

DEFAULT_UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"

NODE = """<node>
  <domain type='test'><name>alpha</name><uuid>11111111-1111-4111-8111-111111111111</uuid>
    <memory unit='MiB'>512</memory><vcpu>2</vcpu><os><type>hvm</type></os>
    <devices><channel type='unix'><source mode='bind' path='/run/alpha.sock'/>
      <target type='virtio' name='io.virtwire.agent.0' state='connected'/></channel>
      <channel type='unix'><source mode='bind' path='/run/vhostmd.sock'/>
        <target type='virtio' name='org.github.vhostmd.1'/></channel></devices>
  </domain>
  <domain type='test'><name>beta "β" &amp; co</name><uuid>22222222-2222-4222-8222-222222222222</uuid>
    <memory unit='KiB'>1024</memory><os><type>hvm</type></os></domain>
</node>
"""


def adapter_of(
    uri: str,
    storage: StorageSettings | None = None,
    sampling: SamplingSettings | None = None,
    devices: Devices = ALL_DEVICES,
) -> LibvirtAdapter:
    settings = ConnectionSettings(uri=uri, deadline_seconds=DEADLINE)
    return LibvirtAdapter(
        settings,
        channel_name=NAME,
        vhostmd_channel_name="org.github.vhostmd.1",
        sampling=sampling or SamplingSettings(),
        storage=storage or StorageSettings(),
        devices=devices,
    )


async def numbers_of(hypervisor: LibvirtAdapter) -> dict[str, DomainStats]:
    """All active domains' numbers, one asked after the other."""
    answers = {
        uuid: await hypervisor.ask(uuid, deadline_seconds=DEADLINE, may_enter=True)
        for uuid in await hypervisor.survey()
    }
    return {uuid: answer.stats for uuid, answer in answers.items() if answer.stats is not None}


def refusing(code: int) -> Callable[..., None]:
    """A call of libvirt's that ends in that error."""

    def refuse(*_: object) -> None:
        error = libvirt.libvirtError("no")
        error.err = (code, 0, "no", 0, "", "", "", 0, 0)
        raise error

    return refuse


def unsupported(call: str) -> tuple[float | None, ...]:
    """What is told of a call that the driver does not have."""
    labels = {"connection": "", "collector": call}
    names = ("hostd_collector_success", "hostd_collector_unsupported")
    return tuple(telemetry.REGISTRY.get_sample_value(name, labels) for name in names)


def ignore(_notice: Notice) -> None:
    return
