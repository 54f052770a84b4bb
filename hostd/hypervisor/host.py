"""The machine, asked of a connection that blocks: it runs in a thread of `calls`.

Each question costs only its own numbers, whether the driver does not have it or it fails. Capabilities are text that
takes libvirt long to write and that hardly changes, so they are read once a connection and again every ten minutes.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import libvirt

from hostd.hypervisor.capabilities import Described, described
from hostd.hypervisor.kernel import read_kernel
from hostd.hypervisor.process import host_pressures
from hostd.hypervisor.support import Support
from hostd.model.host import Capabilities, Cpu, Host, Ksm, NumaCell, Topology

_Binding: TypeAlias = Any  # libvirt's objects have no types

CAPABILITIES_SECONDS = 600.0  # huge pages may be set aside and CPUs plugged in; nothing else of them changes

_KIB = 1024
_HERTZ = 1_000_000  # libvirt counts in MHz
_NANOSECONDS = 1_000_000_000
_MILLISECONDS = 1_000
_ALL_CELLS = libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS

_log = logging.getLogger(__name__)


class Machine:
    """The host of one connection, and what is remembered of it between two questions."""

    def __init__(self, support: Support, *, is_this_machine: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._support = support
        self._is_this_machine = is_this_machine
        self._clock = clock
        self._described = Described()
        self._has_read_at: float | None = None

    def forget(self) -> None:
        """Another connection begins: its host may be another, or have changed meanwhile."""
        self._described, self._has_read_at = Described(), None

    @property
    def wants_capabilities(self) -> bool:
        """Whether they have not been read for so long that they should be, before the next sample."""
        return self._has_read_at is None or self._clock() >= self._has_read_at + CAPABILITIES_SECONDS

    def read_capabilities(self, connection: _Binding) -> None:
        """Read what the host can do. What cannot be understood is asked again no sooner than the rest."""
        xml = self._support.ask("host_capabilities", connection.getCapabilities)
        self._has_read_at = self._clock()
        try:
            self._described = Described() if xml is None else described(xml)
        except ValueError as error:
            _log.warning("%s", error)

    def sample(self, connection: _Binding) -> Host:
        """The machine now."""
        known = self._described
        model, memory_mib, cpus, mhz, nodes, sockets, cores, threads = connection.getInfo()
        memory = self._memory(connection)
        present = self._attempt(connection, "host_cpu_map", connection.getCPUMap)
        load1, load5, load15 = os.getloadavg() if self._is_this_machine else (None, None, None)
        return Host(
            cpus=cpus,
            cpus_present=present and present[0],
            vcpus_maximum=self._vcpus_maximum(connection, known.capabilities),
            topology=Topology(
                numa_nodes=nodes,
                sockets_per_node=sockets,
                cores_per_socket=cores,
                threads_per_core=threads,
                frequency_hertz=mhz * _HERTZ or None,  # 0 where the kernel does not tell
            ),
            each_cpu=self._each_cpu(connection, present[1] if present else ()),
            memory_total_bytes=memory.get("total", memory_mib * _KIB * _KIB),
            memory_free_bytes=memory.get("free"),
            memory_available_bytes=memory.get("available"),
            memory_buffers_bytes=memory.get("buffers"),
            memory_cached_bytes=memory.get("cached"),
            cells=self._cells(connection, known.cells),
            ksm=_ksm(self._attempt(connection, "host_ksm", connection.getMemoryParameters)),
            kernel=read_kernel() if self._is_this_machine else None,
            capabilities=replace(known.capabilities, architecture=known.capabilities.architecture or model),
            load1=load1,
            load5=load5,
            load15=load15,
            pressures=host_pressures() if self._is_this_machine else (),
        )

    def _attempt(self, connection: _Binding, call: str, question: Callable[[], _Binding]) -> _Binding:
        return self._support.attempt(call, question, connection)

    def _memory(self, connection: _Binding) -> Mapping[str, int]:
        """In bytes."""
        stats = self._attempt(connection, "host_memory_stats", lambda: connection.getMemoryStats(_ALL_CELLS))
        if stats is not None:
            return {key: kibibytes * _KIB for key, kibibytes in stats.items()}
        free = self._attempt(connection, "host_free_memory", connection.getFreeMemory)  # what Xen has; in bytes
        return {} if free is None else {"free": free}

    def _vcpus_maximum(self, connection: _Binding, capabilities: Capabilities) -> int | None:
        """Of the best type there is. Without KVM, libvirt's QEMU driver always says 16 (read in its source)."""
        types = capabilities.domain_types
        if "qemu" in types and "kvm" not in types:
            return None
        kind = "kvm" if "kvm" in types else None
        count = self._attempt(connection, "host_max_vcpus", lambda: connection.getMaxVcpus(kind))
        return None if count is None else int(count)

    def _each_cpu(self, connection: _Binding, online: Sequence[bool]) -> tuple[Cpu, ...]:
        def ask() -> tuple[Cpu, ...]:
            return tuple(
                _cpu(number, connection.getCPUStats(number)) if is_online else Cpu(number=number, is_online=False)
                for number, is_online in enumerate(online)
            )

        known: tuple[Cpu, ...] | None = self._attempt(connection, "host_cpu_stats", ask)
        if known is None:
            return tuple(Cpu(number=number, is_online=is_online) for number, is_online in enumerate(online))
        return known

    def _cells(self, connection: _Binding, cells: tuple[NumaCell, ...]) -> tuple[NumaCell, ...]:
        free = self._free_of_cells(connection, cells)
        pages = self._attempt(connection, "host_free_pages", lambda: dict(_free_pages(connection, cells))) or {}
        return tuple(
            replace(
                cell,
                free_bytes=free.get(cell.number),
                pages=tuple(replace(p, free=pages.get((cell.number, p.page_bytes))) for p in cell.pages),
            )
            for cell in cells
        )

    def _free_of_cells(self, connection: _Binding, cells: tuple[NumaCell, ...]) -> Mapping[int, int]:
        """One call for one cell: numbers may be left out, and then a call for several fails."""

        def ask() -> Mapping[int, int]:
            return {cell.number: connection.getCellsFreeMemory(cell.number, 1)[0] for cell in cells}

        return self._attempt(connection, "host_numa_free", ask) or {}


