"""The group INTERFACE."""

from hostd.hypervisor.decode.values import Params, count_of, text_of
from hostd.model.stats import InterfaceStats


def interface_of(params: Params, index: int, prefix: str) -> InterfaceStats:
    """One network interface; one that libvirt says nothing of is still there."""
    return InterfaceStats(
        index=index,
        name=text_of(params, f"{prefix}.name"),
        receive_bytes=count_of(params, f"{prefix}.rx.bytes"),
        receive_packets=count_of(params, f"{prefix}.rx.pkts"),
        receive_errors=count_of(params, f"{prefix}.rx.errs"),
        receive_drops=count_of(params, f"{prefix}.rx.drop"),
        transmit_bytes=count_of(params, f"{prefix}.tx.bytes"),
        transmit_packets=count_of(params, f"{prefix}.tx.pkts"),
        transmit_errors=count_of(params, f"{prefix}.tx.errs"),
        transmit_drops=count_of(params, f"{prefix}.tx.drop"),
    )
