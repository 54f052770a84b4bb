"""Libvirt's numbers by libvirt's names, held against the constants of the libvirt that is installed."""

import re
from collections.abc import Iterator

import libvirt
import pytest

from hostd.hypervisor import names
from hostd.metrics import domain as domain_metrics
from hostd.model.stats import DomainState


def constants(prefix: str) -> Iterator[tuple[str, int]]:
    """Libvirt's constants that begin so, the ends of enumerations left out."""
    for name, value in vars(libvirt).items():
        if name.startswith(prefix) and isinstance(value, int) and not name.endswith("_LAST"):
            yield name.removeprefix(prefix).lower(), value


STATES = {state.name: getattr(libvirt, f"VIR_DOMAIN_{state.name}") for state in DomainState}
OTHERS = {  # which begin like a reason and are none: virDomainShutdownFlagValues, virDomainPMSuspendedDiskReason
    *((DomainState.SHUTDOWN, flag) for flag in ("default", "acpi_power_btn", "guest_agent", "initctl", "signal")),
    (DomainState.SHUTDOWN, "paravirt"),
    (DomainState.PMSUSPENDED, "disk_unknown"),
}
REASONS = [
    (state, number, reason)
    for state in DomainState
    for reason, number in constants(f"VIR_DOMAIN_{state.name}_")
    if (state, reason) not in OTHERS
]
_EVENT_IDS = re.compile(r"VIR_DOMAIN_EVENT_(?!ID_)[A-Z]+")
EVENTS = {
    name.removeprefix("VIR_DOMAIN_EVENT_").lower(): value
    for name, value in vars(libvirt).items()
    if _EVENT_IDS.fullmatch(name) and name != "VIR_DOMAIN_EVENT_LAST"
}
DETAILS = [
    (event, at, number, detail)
    for event, at in EVENTS.items()
    for detail, number in constants(f"VIR_DOMAIN_EVENT_{event.upper()}_")
]


def test_the_states_are_in_libvirts_order() -> None:
    assert [STATES[state.name] for state in names.STATES] == list(range(len(names.STATES)))


def test_each_state_is_known_by_libvirts_name() -> None:
    assert [state.value for state in names.STATES] == [state.name.lower() for state in names.STATES]


def test_every_state_has_reasons() -> None:
    assert set(names.REASONS) == set(DomainState)
    assert {state for state, _, _ in REASONS} == set(DomainState)


@pytest.mark.parametrize(("state", "number", "reason"), REASONS)
def test_every_reason_has_libvirts_own_name(state: DomainState, number: int, reason: str) -> None:
    assert names.state_of(STATES[state.name], number) == (state, reason)


def test_every_event_of_the_installed_libvirt_is_known() -> None:
    assert [name for name, _ in names.EVENTS] == sorted(EVENTS, key=EVENTS.__getitem__)


@pytest.mark.parametrize(("event", "at", "number", "detail"), DETAILS)
def test_every_detail_has_libvirts_own_name(event: str, at: int, number: int, detail: str) -> None:
    assert names.event_of(at, number) == (event, detail)


def test_every_vcpu_state_has_libvirts_own_name() -> None:
    own = {name: number for name, number in constants("VIR_VCPU_") if not name.startswith("info_")}
    assert list(names.VCPU_STATES) == sorted(own, key=own.__getitem__)


def test_the_vcpu_states_of_the_metrics_are_those_of_the_names() -> None:
    assert domain_metrics.VCPU_STATES == names.VCPU_STATES


@pytest.mark.parametrize("number", [-1, 99, 2**31])
def test_a_number_that_is_not_known_is_its_own_name(number: int) -> None:
    assert names.named(number, ("a", "b")) == str(number)
    assert names.state_of(1, number) == (DomainState.RUNNING, str(number))
    assert names.state_of(number, 0) == (DomainState.NOSTATE, "unknown")
    assert names.event_of(number, 3) == (str(number), "3")
    assert names.event_of(2, number) == ("started", str(number))
