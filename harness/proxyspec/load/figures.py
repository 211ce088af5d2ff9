"""What a load measured: real response times of every step, errors by kind, a time line; pure bookkeeping, no I/O."""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxyspec.load.dialogue import Step
from proxyspec.records import LoadError, LoadPoint, LoadStep

__all__ = ["MAX_SAMPLES", "PERCENTILES", "Figures", "percentile"]

PERCENTILES = (0.5, 0.9, 0.95, 0.99, 1.0)

#: Response times kept of one step, eight bytes each. Beyond it they are a fair sample of all; the maximum stays exact.
MAX_SAMPLES = 1_000_000

#: Kinds of errors told apart; further ones are counted together.
MAX_ERRORS = 200


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of sorted values: the least one that `share` of them do not exceed.

    Raises:
        IndexError: there are no values.
    """
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


@dataclass(slots=True)
class _Samples:
    """Times of one step in milliseconds, failures included: a banner that never came was slow, not absent."""

    limit: int
    count: int = 0
    failures: int = 0
    total: float = 0.0
    most: float = 0.0
    kept: array[float] = field(default_factory=lambda: array("d"))

    def add(self, milliseconds: float, *, failed: bool) -> None:
        self.count += 1
        self.failures += failed
        self.total += milliseconds
        self.most = max(self.most, milliseconds)
        if len(self.kept) < self.limit:
            self.kept.append(milliseconds)
        elif (place := random.randrange(self.count)) < self.limit:  # noqa: S311 - sampling, no secret
            self.kept[place] = milliseconds

    def percentiles(self) -> dict[str, float]:
        ordered = sorted(self.kept)
        figures = {str(share): round(percentile(ordered, share), 3) for share in PERCENTILES}
        figures["1.0"] = round(self.most, 3)
        return figures


class Figures:
    """The figures of one load, filled step by step; `limit` is the number of times kept of each step."""

    def __init__(self, limit: int = MAX_SAMPLES) -> None:
        self._limit = limit
        self._steps: dict[str, _Samples] = {}
        self._errors: Counter[tuple[str, str]] = Counter()
        self._second: list[float] = []
        self._second_failures = 0

    @property
    def sessions(self) -> int:
        """Sessions that ended, well or not."""
        found = self._steps.get(Step.SESSION)
        return found.count if found else 0

    @property
    def failures(self) -> int:
        """Sessions that failed."""
        found = self._steps.get(Step.SESSION)
        return found.failures if found else 0

    def add(self, step: str, milliseconds: float, error: str | None) -> None:
        """Take one ended step; `error` is the class of its failure."""
        samples = self._steps.get(step)
        if samples is None:
            samples = self._steps[step] = _Samples(self._limit)
        samples.add(milliseconds, failed=error is not None)
        if step == Step.SESSION:
            # The step that failed has told its error already.
            self._second.append(milliseconds)
            self._second_failures += error is not None
        elif error is not None:
            key = (step, error)
            self._errors[key if key in self._errors or len(self._errors) < MAX_ERRORS else (step, "other errors")] += 1

    def point(self, at: float, users: int, seconds: float) -> LoadPoint:
        """Close one sample of the time line: the sessions of the last `seconds`, `at` seconds after the beginning."""
        ordered = sorted(self._second)
        made = LoadPoint(
            at=round(at, 3),
            users=users,
            rate=round(len(ordered) / seconds, 2),
            failure_rate=round(self._second_failures / seconds, 2),
            p50_ms=round(percentile(ordered, 0.5), 3) if ordered else None,
            p95_ms=round(percentile(ordered, 0.95), 3) if ordered else None,
        )
        self._second, self._second_failures = [], 0
        return made

    def steps(self, seconds: float) -> list[LoadStep]:
        """Return the figures of every step that occurred, in the order of a session, over a load of `seconds`."""
        known = [step.value for step in Step]
        order = sorted(self._steps, key=lambda name: (known.index(name) if name in known else len(known), name))
        return [
            LoadStep(
                name=name,
                count=samples.count,
                failures=samples.failures,
                rate=round(samples.count / seconds, 2) if seconds else 0.0,
                mean_ms=round(samples.total / samples.count, 3),
                percentiles_ms=samples.percentiles(),
            )
            for name in order
            for samples in [self._steps[name]]
        ]

    def errors(self) -> list[LoadError]:
        """Return the errors by kind, the most frequent first."""
        return [LoadError(step=step, error=error, count=count) for (step, error), count in self._errors.most_common()]
