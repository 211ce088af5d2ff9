"""One load run as a reader sees it: thresholds, steps, errors, the time line, and what both sides did meanwhile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from proxyspec.records import LoadError, LoadPoint, LoadRun, LoadStep
from proxyspec.records import Threshold as ThresholdRecord
from proxyspec.records.load import GeneratorRecord, LoadStage
from proxyspec_reports.facts import RunFacts, run_facts
from proxyspec_reports.load_panels import panels
from proxyspec_reports.plot import SECONDS, Line, Panel, Plot
from proxyspec_reports.printable import show

__all__ = [
    "PERCENTILES",
    "SECONDS",
    "CountedView",
    "Line",
    "LoadView",
    "Panel",
    "Plot",
    "Standing",
    "ThresholdView",
    "load_view",
]

#: Keys of the percentiles shown, with their column heads.
PERCENTILES = {"0.5": "p50", "0.9": "p90", "0.95": "p95", "0.99": "p99", "1.0": "max"}

_LIMIT = 300


class Standing(StrEnum):
    """What became of a threshold."""

    MET = "MET"
    MISSED = "MISSED"
    #: Nothing was measured, so nothing is known.
    UNMEASURED = "NOT MEASURED"

    @classmethod
    def of(cls, threshold: ThresholdRecord) -> Standing:
        """Judge one threshold; without a measurement it is neither met nor missed."""
        if threshold.actual is None:
            return cls.UNMEASURED
        return cls.MET if threshold.met else cls.MISSED


@dataclass(frozen=True, slots=True)
class ThresholdView:
    """One expectation of the load profile."""

    expression: str
    actual: float | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class StepView:
    """Figures of one step; times in milliseconds, percentiles in the order of `PERCENTILES`."""

    name: str
    count: int
    failures: int
    rate: float
    mean: float
    percentiles: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class CountedView:
    """Early ends that count as the same: what was planned, and what the server counted."""

    plans: str
    planned: int
    counted: float | None
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadView:
    """A load run; `failure_share` of its sessions, 0 to 1, is None if there was no session."""

    template: ClassVar[str] = "_load.html.j2"
    name: ClassVar[str] = "Load"
    facts: RunFacts
    profile: str
    header: str
    users: int
    sessions: int
    failures: int
    failure_share: float | None
    rate: float
    thresholds: tuple[ThresholdView, ...]
    steps: tuple[StepView, ...]
    errors: tuple[LoadError, ...]
    timeline: tuple[LoadPoint, ...]
    plots: tuple[Plot, ...]
    panels: tuple[Panel, ...]
    planned: tuple[tuple[str, int], ...]
    counted: tuple[CountedView, ...]
    stages: tuple[LoadStage, ...]
    knee: int | None
    generator: GeneratorRecord | None
    notes: tuple[str, ...]
    workers: int
    lost: int


def load_view(run: LoadRun, anchor: str) -> LoadView:
    """Prepare one run; element ids begin with `anchor`."""
    return LoadView(
        facts=run_facts(run, anchor),
        profile=show(run.profile, _LIMIT),
        header=show(run.header, _LIMIT),
        users=run.users,
        sessions=run.sessions,
        failures=run.failures,
        failure_share=run.failures / run.sessions if run.sessions else None,
        rate=run.rate,
        thresholds=tuple(
            ThresholdView(show(threshold.expression, _LIMIT), threshold.actual, Standing.of(threshold))
            for threshold in run.thresholds
        ),
        steps=tuple(map(_step, run.steps)),
        errors=tuple(
            LoadError(step=show(error.step, _LIMIT), error=show(error.error, _LIMIT), count=error.count)
            for error in sorted(run.errors, key=lambda error: -error.count)
        ),
        timeline=tuple(run.timeline),
        plots=_plots(run) if run.timeline else (),
        panels=panels(run),
        planned=tuple((show(name, _LIMIT), count) for name, count in sorted(run.planned.items())),
        counted=_counted(run),
        stages=tuple(run.stages),
        knee=run.knee,
        generator=run.generator,
        notes=tuple(show(note, _LIMIT) for note in run.notes),
        workers=run.workers,
        lost=run.lost,
    )


_COUNTED = re.compile(r"counted\((?P<plans>[^()]*)\) == (?P<planned>[0-9]{1,12})")


def _counted(run: LoadRun) -> tuple[CountedView, ...]:
    found = []
    for threshold in run.thresholds:
        match = _COUNTED.fullmatch(threshold.expression)
        if match is not None:
            plans = show(match["plans"], _LIMIT)
            found.append(CountedView(plans, int(match["planned"]), threshold.actual, Standing.of(threshold)))
    return tuple(found)


def _step(step: LoadStep) -> StepView:
    return StepView(
        name=show(step.name, _LIMIT),
        count=step.count,
        failures=step.failures,
        rate=step.rate,
        mean=step.mean_ms,
        percentiles=tuple(step.percentiles_ms.get(key) for key in PERCENTILES),
    )


#: Limits of a percentile of the session, as lines of the plot, unless they are so far off that they would flatten it.
_LIMIT_OF_SESSION = re.compile(r"(?P<figure>p50|p90|p95|p99|max)\(session\) <=? (?P<number>[0-9.]{1,20})(?P<unit>ms|s)")
_FAR = 3.0


def _session_lines(run: LoadRun) -> tuple[Line, ...]:
    timeline = run.timeline
    lines = [
        Line("p99", tuple((point.at, point.p99_ms) for point in timeline)),
        Line("p95", tuple((point.at, point.p95_ms) for point in timeline)),
        Line("p50", tuple((point.at, point.p50_ms) for point in timeline)),
    ]
    highest = max((y for line in lines for _, y in line.points if y is not None), default=0.0)
    for threshold in run.thresholds:
        match = _LIMIT_OF_SESSION.fullmatch(threshold.expression)
        if match is None:
            continue
        limit = float(match["number"]) * (1000 if match["unit"] == "s" else 1)
        if limit <= _FAR * highest:
            name = f"limit of {match['figure']}"
            lines.append(Line(name, ((0.0, limit), (timeline[-1].at, limit))))
    return tuple(lines)


def _plots(run: LoadRun) -> tuple[Plot, ...]:
    timeline = run.timeline
    until = timeline[-1].at
    return (
        Plot(
            "Sessions per second",
            "sessions/s",
            (
                Line("all", tuple((point.at, point.rate) for point in timeline)),
                Line("failed", tuple((point.at, point.failure_rate) for point in timeline)),
            ),
            until=until,
        ),
        Plot("Session time", "ms", _session_lines(run), until=until),
        Plot(
            "Users",
            "at once",
            (Line("users", tuple((point.at, float(point.users)) for point in timeline)),),
            until=until,
        ),
    )
