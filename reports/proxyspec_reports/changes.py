"""What changed between runs against one target: verdicts that got better or worse, figures with their ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median

from proxyspec.model import Verdict
from proxyspec.records import CaseRecord, ConformanceRun, LoadRun, Run
from proxyspec_reports.printable import show

__all__ = ["Change", "Changed", "Direction", "Figure", "LoadComparison", "changes", "load_comparisons"]

#: From good to bad; verdicts of one rank are neither better nor worse than each other.
_RANK: Mapping[Verdict, int] = {
    Verdict.PASS: 0,
    Verdict.INFO: 0,
    Verdict.SKIP: 1,
    Verdict.UNTESTABLE: 1,
    Verdict.WARN: 2,
    Verdict.ERROR: 3,
    Verdict.FAIL: 4,
}
_LIMIT = 200


class Direction(StrEnum):
    """Whether a change is for the better."""

    REGRESSED = "regressed"
    FIXED = "fixed"
    OTHERWISE = "otherwise"
    ADDED = "added"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Change:
    """One case that is not as it was; None: it was not part of the run."""

    id: str
    direction: Direction
    before: Verdict | None
    got_before: str
    after: Verdict | None
    got_after: str


@dataclass(frozen=True, slots=True)
class Changed:
    """All changes from one run to the next against the same target, regressions first; `same` cases did not change."""

    target: str
    before: str
    after: str
    changes: tuple[Change, ...]
    same: int

    def count(self, direction: Direction) -> int:
        """How many changes go that way."""
        return sum(change.direction is direction for change in self.changes)


def changes(runs: Sequence[Run]) -> tuple[Changed, ...]:
    """Compare each conformance run with the one before it, in time, against the same target on the same road."""
    by_target: dict[str, list[ConformanceRun]] = {}
    for run in runs:
        if isinstance(run, ConformanceRun):
            by_target.setdefault(f"{run.target.name} {run.target.url}", []).append(run)
    found = []
    for of_target in by_target.values():
        for before, after in pairwise(sorted(of_target, key=lambda run: run.started)):
            found.append(_between(before, after))
    return tuple(found)


def _between(before: ConformanceRun, after: ConformanceRun) -> Changed:
    old = {case.id: case for case in before.cases}
    new = {case.id: case for case in after.cases}
    found = [
        change
        for name in dict.fromkeys((*new, *old))
        if (change := _change(name, old.get(name), new.get(name))) is not None
    ]
    found.sort(key=lambda change: list(Direction).index(change.direction))
    same = len(old.keys() & new.keys()) - sum(
        change.before is not None and change.after is not None for change in found
    )
    return Changed(show(after.target.url, _LIMIT), show(before.id, _LIMIT), show(after.id, _LIMIT), tuple(found), same)


def _change(name: str, old: CaseRecord | None, new: CaseRecord | None) -> Change | None:
    if old is not None and new is not None:
        kinds = [case.outcome.kind if case.outcome else None for case in (old, new)]
        if old.verdict is new.verdict and kinds[0] == kinds[1]:
            return None
        step = _RANK[new.verdict] - _RANK[old.verdict]
        direction = Direction.REGRESSED if step > 0 else Direction.FIXED if step < 0 else Direction.OTHERWISE
    else:
        direction = Direction.ADDED if old is None else Direction.GONE
    return Change(
        show(name, _LIMIT),
        direction,
        old.verdict if old else None,
        _got(old),
        new.verdict if new else None,
        _got(new),
    )


def _got(case: CaseRecord | None) -> str:
    if case is None:
        return "not part of the run"
    return show(case.outcome.text, _LIMIT) if case.outcome else "did not run"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure over several runs alike; `ratio` is the median over that of the first group."""

    median: float
    least: float
    most: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class LoadComparison:
    """Load runs of one profile, grouped by server and how they got there; figures by name, in the page's order."""

    profile: str
    target: str
    roads: tuple[str, ...]
    runs: tuple[int, ...]
    figures: tuple[tuple[str, tuple[Figure | None, ...]], ...]


def load_comparisons(runs: Sequence[Run]) -> tuple[LoadComparison, ...]:
    """Compare load runs of the same profile: on several servers or several roads, or before and after."""
    grouped: dict[str, dict[str, list[LoadRun]]] = {}
    for run in runs:
        if isinstance(run, LoadRun):
            grouped.setdefault(run.profile, {}).setdefault(_road(run), []).append(run)
    return tuple(_comparison(profile, roads) for profile, roads in grouped.items() if sum(map(len, roads.values())) > 1)


def _road(run: LoadRun) -> str:
    haproxy, target = run.environment.haproxy, run.target.name or run.target.url
    return f"{run.header}, {target}" + (f", {haproxy.version}" if haproxy is not None else "")


def _comparison(profile: str, roads: Mapping[str, Sequence[LoadRun]]) -> LoadComparison:
    names = list(dict.fromkeys(name for members in roads.values() for run in members for name in _figures(run)))
    first = next(iter(roads.values()))
    return LoadComparison(
        profile=show(profile, _LIMIT),
        target=show(first[0].target.url, _LIMIT),
        roads=tuple(show(road, _LIMIT) for road in roads),
        runs=tuple(map(len, roads.values())),
        figures=tuple(
            (show(name, _LIMIT), tuple(_figure(name, members, first) for members in roads.values())) for name in names
        ),
    )


def _figures(run: LoadRun) -> dict[str, float]:
    found = {"sessions per second": run.rate}
    for step in run.steps:
        for key, head in (("0.5", "p50"), ("0.99", "p99")):
            if (value := step.percentiles_ms.get(key)) is not None:
                found[f"{step.name} {head}, ms"] = value
    return found


def _figure(name: str, runs: Sequence[LoadRun], first: Sequence[LoadRun]) -> Figure | None:
    values = [value for run in runs if (value := _figures(run).get(name)) is not None]
    if not values:
        return None
    base = [value for run in first if (value := _figures(run).get(name)) is not None]
    middle = median(values)
    reference = median(base) if base else 0.0
    return Figure(middle, min(values), max(values), middle / reference if reference > 0 else None)
