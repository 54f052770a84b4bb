"""What the agent had to throw away, give up or do again, each under a name of its own: `guestagent status` shows them.

Since the agent started. A name that is not in `COUNTERS` cannot be counted under.
"""

from __future__ import annotations

from protocol.errors import DropReason

COUNTERS: dict[str, str] = {
    **{f"input_{reason.value}": f"Pieces of the host's input dropped: {reason.value}." for reason in DropReason},
    "greetings": "Times the host was greeted.",
    "silences": "Sessions given up because the host said nothing for too long.",
    "hosts_away": "Times the host went away, or took nothing for too long.",
    "ports_lost": "Times the port was lost and had to be opened anew.",
    "reports_late": "Reports left out because an earlier one had not gone out in time, or the guest slept.",
    "events_repeated": "Events sent again because the host had not confirmed them.",
    "events_refused": "Events left out because they break the wire's rules: the host would refuse all with them.",
    "journals_renewed": "Times the journal began anew because this guest was set back to an earlier state.",
    "notices_repeated": "Notices of the host that had come before.",
    "notices_forgotten": "Notices forgotten to make room for newer ones.",
    "hooks_dropped": "Notices no hook was run for because too many were waiting.",
    "hooks_failed": "Hooks that could not be run, ended with an error or took too long.",
    "hooks_output_bytes": "Bytes of hooks' output that were over the limit and not logged.",
    "followers_dropped": "Programs that followed the notices and did not read, or were too many.",
}


class Counters:
    """A count for every name of `COUNTERS`."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(COUNTERS, 0)

    def add(self, name: str, count: int = 1) -> None:
        """It happened again, `count` times."""
        self._counts[name] += count

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def all(self) -> dict[str, int]:
        """Every count by its name, in the order of the table."""
        return dict(self._counts)

    def input_drops(self) -> dict[DropReason, int]:
        """How many pieces of input were dropped for each reason; reasons that never came up are left out."""
        counted = {reason: self._counts[f"input_{reason.value}"] for reason in DropReason}
        return {reason: count for reason, count in counted.items() if count}
