# ruff: noqa: INP001 - a program, not a package
"""Writes ``docs/metrics.md``: every family that hostd exports, from the tables that it exports them by.

Nothing there is written by hand but the introduction below, so that the page cannot lag behind: a test makes it anew
and compares. The same tables and the same sources give the same bytes.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from hostd import telemetry
from hostd.exposition.known import LEFT_OUT
from hostd.metrics import block, connection, details, domain, event, facts, guest, host, interface, iotune, kvm, objects
from hostd.metrics import perf as perf_tables
from hostd.metrics import storage as storage_tables
from hostd.metrics.compat import PEERS, widened
from hostd.metrics.row import Kind, Scope

TARGET = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
EXPORTED = Path(__file__).resolve().parent / "peers.toml"

Scopes = tuple[Scope[Any, Any, Any], ...]

INTRODUCTION = """\
# Metrics

Everything on hostd's page. Written by `make docs` from the tables in `hostd/metrics/`: change a row there, not here.

**Whose words they are is in the prefix.** `libvirt_` is what libvirt says, `guest_` is what the agent in a guest claims
of itself, and `hostd_` is what hostd has seen or counted on its own: of itself, of the line to a guest, or of a
domain's process by the host's kernel. `process_` is hostd's process.

**Absent means not known, and is never 0.** A driver that does not have a number, a domain that does not answer and a
guest without an agent have no series of it; a 0 was counted. `hostd_domain_responsive`, `hostd_collector_success` and
`guest_agent_connected` say why something is missing. Of a disk's limits absent means that there is none.

**Labels.** Each series of a domain has `domain` (its name) and `uuid`; both are libvirt's, never the guest's. The name
is for people and may be given anew, the UUID is the identity: join `on (uuid)`. Where connections have names,
`connection` comes first on every series of theirs. Labels that `exposition.promote` adds come on top. The tables name
the rest.

**Kinds of families.**

- A *counter* only grows, ends in `_total`, and begins anew when what it counts does.
- A *state set* is one series for each state there is, 1 for the one that holds and 0 for the others: no series comes or
  goes as the state changes. "Is it paused?" is `libvirt_domain_state{state="paused"} == 1`.
- An *info metric* ends in `_info` and is always 1: its labels are what it says. Multiply by it to borrow them:
  `… * on (uuid, target_device) group_left (source_file) libvirt_domain_block_stats_info`.
- An *age* ends in `_age_seconds` and is computed at the scrape. All else is as it was when hostd last collected it,
  which `hostd_domain_sample_age_seconds` and `guest_report_age_seconds` tell.
- Moments (`_timestamp_seconds`, `_start_time_seconds`) are in seconds since 1970.

**Since when a domain runs** libvirt does not say. `hostd_domain_process_start_time_seconds` is exact where its process
is on this machine (QEMU, LXC); for others (Xen, remote hosts) there is the last start that hostd heard of,
`libvirt_domain_last_event_timestamp_seconds{event="started"}`. A migration begins another process; a wake-up from
suspend is told as a start.

**Units are base units** and in the name: `_seconds`, `_bytes`, `_hertz`, and ratios from 0 to 1. What is on or off is 1
or 0.
"""

COMING = """\
## Coming from another exporter

Most names are those that you know. What they call otherwise comes back with

```toml
[exposition]
compat = ["tinkoff", "inovex"]  # or one of them
```

for as long as your dashboards need it: their names, with exactly their labels, units and types, beside ours.

- A family that both have under one name stays ours, with the further label `uuid` and, with the switch, those labels of
  theirs that ours lacks: there are never two of one name. Queries by `domain` go on as they are; one that divides such
  a family by one of the switch's needs `on (domain)`.
- Such families know a domain by its name alone. Of two domains of one name on one connection the first is told of.
- They are beyond `exposition.max_series_per_domain`, and rendered anew for all domains whenever one of them changes.
- Absent means not known in them as well; several exporters tell 0 there.
- A connection's name, where it has one, is on these series, too.
"""


class Subject(NamedTuple):
    """A heading and the tables below it."""

    title: str
    about: str
    scopes: Scopes


SUBJECTS: tuple[Subject, ...] = (
    Subject("Connection and host", "By connection.", (*connection.SCOPES, *host.SCOPES)),
    Subject("Storage", "By connection; volumes only with `storage.volumes`.", storage_tables.SCOPES),
    Subject("Objects", "By connection: networks, and what is only counted.", objects.SCOPES),
    Subject("Domain", "By domain.", (*domain.SCOPES, LEFT_OUT)),
    Subject(
        "Events",
        "`libvirt_events_total` by connection, the rest by domain.",
        (*event.WORLD_SCOPES, *event.DOMAIN_SCOPES),
    ),
    Subject("Block devices", "By domain.", block.SCOPES),
    Subject("Limits of block devices (iotune)", "By domain; each only where the domain's XML sets it.", iotune.SCOPES),
    Subject("Network interfaces", "By domain.", interface.SCOPES),
    Subject("KVM, I/O threads, the dirty rate and places of virtual CPUs", "By domain.", kvm.SCOPES),
    Subject(
        "Perf events and resource monitors", "By domain; only where the domain's XML asks for them.", perf_tables.SCOPES
    ),
    Subject("Facts from a domain's XML", "By domain.", facts.SCOPES),
    Subject("Details that are asked for now and then", "By domain; a job's only while one runs.", details.SCOPES),
    Subject("Guest", "By domain; only where the domain has the agent's channel.", guest.SCOPES),
)
"""All there is (a test says so) besides hostd's own."""

