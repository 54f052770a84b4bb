"""What libvirt is asked of one domain by slow calls, as a function that blocks: it runs in a lane's thread.

Most of them are answered by libvirt alone. Two may speak with the domain's monitor (which disks have failed, how far a
job is), and those are left out while somebody else is at it, for so they cannot wait for him. That a job runs is not in
the control state: libvirt tells it there only while the job itself is at the monitor (seen with a backup on 9.0), so
jobs are asked after by themselves. Each call that fails costs its own part alone.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

import libvirt

from hostd.hypervisor import progress
from hostd.hypervisor.link import is_alive
from hostd.hypervisor.names import CONTROL_STATES, state_of
from hostd.hypervisor.selection import Devices
from hostd.hypervisor.support import Support
from hostd.model.details import Details, Job, Messages, Snapshots
from hostd.model.stats import IN_THE_MAKING, ControlState

_Binding: TypeAlias = Any  # libvirt's objects have no types
T = TypeVar("T")

MOST_MESSAGES = 32  # of one kind
MOST_CHARACTERS = 200  # of a message
MOST_LOOKED_AT = 64  # snapshots that are asked for their age

_MAY_ASK_FOR_JOB = frozenset({ControlState.OK, ControlState.JOB})
_MESSAGES: Mapping[str, int] = {  # virDomainMessageType; its last is of libvirt 11.1, which the binding may not know
    "tainting": 1 << 1,
    "deprecation": 1 << 0,
    "ioerror": 1 << 2,
}


def details(connection: _Binding, each: _Binding, support: Support, devices: Devices) -> Details:
    """Everything, of its disks of those that are wanted.

    Raises:
        libvirt.libvirtError: the domain is gone, or the connection is.

    """
    ask = _Asker(connection, support).ask
    is_active = bool(each.isActive())
    control = _control(each, ask) if is_active else None
    may_be_asked = control is ControlState.OK and state_of(*each.state()) not in IN_THE_MAKING
    is_autostarted = ask("autostart", each.autostart)
    is_saved = ask("managed_save", each.hasManagedSaveImage)
    wants_errors = is_active and not devices.disks.is_none
    errors = ask("disk_errors", each.diskErrors) if wants_errors and may_be_asked else None
    return Details(
        is_autostarted=None if is_autostarted is None else bool(is_autostarted),
        has_managed_save=None if is_saved is None else bool(is_saved),
        messages=tuple(_messages(each, ask)),
        disk_errors=None if errors is None else progress.disk_errors(errors, devices.disks),
        snapshots=_snapshots(each, ask),
        job=_job(each, ask) if control in _MAY_ASK_FOR_JOB else None,
        is_whole=may_be_asked or not wants_errors,
    )


def job(connection: _Binding, each: _Binding, support: Support) -> Job | None:
    """The job that runs, alone; None if it cannot be said.

    Raises:
        libvirt.libvirtError: the domain is gone, or the connection is.

    """
    ask = _Asker(connection, support).ask
    return _job(each, ask) if _control(each, ask) in _MAY_ASK_FOR_JOB else None


class _Asker:
    """Asks one thing after another; what the driver refuses is not known."""

    def __init__(self, connection: _Binding, support: Support) -> None:
        self._connection = connection
        self._support = support

    def ask(self, call: str, question: Callable[[], T]) -> T | None:
        try:
            return self._support.ask(call, question)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN or not is_alive(self._connection):
                raise
            return None


def _control(each: _Binding, ask: Callable[..., Any]) -> ControlState:
    """A driver that does not tell has no monitor to wait for."""
    info = ask("control_info", each.controlInfo)
    if info is None:
        return ControlState.OK
    return CONTROL_STATES[info[0]] if 0 <= info[0] < len(CONTROL_STATES) else ControlState.ERROR


def _job(each: _Binding, ask: Callable[..., Any]) -> Job | None:
    params = ask("job_stats", each.jobStats)
    return None if params is None else progress.job(params)


def _messages(each: _Binding, ask: Callable[..., Any]) -> Iterator[Messages]:
    """Kind by kind, since their texts are in the daemon's language."""
    for kind, flag in _MESSAGES.items():
        texts = ask(f"messages_{kind}", partial(_if_known, partial(each.messages, flag)))
        if texts is not None:
            yield Messages(kind=kind, texts=tuple(text[:MOST_CHARACTERS] for text in texts[:MOST_MESSAGES]))


def _if_known(question: Callable[[], T]) -> T:
    """A daemon that does not know a flag says "invalid argument": for our purposes it has no such call."""
    try:
        return question()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_INVALID_ARG:
            error.err = (libvirt.VIR_ERR_NO_SUPPORT, *error.err[1:])
        raise


def _snapshots(each: _Binding, ask: Callable[..., Any]) -> Snapshots | None:
    """The oldest is one that no other led to, and the newest one that led to no other: the rest are not looked at."""
    count = ask("snapshots", each.snapshotNum)
    if count is None:
        return None
    oldest = _moments(each, ask, libvirt.VIR_DOMAIN_SNAPSHOT_LIST_ROOTS) if count else []
    newest = _moments(each, ask, libvirt.VIR_DOMAIN_SNAPSHOT_LIST_LEAVES) if count else []
    return Snapshots(count=count, oldest_at=min(oldest, default=None), newest_at=max(newest, default=None))


def _moments(each: _Binding, ask: Callable[..., Any], flag: int) -> list[int]:
    """When these snapshots were made; nothing if they are too many to look at each."""
    snapshots = ask("snapshots", lambda: each.listAllSnapshots(flag)) or []
    return list(_created(snapshots, ask)) if len(snapshots) <= MOST_LOOKED_AT else []


def _created(snapshots: list[_Binding], ask: Callable[..., Any]) -> Iterator[int]:
    for snapshot in snapshots:
        xml = ask("snapshots", snapshot.getXMLDesc)
        moment = None if xml is None else progress.created_at(xml)
        if moment is not None:
            yield moment
