"""Subscribing to all that libvirt tells of, as far as the driver and the libvirt at the other end have it.

A callback runs in libvirt's own thread, and a guest may bring it about: it makes a notice, hands it over, and does
nothing else. Whatever goes wrong in that costs the one event, and is counted.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import libvirt

from hostd import telemetry
from hostd.hypervisor import DomainNotice, Notice, ObjectNotice
from hostd.hypervisor.link import in_one_line, is_alive
from hostd.hypervisor.notices import FAMILIES, Event, Family
from hostd.hypervisor.support import Support

_log = logging.getLogger(__name__)

Tell = Callable[[Notice], None]
Undo = Callable[[], None]


def subscribe(connection: Any, tell: Tell, support: Support) -> Sequence[Undo]:  # noqa: ANN401 - the binding has no types
    """Have `tell` hear of everything; what came of it is undone by calling each of what is returned. Blocks.

    Raises:
        libvirt.libvirtError: the connection broke, or does not tell of domains for another reason than its driver.

    """
    version = _version_of(connection)
    undo: list[Undo] = []
    try:
        for family in FAMILIES:
            undo += _subscribed(connection, family, tell, support, version)
    except libvirt.libvirtError:
        unsubscribe(undo)
        raise
    return undo


def unsubscribe(undo: Sequence[Undo]) -> None:
    """Hear no more; a connection that is broken tells nothing anyway."""
    for each in undo:
        with suppress(libvirt.libvirtError):
            each()


def _subscribed(
    connection: Any,  # noqa: ANN401
    family: Family,
    tell: Tell,
    support: Support,
    version: tuple[int, int, int],
) -> list[Undo]:
    collector = f"{family.object}_events"
    undo: list[Undo] = []
    register, deregister = getattr(connection, family.register), getattr(connection, family.deregister)
    try:
        for event in family.events:
            number = getattr(libvirt, event.constant, None)
            if number is None or event.since > version:
                continue
            heard = _callback(family, event, tell, support)
            if (subscription := support.ask(collector, partial(register, None, number, heard, None))) is None:
                return undo
            undo.append(partial(deregister, subscription))
    except libvirt.libvirtError as error:
        if family.object == "domain" or not is_alive(connection):
            unsubscribe(undo)
            raise
        # the business of another daemon (virtnetworkd) that is not there, or not ours by the host's rules
        telemetry.COLLECTOR_SUCCESS.labels(support.connection_name, collector).set(0)
        _log.warning("%s: %s; asked for again at the next connection", collector, in_one_line(error))
    else:
        telemetry.COLLECTOR_SUCCESS.labels(support.connection_name, collector).set(1)
    return undo


def _callback(family: Family, event: Event, tell: Tell, support: Support) -> Callable[..., None]:
    make = _domain_notice if family.object == "domain" else _object_notice

    def heard(_connection: object, subject: Any, *arguments: object) -> None:  # noqa: ANN401
        try:
            notice = make(family, event, subject, arguments[:-1])  # the last is ours, and nothing
        except Exception as error:  # noqa: BLE001 - of one event, in a thread that all need
            telemetry.EVENTS_UNDECODED.labels(support.connection_name, family.object, event.name).inc()
            _log.debug("%s event %s: not understood and not counted: %r", family.object, event.name, error)
        else:
            tell(notice)

    return heard


def _domain_notice(_family: Family, event: Event, domain: Any, arguments: Sequence[object]) -> DomainNotice:  # noqa: ANN401
    meaning = event.meaning(*arguments)
    return DomainNotice(
        uuid=domain.UUIDString(),
        name=domain.name(),
        event=meaning.event or event.name,
        detail=meaning.detail,
        at=time.time(),
        particulars=meaning.particulars,
        job=meaning.job,
        changes_facts=event.changes_facts,
        is_quiet=event.is_quiet,
    )


def _object_notice(family: Family, event: Event, subject: Any, arguments: Sequence[object]) -> ObjectNotice:  # noqa: ANN401
    meaning = event.meaning(*arguments)
    return ObjectNotice(
        object=family.object,
        name=getattr(subject, family.identity)(),
        event=meaning.event or event.name,
        detail=meaning.detail,
        at=time.time(),
        particulars=meaning.particulars,
        is_quiet=event.is_quiet,
    )


def _version_of(connection: Any) -> tuple[int, int, int]:  # noqa: ANN401
    number = connection.getLibVersion()
    return number // 1_000_000, number // 1_000 % 1_000, number % 1_000
