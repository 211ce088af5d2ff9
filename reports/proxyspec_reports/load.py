"""One load run as a reader sees it: thresholds, steps, errors and the time line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from proxyspec.records import LoadError, LoadPoint, LoadRun, LoadStep
from proxyspec.records import Threshold as ThresholdRecord
from proxyspec_reports.facts import RunFacts, run_facts
from proxyspec_reports.printable import show

__all__ = ["PERCENTILES", "Line", "LoadView", "Plot", "Standing", "ThresholdView", "load_view"]

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
class Line:
    """One line of a plot: (seconds, value) pairs; None leaves a gap."""

    name: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines that share both axes; x is seconds since the load began."""

    title: str
    unit: str
    lines: tuple[Line, ...]


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
        plots=_plots(run.timeline) if run.timeline else (),
    )


def _step(step: LoadStep) -> StepView:
    return StepView(
        name=show(step.name, _LIMIT),
        count=step.count,
        failures=step.failures,
        rate=step.rate,
        mean=step.mean_ms,
        percentiles=tuple(step.percentiles_ms.get(key) for key in PERCENTILES),
    )


def _plots(timeline: list[LoadPoint]) -> tuple[Plot, ...]:
    return (
        Plot(
            "Sessions per second",
            "sessions/s",
            (
                Line("all", tuple((point.at, point.rate) for point in timeline)),
                Line("failed", tuple((point.at, point.failure_rate) for point in timeline)),
            ),
        ),
        Plot(
            "Session time",
            "ms",
            (
                Line("p95", tuple((point.at, point.p95_ms) for point in timeline)),
                Line("p50", tuple((point.at, point.p50_ms) for point in timeline)),
            ),
        ),
    )