def _free_pages(connection: _Binding, cells: tuple[NumaCell, ...]) -> Iterator[tuple[tuple[int, int], int]]:
    """By cell and size."""
    for cell in cells:
        sizes = [pages.page_bytes // _KIB for pages in cell.pages]
        for of_cell in connection.getFreePages(sizes, cell.number, 1).values() if sizes else ():
            for size, count in of_cell.items():
                yield (cell.number, size * _KIB), count


def _cpu(number: int, times: Mapping[str, int]) -> Cpu:
    def seconds(key: str) -> float | None:
        return times[key] / _NANOSECONDS if key in times else None

    return Cpu(
        number=number,
        user_seconds=seconds("user"),
        system_seconds=seconds("kernel"),
        idle_seconds=seconds("idle"),
        iowait_seconds=seconds("iowait"),
        intr_seconds=seconds("intr"),
    )


def _ksm(parameters: Mapping[str, int] | None) -> Ksm | None:
    if not parameters:
        return None
    sleep, across = parameters.get("shm_sleep_millisecs"), parameters.get("shm_merge_across_nodes")
    return Ksm(
        pages_shared=parameters.get("shm_pages_shared"),
        pages_sharing=parameters.get("shm_pages_sharing"),
        pages_unshared=parameters.get("shm_pages_unshared"),
        pages_volatile=parameters.get("shm_pages_volatile"),
        pages_to_scan=parameters.get("shm_pages_to_scan"),
        full_scans=parameters.get("shm_full_scans"),
        sleep_seconds=None if sleep is None else sleep / _MILLISECONDS,
        is_across_nodes=None if across is None else bool(across),
    )
