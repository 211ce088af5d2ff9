"""One traffic run as a reader sees it: scenarios by HAProxy, what became of the mail, and its time lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from proxyspec.model import Verdict
from proxyspec.records.traffic import TrafficEvent, TrafficPoint, TrafficRecord, TrafficRun
from proxyspec_reports.facts import Fact, RunFacts, run_facts
from proxyspec_reports.load import Line, Plot
from proxyspec_reports.printable import show

__all__ = ["TrafficGroup", "TrafficRow", "TrafficView", "traffic_view"]

_LIMIT = 500
#: Rows whose time line has fewer points are too short for a drawing to tell anything.
_LEAST_POINTS = 6
#: Servers drawn each for itself when nothing happens to any of them.
_MOST_SERVERS = 3


@dataclass(frozen=True, slots=True)
class EventView:
    """Something that happened, `planned` by the scenario or noticed by HAProxy; `at` in seconds."""

    at: float
    text: str
    planned: bool


@dataclass(frozen=True, slots=True)
class FindingView:
    """What one expectation came to."""

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRow:
    """One scenario on one HAProxy; `down` is the longest time until DOWN in seconds, `rate` sessions per second."""

    anchor: str
    id: str
    scenario: str
    title: str
    verdict: Verdict
    reason: str
    rate: float | None
    sent: int
    acknowledged: int
    delivered: int
    lost: int
    duplicated: int
    in_doubt: int
    redispatched: int
    down: float | None
    findings: tuple[FindingView, ...]
    events: tuple[EventView, ...]
    errors: tuple[Fact, ...]
    figures: tuple[Fact, ...]
    plot: Plot | None


@dataclass(frozen=True, slots=True)
class TrafficGroup:
    """The scenarios on one HAProxy."""

    haproxy: str
    rows: tuple[TrafficRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficView:
    """A traffic run; `rate` is what was asked for, sessions per second."""

    template: ClassVar[str] = "_traffic.html.j2"
    name: ClassVar[str] = "Traffic"
    facts: RunFacts
    rate: float
    processors: int
    acknowledged: int
    lost: int
    duplicated: int
    groups: tuple[TrafficGroup, ...]


def traffic_view(run: TrafficRun, anchor: str) -> TrafficView:
    """Prepare one run; element ids begin with `anchor`."""
    groups: dict[str, list[TrafficRow]] = defaultdict(list)
    for number, row in enumerate(run.rows, 1):
        groups[row.id.rpartition("@")[2]].append(_row(row, f"{anchor}-row-{number}"))
    return TrafficView(
        facts=run_facts(run, anchor),
        rate=run.rate,
        processors=run.processors,
        acknowledged=sum(row.acknowledged for row in run.rows),
        lost=sum(row.lost for row in run.rows),
        duplicated=sum(row.duplicated for row in run.rows),
        groups=tuple(TrafficGroup(show(name, _LIMIT), tuple(rows)) for name, rows in groups.items()),
    )


def _row(row: TrafficRecord, anchor: str) -> TrafficRow:
    return TrafficRow(
        anchor=anchor,
        id=show(row.id, _LIMIT),
        scenario=show(row.scenario, _LIMIT),
        title=show(row.title, _LIMIT),
        verdict=row.verdict,
        reason=show(row.reason, _LIMIT),
        rate=row.rate,
        sent=row.sent,
        acknowledged=row.acknowledged,
        delivered=row.delivered,
        lost=row.lost,
        duplicated=row.duplicated,
        in_doubt=row.in_doubt,
        redispatched=row.redispatched,
        down=max(row.times_to_down, default=None),
        findings=tuple(FindingView(finding.verdict, show(finding.text, _LIMIT)) for finding in row.findings),
        events=tuple(EventView(event.at, show(event.text, _LIMIT), event.planned) for event in row.events),
        errors=tuple(Fact(show(f"{one.error} at {one.step}", _LIMIT), str(one.count)) for one in row.errors),
        figures=_figures(row),
        plot=_plot(row),
    )


def _counts(counts: dict[str, int]) -> str:
    return show(", ".join(f"{name} {count}" for name, count in counts.items()) or "none", _LIMIT)


def _figures(row: TrafficRecord) -> tuple[Fact, ...]:
    return (
        Fact("Messages by server", _counts(row.servers)),
        Fact("Clients' sessions", f"{row.sessions} for {row.messages} messages, {row.refused} given up"),
        Fact("Never answered", f"{row.in_doubt}, of which {row.in_doubt_delivered} delivered"),
        Fact("Seen under another client", str(row.misattributed)),
        Fact("Connections HAProxy tried again", str(row.retried)),
        Fact("Longest queue", str(row.queue_max)),
        Fact("HAProxy's termination states", _counts(row.terminations)),
        Fact("How the servers' connections ended", _counts(row.endings)),
        Fact("Times to DOWN", ", ".join(f"{time:.2f} s" for time in row.times_to_down) or "none"),
        Fact("This machine was late by", f"{row.late:.2f} s at worst"),
        Fact("Evidence", show(row.evidence, _LIMIT)),
    )


def _plot(row: TrafficRecord) -> Plot | None:
    """Draw the servers something happened to, the others together, failures, and the events as uprights."""
    if len(row.timeline) < _LEAST_POINTS or not row.delivered:
        return None
    names = list(row.servers)
    planned = [event for event in row.events if event.planned]
    touched = [name for name in names if any(event.text.startswith(f"{name} ") for event in planned)]
    if touched:
        groups = {name: [name] for name in touched[:2]}
        groups["the other servers"] = [name for name in names if name not in groups]
    elif len(names) <= _MOST_SERVERS:
        groups = {name: [name] for name in names}
    else:
        groups = {"all servers": names}
    lines = [Line(name, _sums(row.timeline, members)) for name, members in groups.items() if members]
    lines.append(Line("failed sessions", tuple((point.at, point.failed) for point in row.timeline)))
    top = max((value for line in lines for _, value in line.points if value is not None), default=0.0)
    if planned:
        lines.append(Line("events", _uprights(planned, top)))
    return Plot(f"{show(row.scenario, _LIMIT)}: messages by server", "per second", tuple(lines))


def _sums(timeline: Sequence[TrafficPoint], names: Sequence[str]) -> tuple[tuple[float, float | None], ...]:
    return tuple((point.at, sum(point.delivered.get(name, 0.0) for name in names)) for point in timeline)


def _uprights(events: Sequence[TrafficEvent], top: float) -> tuple[tuple[float, float | None], ...]:
    return tuple(point for event in events for point in ((event.at, 0.0), (event.at, top), (event.at, None)))
