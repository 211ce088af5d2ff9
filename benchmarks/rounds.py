"""Contenders measured in turn, and what may be said of them afterwards: medians, ranges, ratios, goals, tables."""

import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """What one unit of work took in one round: seconds of the contender's processor time, and of the wall clock."""

    cpu: float
    wall: float


Measure = Callable[[], Sample]
"""Does one round's work of one contender. Raises RuntimeError when the work was not done."""


def interleaved(
    contenders: Mapping[str, Measure], rounds: int, progress: Callable[[int], None] = lambda number: None
) -> dict[str, list[Sample]]:
    """Measure every contender once a round, and turn the order from round to round.

    What else the machine does meets all alike, so that the quotients within a round are steadier than any figure.
    The first, uncounted round warms everything up. Raises ValueError for less than one round.
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds measure nothing; take 5 or more")
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    order = list(contenders)
    for name in order:
        contenders[name]()
    for number in range(rounds):
        progress(number)
        for name in order:
            samples[name].append(contenders[name]())
        order = [*order[1:], order[0]]
    return samples


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the ends of some figures."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Summarise figures. Raises ValueError when there are none."""
        if not figures:
            raise ValueError("no figures to summarise")
        return cls(median(figures), min(figures), max(figures))

    def show(self, digits: int = 2) -> str:
        """As `middle (low to high)`."""
        return f"{self.middle:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def quotients(over: Sequence[float], under: Sequence[float]) -> Spread:
    """The quotients of two contenders, round by round. Raises ValueError when they had different rounds."""
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


def cpu(samples: Sequence[Sample]) -> list[float]:
    """The processor time of each round, in seconds."""
    return [sample.cpu for sample in samples]


def wall(samples: Sequence[Sample]) -> list[float]:
    """The wall clock time of each round, in seconds."""
    return [sample.wall for sample in samples]


class Bound(StrEnum):
    """Which side of its limit a figure has to be on."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a quotient should be."""

    id: str
    what: str
    bound: Bound
    limit: float

    def met(self, figure: Spread) -> bool:
        """Whether the middle is on the right side of the limit."""
        return figure.middle <= self.limit if self.bound is Bound.AT_MOST else figure.middle >= self.limit


@dataclass(frozen=True, slots=True)
class Finding:
    """A goal and the figure found for it."""

    goal: Goal
    figure: Spread


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark's result: times by workload and contender, and the goals."""

    title: str
    rounds: int
    samples: Mapping[str, Mapping[str, Sequence[Sample]]]
    findings: Sequence[Finding]

    def table(self) -> str:
        """Both tables as text."""
        times = [["workload", "contender", "µs CPU", "µs wall"]]
        for workload, contenders in self.samples.items():
            for name, samples in contenders.items():
                spent, elapsed = (Spread.of([1e6 * t for t in each]) for each in (cpu(samples), wall(samples)))
                times.append([workload, name, spent.show(), elapsed.show()])
        goals = [["goal", "of what", "wanted", "found", ""]]
        for finding in self.findings:
            goal, figure = finding.goal, finding.figure
            met = "met" if goal.met(figure) else "NOT MET"
            goals.append([goal.id, goal.what, f"{goal.bound} {goal.limit:g}", figure.show(), met])
        heading = f"{self.title}: median (range) of {self.rounds} interleaved rounds, load {getloadavg()[0]:.1f}"
        return f"{heading}\n\n{_columns(times)}\n\n{_columns(goals)}\n"

    def to_json(self) -> str:
        """Everything, for a machine to read; times in seconds for one unit of work."""
        return json.dumps(
            {
                "title": self.title,
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "machine": {
                    "python": platform.python_version(),
                    "system": f"{platform.system()} {platform.release()} {platform.machine()}",
                    "processors": cpu_count(),
                    "load": getloadavg()[0],
                },
                "versions": {name: _version(name) for name in ("uvloop", "aiosmtpd", "proxy-protocol", "crc32c")},
                "rounds": self.rounds,
                "samples": {
                    workload: {
                        name: {"cpu": cpu(samples), "wall": wall(samples)} for name, samples in contenders.items()
                    }
                    for workload, contenders in self.samples.items()
                },
                "goals": [
                    {
                        "id": finding.goal.id,
                        "what": finding.goal.what,
                        "bound": finding.goal.bound.value,
                        "limit": finding.goal.limit,
                        "median": finding.figure.middle,
                        "low": finding.figure.low,
                        "high": finding.figure.high,
                        "met": finding.goal.met(finding.figure),
                    }
                    for finding in self.findings
                ],
            },
            indent=2,
        )

    def publish(self, json_file: Path | None) -> None:
        """Print the tables, and write the JSON where asked to. Raises OSError."""
        print(self.table())
        if json_file is not None:
            json_file.write_text(self.to_json() + "\n", encoding="utf-8")


def tell(line: str) -> None:
    """Say on standard error what is going on."""
    print(line, file=sys.stderr, flush=True)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
