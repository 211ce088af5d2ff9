"""The shape of a load over time, and what it tells: levels of users, and the knee where more bring no more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from proxyspec.records.load import LoadPoint, LoadStage

__all__ = ["STEPS", "Stage", "held", "knee", "users_at"]

#: A stage whose rate is this share of the best one is as good as it.
NEARLY = 0.95
#: Stages below which a rate that grows no more says nothing.
FEWEST = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the load's time, with a part of its users; both are shares of the whole, 0 to 1."""

    time: float
    users: float


#: Users doubled five times, for equal times.
STEPS = tuple(Stage(1 / 6, 1 / 2**halved) for halved in range(5, -1, -1))


def users_at(stages: Sequence[Stage], elapsed: float, seconds: float, users: int) -> int | None:
    """Return how many of `users` should be there `elapsed` seconds into a load of `seconds`; None: it is over."""
    end = 0.0
    for stage in stages:
        end += stage.time * seconds
        if elapsed < end - 1e-6:
            return max(1, math.ceil(stage.users * users - 1e-9))
    return None


def held(timeline: Sequence[LoadPoint]) -> list[LoadStage]:
    """Return the levels of users that stood still for two samples or more, each higher than the one before.

    The first sample of a level is left out: in part it belongs to the one before.
    """
    found: list[LoadStage] = []
    for users, group in groupby(timeline, key=lambda point: point.users):
        _, *points = group
        if not points or not users or (found and users <= found[-1].users):
            continue
        times = [point.p95_ms for point in points if point.p95_ms is not None]
        found.append(
            LoadStage(
                users=users,
                seconds=round(points[-1].at - points[0].at, 3),
                rate=round(median(point.rate for point in points), 2),
                p95_ms=round(median(times), 3) if times else None,
            )
        )
    return found


def knee(stages: Sequence[LoadStage]) -> int | None:
    """Return the fewest users with nearly the best rate; None: it grew to the last one, or stages are too few."""
    if len(stages) < FEWEST:
        return None
    best = max(stage.rate for stage in stages)
    first = next(stage for stage in stages if stage.rate >= NEARLY * best)
    return None if first is stages[-1] or not best else first.users
