"""What a load measured: times of every step, errors by kind, planned ends; pure bookkeeping that merges exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxyspec.load.dialogue import Step
from proxyspec.load.histogram import NANOSECONDS, Histogram
from proxyspec.records import LoadError, LoadPoint, LoadStep

__all__ = ["MAX_ERRORS", "PERCENTILES", "Figures", "StepFigures"]

PERCENTILES = (0.5, 0.9, 0.95, 0.99, 1.0)

#: Pairs of a step's distribution in the record.
MAX_PAIRS = 400

#: Kinds of errors told apart; further ones are counted together.
MAX_ERRORS = 200


@dataclass(slots=True)
class StepFigures:
    """Times of one step, failures included: a banner that never came was slow, not absent."""

    times: Histogram = field(default_factory=Histogram)
    failures: int = 0

    def merge(self, other: StepFigures) -> None:
        """Add another's."""
        self.times.merge(other.times)
        self.failures += other.failures

    def row(self, name: str, seconds: float) -> LoadStep:
        """Return the figures for the record, over a load of `seconds`."""
        times = self.times
        found = times.percentiles(*PERCENTILES)
        return LoadStep(
            name=name,
            count=times.count,
            failures=self.failures,
            rate=round(times.count / seconds, 2) if seconds else 0.0,
            mean_ms=round(times.total / times.count / NANOSECONDS, 3),
            percentiles_ms={str(share): round(value, 3) for share, value in zip(PERCENTILES, found, strict=True)},
            min_ms=round(times.least / NANOSECONDS, 3),
            distribution=[(round(time, 3), count) for time, count in times.distribution(MAX_PAIRS)],
        )


@dataclass(slots=True)
class Figures:
    """The figures of a load, or of a part of one; parts merge to the same whole in any order."""

    by_step: dict[str, StepFigures] = field(default_factory=dict)
    #: Occurrences by step and class of the error.
    mishaps: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Connections that ended as planned, by the name of the plan.
    planned: Counter[str] = field(default_factory=Counter)

    @property
    def sessions(self) -> int:
        """Sessions that ended, well or not."""
        found = self.by_step.get(Step.SESSION)
        return found.times.count if found else 0

    @property
    def failures(self) -> int:
        """Sessions that failed."""
        found = self.by_step.get(Step.SESSION)
        return found.failures if found else 0

    def add(self, step: str, nanoseconds: int, error: str | None = None) -> None:
        """Take one ended step; `error` is the class of its failure."""
        found = self.by_step.get(step)
        if found is None:
            found = self.by_step[step] = StepFigures()
        found.times.add(nanoseconds)
        if error is not None:
            found.failures += 1
            if step != Step.SESSION:
                # Of the session itself the step that failed tells its error already.
                self._mishap(step, error, 1)

    def add_all(self, steps: Sequence[str], sessions: Sequence[Sequence[int]]) -> None:
        """Take the steps of many sessions that all went well, `steps` naming the times of each; not the sessions."""
        for step, times in zip(steps, zip(*sessions, strict=True), strict=True):
            found = self.by_step.get(step)
            if found is None:
                found = self.by_step[step] = StepFigures()
            found.times.add_all(times)

    def _mishap(self, step: str, error: str, count: int) -> None:
        key = (step, error)
        self.mishaps[key if key in self.mishaps or len(self.mishaps) < MAX_ERRORS else (step, "other errors")] += count

    def merge(self, other: Figures) -> None:
        """Add another part."""
        for name, theirs in other.by_step.items():
            found = self.by_step.get(name)
            if found is None:
                found = self.by_step[name] = StepFigures()
            found.merge(theirs)
        for (step, error), count in other.mishaps.items():
            self._mishap(step, error, count)
        self.planned.update(other.planned)

    def point(self, at: float, users: int, seconds: float) -> LoadPoint:
        """Return the sample of the time line that these figures are: `seconds` long, `at` seconds after the start."""
        found = self.by_step.get(Step.SESSION)
        times = found.times.percentiles(*PERCENTILES) if found else [None] * len(PERCENTILES)
        p50, p90, p95, p99, most = (None if time is None else round(time, 3) for time in times)
        return LoadPoint(
            at=round(at, 3),
            users=users,
            rate=round(self.sessions / seconds, 2),
            failure_rate=round(self.failures / seconds, 2),
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            max_ms=most,
        )

    def steps(self, seconds: float) -> list[LoadStep]:
        """Return the figures of every step that occurred, in the order of a session, over a load of `seconds`."""
        known = [step.value for step in Step]
        order = sorted(self.by_step, key=lambda name: (known.index(name) if name in known else len(known), name))
        return [self.by_step[name].row(name, seconds) for name in order]

    def errors(self) -> list[LoadError]:
        """Return the errors by kind, the most frequent first."""
        return [LoadError(step=step, error=error, count=count) for (step, error), count in self.mishaps.most_common()]

    def packed(self) -> dict[str, object]:
        """Return them as plain numbers, text and lists, for a message to another process."""
        return {
            "steps": {name: [found.failures, found.times.packed()] for name, found in self.by_step.items()},
            "errors": [[step, error, count] for (step, error), count in self.mishaps.items()],
            "planned": dict(self.planned),
        }

    @classmethod
    def unpacked(cls, data: object) -> Figures:
        """Read what `packed` returned; it came from another process.

        Raises:
            ValueError: it is something else.
        """
        figures = cls()
        match data:
            case {"steps": dict(steps), "errors": list(errors), "planned": dict(planned)}:
                for name, pair in steps.items():
                    figures.by_step[str(name)] = _step(pair)
                for entry in errors:
                    match entry:
                        case [str(step), str(error), int(count)]:
                            figures._mishap(step, error, count)
                        case _:
                            raise ValueError(f"no error of a load: {entry!r:.100}")
                for name, count in planned.items():
                    match count:
                        case int():
                            figures.planned[str(name)] = count
                        case _:
                            raise ValueError(f"no number of ends: {count!r:.100}")
            case _:
                raise ValueError(f"no figures of a load: {data!r:.100}")
        return figures


def _step(pair: object) -> StepFigures:
    match pair:
        case [int(failures), dict(times)]:
            checked: Mapping[str, object] = times
            return StepFigures(Histogram.unpacked(checked), failures)
        case _:
            raise ValueError(f"no figures of a step: {pair!r:.100}")
