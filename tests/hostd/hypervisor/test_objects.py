"""Networks and counts where the test driver has none to show: leases, bridges that are not, secrets."""

from collections.abc import Callable
from typing import Any, TypeAlias

import libvirt
import pytest

from hostd.hypervisor import objects
from hostd.hypervisor.support import Support
from hostd.model.objects import Countable, Network

Call: TypeAlias = Callable[[], Any]

UUID = "77777777-7777-4777-8777-777777777777"


def failing(code: int) -> Call:
    """A call of libvirt's that ends in that error."""

    def fail() -> None:
        error = libvirt.libvirtError("no")
        error.err = (code, 0, "no", 0, "", "", "", 0, 0)
        raise error

    return fail


class OneNetwork:
    """A connection to a driver that has one network, and that network; `calls` are what a test makes different."""

    def __init__(self, **calls: Call) -> None:
        known: dict[str, Call] = {
            "isAlive": lambda: True,
            "isActive": lambda: 1,
            "isPersistent": lambda: 1,
            "autostart": lambda: 0,
            "name": lambda: "default",
            "bridgeName": lambda: "virbr0",
            "DHCPLeases": lambda: [{"ipaddr": "192.168.122.2"}] * 3,
        }
        for name, call in {**known, **calls}.items():
            setattr(self, name, call)

    def networkLookupByUUIDString(self, _uuid: str) -> "OneNetwork":  # noqa: N802 - the binding's
        return self


class Secret:
    """One secret: asking for more than its usage is an error."""

    def __init__(self, usage: int) -> None:
        self._usage = usage

    def usageType(self) -> int:  # noqa: N802 - the binding's
        return self._usage


def sampled(**calls: Call) -> Network | None:
    return objects.network(OneNetwork(**calls), UUID, Support(""))


def known(**others: Any) -> Network:  # noqa: ANN401 - the fields of Network
    facts = {"bridge": "virbr0", "is_active": True, "is_persistent": True, "is_autostart": False, "dhcp_leases": 3}
    return Network(uuid=UUID, name="default", **{**facts, **others})


def test_an_active_network_tells_how_many_leases_it_has_given_out() -> None:
    assert sampled() == known()


def test_an_inactive_network_has_no_leases_to_count() -> None:
    assert sampled(isActive=lambda: 0) == known(is_active=False, dhcp_leases=None)


def test_no_more_leases_are_counted_than_there_is_a_bound_for() -> None:
    assert sampled(DHCPLeases=lambda: [{}] * (objects.MOST_LEASES + 1)) == known(dhcp_leases=objects.MOST_LEASES)


@pytest.mark.parametrize("code", [libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INTERNAL_ERROR])
def test_leases_that_cannot_be_had_and_a_bridge_that_there_is_not_cost_only_themselves(code: int) -> None:
    assert sampled(DHCPLeases=failing(code)) == known(dhcp_leases=None)
    assert sampled(bridgeName=failing(libvirt.VIR_ERR_INTERNAL_ERROR)) == known(bridge=None)


@pytest.mark.parametrize("call", ["isActive", "bridgeName", "autostart", "DHCPLeases"])
def test_a_network_that_goes_while_it_is_asked_is_gone(call: str) -> None:
    assert sampled(**{call: failing(libvirt.VIR_ERR_NO_NETWORK)}) is None


@pytest.mark.parametrize("call", ["bridgeName", "DHCPLeases"])
def test_a_connection_that_breaks_while_it_is_asked_says_nothing_of_the_network(call: str) -> None:
    with pytest.raises(libvirt.libvirtError):
        sampled(**{call: failing(libvirt.VIR_ERR_RPC), "isAlive": lambda: False})


def test_an_error_that_is_the_networks_own_is_told() -> None:
    with pytest.raises(libvirt.libvirtError):
        sampled(autostart=failing(libvirt.VIR_ERR_INTERNAL_ERROR))


def test_a_driver_without_networks_has_none() -> None:
    connection = OneNetwork(listAllNetworks=failing(libvirt.VIR_ERR_NO_SUPPORT))
    assert objects.networks(connection, Support("")) == {}


def test_secrets_are_counted_by_what_they_are_for_and_nothing_else_is_asked_of_them() -> None:
    secrets = [Secret(libvirt.VIR_SECRET_USAGE_TYPE_CEPH)] * 2 + [
        Secret(libvirt.VIR_SECRET_USAGE_TYPE_VTPM),
        Secret(77),
    ]
    counts = objects.count(OneNetwork(listAllSecrets=lambda: secrets), Countable.SECRETS, Support(""))
    assert counts == {"none": 0, "volume": 0, "ceph": 2, "iscsi": 0, "tls": 0, "vtpm": 1, "77": 1}


def test_network_filters_are_counted_as_they_are() -> None:
    connection = OneNetwork(numOfNWFilters=lambda: 19)
    assert objects.count(connection, Countable.NWFILTERS, Support("")) == {"": 19}
