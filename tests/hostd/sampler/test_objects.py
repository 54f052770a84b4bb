"""Collections of networks and counts."""

import logging
from functools import partial

import pytest

from hostd.hypervisor import CallFailed, HypervisorError, TimedOut, Unavailable
from hostd.model.objects import Countable, Network, Objects
from hostd.sampler.objects import MOST_SILENT, OtherObjects
from hostd.store import Store
from tests.support.builders import world
from tests.support.hosts import NETWORK, OBJECTS
from tests.support.hypervisor import FakeHypervisor

STUCK = TimedOut("is stuck")
OTHER = Network(uuid="88888888-8888-4888-8888-888888888888", name="storage net", is_active=False)


def collecting(*networks: Network) -> tuple[Store, FakeHypervisor, OtherObjects]:
    fake, store = FakeHypervisor(), Store(world(objects=Objects()))
    fake.networks = {network.uuid: network for network in networks}
    fake.counts = {what: dict(counts) for what, counts in OBJECTS.counts.items()}
    return store, fake, OtherObjects(store, fake)


def unresponsive(network: Network) -> Network:
    return Network(uuid=network.uuid, name=network.name, is_responsive=False)


async def test_everything_is_told() -> None:
    store, _, subject = collecting(NETWORK)
    await subject.collect()
    assert store.world.objects == OBJECTS


async def test_what_the_driver_does_not_have_is_not_counted() -> None:
    store, fake, subject = collecting(NETWORK)
    del fake.counts[Countable.SECRETS]
    await subject.collect()
    assert set(store.world.objects.counts) == set(Countable) - {Countable.SECRETS}


@pytest.mark.parametrize("fault", [STUCK, CallFailed("no such file")])
async def test_a_network_that_fails_costs_only_itself(caplog: pytest.LogCaptureFixture, fault: HypervisorError) -> None:
    store, fake, subject = collecting(OTHER, NETWORK)
    fake.faults[OTHER.uuid] = fault
    for _ in range(3):
        await subject.collect()
        assert store.world.objects.networks == {OTHER.uuid: unresponsive(OTHER), NETWORK.uuid: NETWORK}
        assert store.world.objects.counts == OBJECTS.counts
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"network 'storage net': {fault}"]
    fake.faults.clear()
    await subject.collect()
    assert store.world.objects.networks[OTHER.uuid] == OTHER


async def test_a_network_that_is_gone_meanwhile_is_not_there() -> None:
    store, fake, subject = collecting(OTHER, NETWORK)
    fake.before[OTHER.uuid] = partial(fake.networks.__delitem__, OTHER.uuid)
    await subject.collect()
    assert set(store.world.objects.networks) == {NETWORK.uuid}


async def test_when_not_even_the_list_can_be_had_no_network_is_responsive_and_the_rest_is_counted() -> None:
    store, fake, subject = collecting(NETWORK)
    await subject.collect()
    fake.faults["list_networks"] = STUCK
    with pytest.raises(TimedOut):
        await subject.collect()
    assert store.world.objects.networks == {NETWORK.uuid: unresponsive(NETWORK)}
    assert store.world.objects.counts == OBJECTS.counts


async def test_what_cannot_be_counted_is_not_known_and_the_rest_is() -> None:
    store, fake, subject = collecting(NETWORK)
    fake.faults[Countable.INTERFACES.value] = CallFailed("no netcf")
    with pytest.raises(CallFailed, match="netcf"):
        await subject.collect()
    assert store.world.objects.networks == OBJECTS.networks
    assert set(store.world.objects.counts) == set(Countable) - {Countable.INTERFACES}


async def test_however_many_hang_only_so_many_are_waited_for_and_all_are_found_again_once_they_answer() -> None:
    networks = [Network(uuid=f"n{at}", name=f"n{at}", is_active=True) for at in range(9)]
    store, fake, subject = collecting(*networks)
    fake.faults = {network.uuid: STUCK for network in networks}
    for _ in range(3):
        with pytest.raises(TimedOut, match="left alone"):
            await subject.collect()
        told = [store.world.objects.networks[network.uuid].is_responsive for network in networks]
        assert told == [False] * MOST_SILENT + [None] * (9 - MOST_SILENT)
    assert [fake.asked[network.uuid] for network in networks] == [3] * MOST_SILENT + [0] * (9 - MOST_SILENT)
    fake.faults.clear()
    await subject.collect()
    assert store.world.objects == Objects(networks=fake.networks, counts=OBJECTS.counts)


async def test_networks_that_hung_and_are_gone_do_not_keep_the_others_from_being_asked() -> None:
    hanging = [Network(uuid=f"n{at}", name=f"n{at}") for at in range(MOST_SILENT)]
    store, fake, subject = collecting(*hanging)
    fake.faults = {network.uuid: STUCK for network in hanging}
    with pytest.raises(TimedOut):
        await subject.collect()
    fake.networks = {NETWORK.uuid: NETWORK}
    await subject.collect()
    assert store.world.objects == OBJECTS


async def test_a_connection_that_breaks_ends_the_collection() -> None:
    _, fake, subject = collecting(NETWORK, OTHER)
    fake.faults[NETWORK.uuid] = Unavailable("end of file")
    with pytest.raises(Unavailable):
        await subject.collect()
    assert fake.asked[OTHER.uuid] == 0
