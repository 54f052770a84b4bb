"""Every figure: its name, what it is of, its target in the words it was set in, and the function that measures it."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import agent, collection, cuts, events, footprint, guest, lines, render, scrape, stuck, vhostmd
from bench.outcome import Outcome, Reading, Unit, ratio
from bench.stage import Stage


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: `at_most` is the target for the outcome's `judged`, `target` the same in words."""

    name: str
    what: str
    target: str
    at_most: float
    measure: Callable[[Stage], Outcome]

    def is_met(self, outcome: Outcome) -> bool:
        """Whether the target is met."""
        return outcome.judged.value <= self.at_most and outcome.holds


def rendering(_stage: Stage) -> Outcome:
    """The page of 1,000 domains, as a share of what prometheus_client takes for the same families."""
    result = render.measure()
    measured = Reading(value=result.ours, unit=Unit.SECONDS, of=f"for {result.samples:,} samples")
    beside = Reading(value=result.theirs, unit=Unit.SECONDS, of="generate_latest")
    return Outcome(measured=measured, beside=beside, judged=ratio(measured, beside))


# In the order they run: what leaves libvirt as it was comes before what hangs a domain.
FIGURES = (
    Figure("collection", "one full collection, wall time", "≤ 0.7", 0.7, collection.measure),
    Figure("scrape", "GET /metrics, median", "≤ 1/20, ≥ 5 x the samples", 1 / 20, scrape.beside_exporter),
    Figure("slowest", "slowest /metrics of 200 during collections", "≤ 50 ms", 0.050, scrape.slowest),
    Figure("stall", "longest stall of the event loop", "≤ 50 ms", 0.050, scrape.longest_stall),
    Figure("rendering", "rendering 1,000 domains x 97 samples", "≤ 1/10", 1 / 10, rendering),
    Figure("events", "libvirt event to visible counter, p99", "≤ 100 ms", 0.100, events.measure),
    Figure("memory", "hostd's memory at the real domains", "≤ 80 MB", 80e6, footprint.memory),
    Figure("cpu", "hostd's CPU, 10 s interval", "≤ 3 % of a core", 0.03, footprint.cpu),
    Figure("memory-1000", "hostd's memory at 1,000 domains", "≤ 200 MB", 200e6, footprint.memory_of_many),
    Figure("lines-cpu", "hostd's CPU, 1,000 guests x 100 values / 5 s", "≤ 25 % of a core", 0.25, lines.cpu),
    Figure("lines-visible", "a report to visible, p99, 200 guests", "≤ 250 ms", 0.250, lines.visible),
    Figure("lines-flood", "one guest floods: the others' p99", "≤ 50 ms more", 0.050, lines.flood_delay),
    Figure("lines-flood-memory", "one guest floods: hostd's memory", "≤ 10 MB more", 10e6, lines.flood_memory),
    Figure("vhostmd-cpu", "vhostmd's part for 100 domains, 5 s", "≤ 1 % of a core", 0.01, vhostmd.cpu),
    Figure("vhostmd-answers", "1,000 requests over 100 channels, p99", "≤ 20 ms", 0.020, vhostmd.answers),
    Figure("vhostmd-flood", "one guest floods that port: hostd's CPU", "≤ 1 % of a core more", 0.01, vhostmd.flood),
    Figure("cuts", "events lost or doubled over 200 cuts of a line", "0", 0.0, cuts.events),
    Figure("agent-memory", "the agent's memory, 10 s interval", "≤ 25 MiB", 25 * 2**20, agent.memory),
    Figure("agent-cpu", "the agent's CPU in a session, 10 s interval", "≤ 0.5 % of a core", 0.005, agent.cpu),
    Figure("agent-absent", "the agent's CPU with the host absent", "≤ 0.1 % of a core", 0.001, agent.cpu_absent),
    Figure("agent-size", "guestagent.pyz", "≤ 200 kB", 200e3, agent.size),
    Figure("agent-start", "the agent's start to its hello", "≤ 0.5 s", 0.5, agent.start),
    Figure("round-trip", "a request through an emulated guest, median", "≤ 3 x an echo", 3.0, guest.round_trip),
    Figure("stuck-age", "one QEMU stopped: age of the others' data", "≤ 2 intervals", 2.0, stuck.others_age),
    # 1.5 stands for unchanged: it leaves room for the noise of two medians.
    Figure("stuck-scrape", "one QEMU stopped: GET /metrics, median", "unchanged (≤ 1.5 x)", 1.5, stuck.scrape_time),
)
