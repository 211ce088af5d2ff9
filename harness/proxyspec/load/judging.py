"""Judgements of a whole load that no figure of one step can give: recovery, drift, leaks, limits that were met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from proxyspec.load.figures import Figures
from proxyspec.records.load import LoadPoint, LoadSample, Threshold

__all__ = ["Check", "Evidence", "happened", "no_growth", "recovered", "served"]

#: Session times below this are not told apart: nobody notices, and the clock of a busy machine makes them, ms.
NOTICEABLE = 50.0
#: Descriptors a server may keep more at the end than at the beginning.
KEPT_DESCRIPTORS = 10
#: Samples at either end whose median stands for it.
ENDS = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a load left behind: its figures, its time line, and what the other side said meanwhile."""

    figures: Figures
    timeline: tuple[LoadPoint, ...] = ()
    samples: tuple[LoadSample, ...] = ()

    def readings(self, source: str, name: str) -> list[float]:
        """Return one figure of one source over time."""
        return [sample.values[name] for sample in self.samples if sample.source == source and name in sample.values]


#: Looks at the evidence of the whole load when it is over.
Check = Callable[[Evidence], list[Threshold]]


def _p95(points: Sequence[LoadPoint]) -> float | None:
    times = [point.p95_ms for point in points if point.p95_ms is not None]
    return median(times) if times else None


def recovered(first: float, last: float, *, factor: float) -> Check:
    """Compare the session times of the first and the last part of the load (shares of its time).

    The later p95 must be below `factor` times the earlier one, or not noticeable. Too short a load to have samples in
    both parts is judged not at all.
    """

    def check(evidence: Evidence) -> list[Threshold]:
        line = evidence.timeline
        if not line:
            return []
        end = line[-1].at
        before = _p95([point for point in line if point.at <= first * end])
        after = _p95([point for point in line if point.at > (1 - last) * end])
        if before is None:
            return []
        limit = max(factor * before, NOTICEABLE)
        expression = f"p95(session) at the end <= {limit:.4g}ms, {factor:g} times that of the beginning"
        return [Threshold(expression=expression, actual=after, met=after is not None and after <= limit)]

    return check


def no_growth(*, memory: float | None = None) -> Check:
    """Judge descriptors, and memory by this share, of the target's process; without its process id there is nothing.

    The end is taken when all connections are closed.
    """

    def check(evidence: Evidence) -> list[Threshold]:
        verdicts = []
        descriptors = evidence.readings("process", "descriptors")
        if len(descriptors) > 1:
            limit = descriptors[0] + KEPT_DESCRIPTORS
            verdicts.append(
                Threshold(
                    expression=f"descriptors of the server at the end <= {limit:g}",
                    actual=descriptors[-1],
                    met=descriptors[-1] <= limit,
                )
            )
        sizes = evidence.readings("process", "memory MiB")
        # A server needs a while until it has what it needs: the first quarter is not looked at.
        settled = sizes[len(sizes) // 4 :]
        if memory is not None and len(settled) >= 2 * ENDS:
            bound = median(settled[:ENDS]) * (1 + memory)
            verdicts.append(
                Threshold(
                    expression=f"memory of the server at the end, MiB <= {bound:.4g}",
                    actual=median(settled[-ENDS:]),
                    met=median(settled[-ENDS:]) <= bound,
                )
            )
        return verdicts

    return check


def happened(plan: str, words: str) -> Check:
    """Judge that this planned end came about at least once: else the load did not test what it is for."""

    def check(evidence: Evidence) -> list[Threshold]:
        count = evidence.figures.planned[plan]
        return [Threshold(expression=f"{words} >= 1", actual=float(count), met=count >= 1)]

    return check


def served(step: str, words: str) -> Check:
    """Judge that this step succeeded at least once: a server that turns everybody away is no answer."""

    def check(evidence: Evidence) -> list[Threshold]:
        found = evidence.figures.by_step.get(step)
        count = found.times.count - found.failures if found else 0
        return [Threshold(expression=f"{words} >= 1", actual=float(count), met=count >= 1)]

    return check