OWN_ABOUT = (
    "Counted as it happens and labelled with nothing but what is named here; domains' finished jobs are among it."
)


class Row(NamedTuple):
    """A family as a line of a table."""

    name: str
    kind: str
    labels: tuple[str, ...] | None  # None where each series brings its own
    help: str


def main() -> None:
    """Write the page, unless it is already what it would become."""
    page = text()
    if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page:
        TARGET.write_text(page, encoding="utf-8")
        sys.stdout.write(f"{TARGET.name}: {len(page) / 1000:.0f} kB\n")


def text() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    parts += [_section(subject.title, subject.about, _rows(subject.scopes)) for subject in SUBJECTS]
    parts.append(_section("hostd itself", OWN_ABOUT, _own()))
    exported = tomllib.loads(EXPORTED.read_text(encoding="utf-8"))
    parts += [COMING, *(_peer(name, exported[name]) for name in PEERS)]
    return "\n".join(parts)


def _peer(name: str, exported: dict[str, Any]) -> str:
    """What to know when coming from one peer."""
    reasons: dict[str, list[str]] = {}
    for family, reason in exported["left_out"].items():
        reasons.setdefault(reason, []).append(family)
    lines = [
        f"### {exported['title']}\n",
        f'Under another name, and there with `compat = ["{name}"]`:\n',
        "| theirs | ours | what differs |",
        "|---|---|---|",
        *(f"| `{family.name}` | `{family.ours}` | {_cell(family.differs)} |" for family in PEERS[name]),
        "\nUnder the same name, but different in more than the further label `uuid`:\n",
        "| name | what differs |",
        "|---|---|",
        *(f"| `{family}` | {_cell(what)} |" for family, what in _differences(name, exported)),
        "",
    ]
    if reasons:
        lines += ["Not there, with the switch or without:\n", "| theirs | why |", "|---|---|"]
        lines += [f"| {_names(families)} | {_cell(reason)} |" for reason, families in reasons.items()]
        lines.append("")
    return "\n".join(lines)


def _differences(peer: str, exported: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The families that we have under the peer's names, and what of them is not the same with its switch."""
    rows = (row for subject in SUBJECTS for row in _rows(widened(subject.scopes, (peer,))))
    ours = {row.name: set(row.labels or ()) for row in rows}
    for family, labels in exported["families"].items():
        theirs = set(labels) - {"domain"}
        known = ours.get(family, theirs)
        more, fewer = sorted(known - theirs), sorted(theirs - known)
        labelled = f"also labelled {_names(more)}" if more else ""
        unlabelled = f"without the label {_names(fewer)}" if fewer else ""
        what = [words for words in (exported["differs"].get(family), labelled, unlabelled) if words]
        if what:
            yield family, "; ".join(what)


def _section(title: str, about: str, rows: Iterable[Row]) -> str:
    lines = [f"| `{r.name}` | {r.kind} | {_labels(r)} | {_cell(r.help)} |" for r in rows]
    return "\n".join(
        [f"## {title}\n\n{about}\n", "| name | type | labels | what it says |", "|---|---|---|---|", *lines, ""]
    )


def _rows(scopes: Scopes) -> Iterator[Row]:
    for scope in scopes:
        for metric in scope.metrics:
            name = metric.name.removesuffix("_bucket") if metric.kind is Kind.HISTOGRAM else metric.name
            yield Row(name, metric.kind.value, scope.labels, metric.help)


def _own() -> Iterator[Row]:
    """The families of hostd's own registry, also those that have no series yet."""
    wrapped = [each for each in vars(telemetry).values() if isinstance(each, MetricWrapperBase)]
    labels = {family.name: each._labelnames for each in wrapped for family in each.describe()}  # noqa: SLF001
    suffixes = {"counter": "_total", "info": "_info"}
    for family in telemetry.REGISTRY.collect():
        kind = "gauge" if family.type == "info" else family.type
        of = labels.get(family.name, ())
        if family.type == "info":  # whose labels are what it says
            of = tuple(sorted(family.samples[0].labels))
        yield Row(family.name + suffixes.get(family.type, ""), kind, of, family.documentation)


def _labels(row: Row) -> str:
    return "whichever `[[metadata]]` names" if row.labels is None else _names(row.labels)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(words: str) -> str:
    return words.replace("|", r"\|").replace("\n", " ")


if __name__ == "__main__":
    main()
