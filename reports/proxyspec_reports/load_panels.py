"""Plots of a load run beside its time line, each with its table: distributions, stages, and both sides' own figures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from proxyspec.records.load import LoadRun, LoadSample, LoadStep
from proxyspec_reports.plot import Line, Panel, Plot
from proxyspec_reports.printable import show

__all__ = ["panels"]

#: Steps whose distribution is drawn, where they occurred.
_DRAWN = ("session", "header_to_banner", "end_of_data", "connect")
#: Shares of a distribution its table tells.
_SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
#: The slowest few would squeeze all others into the margin of the drawing; the table has them.
_DRAWN_SHARE = 0.995
#: Bars of the histogram, rows of a table of samples, lines of one plot.
_BARS, _ROWS, _LINES = 30, 200, 4
_LIMIT = 80

_LIMIT_OF_HELD = re.compile(r"(?P<figure>p50|p90|p95|p99|max)\(held\) <=? (?P<number>[0-9.]{1,20})(?P<unit>ms|s)")

#: What is drawn of the samples: title, unit, and the figures that belong there with their names in the plot.
_GROUPS: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Processor",
        "% of one",
        (("process", "cpu percent", "server"), ("generator", "busiest process, cpu percent", "generator")),
    ),
    ("Memory of the server", "MiB", (("process", "memory MiB", "resident"),)),
    (
        "Descriptors",
        "open",
        (("process", "descriptors", "server"), ("generator", "descriptors", "generator")),
    ),
    (
        "Connections of the server",
        "open",
        (("server", "connections current", "all"), ("server", "connections waiting", "waiting for a header")),
    ),
    (
        "Connections of HAProxy",
        "open",
        (
            ("haproxy", "connections", "all"),
            ("haproxy", "queued", "queued"),
            ("haproxy", "sessions rate", "new ones per second"),
        ),
    ),
)


def panels(run: LoadRun) -> tuple[Panel, ...]:
    """Return what there is to draw of this run."""
    found = [_distribution(run.steps), _lateness(run), _stages(run), *_both_sides(run), _endings(run)]
    return tuple(panel for panel in found if panel is not None)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}"


def _distribution(steps: Iterable[LoadStep]) -> Panel | None:
    by_name = {step.name: step for step in steps if step.distribution}
    chosen = [by_name[name] for name in _DRAWN if name in by_name]
    if not chosen:
        return None
    lines = []
    for step in chosen:
        total = sum(count for _, count in step.distribution)
        shares = [reached / total for reached in accumulate(count for _, count in step.distribution)]
        points = [(time, 100 * share) for (time, _), share in zip(step.distribution, shares, strict=True)]
        lines.append(Line(step.name, ((0.0, 0.0), *(pair for pair in points if pair[1] <= 100 * _DRAWN_SHARE))))
    rows = tuple((f"{share:.1%}", *(_number(_quantile(step, share)) for step in chosen)) for share in _SHARES)
    return Panel(
        Plot("Sessions done within a time", "%", tuple(lines), axis="milliseconds"),
        ("Share", *(f"{step.name}, ms" for step in chosen)),
        rows,
        f"Drawn up to {_DRAWN_SHARE:.1%}; the table goes on to the slowest.",
    )


def _quantile(step: LoadStep, share: float) -> float:
    total = sum(count for _, count in step.distribution)
    rank, reached = math.ceil(share * total), 0
    for time, count in step.distribution:
        reached += count
        if reached >= rank:
            return time
    return step.distribution[-1][0]


def _lateness(run: LoadRun) -> Panel | None:
    held = next((step for step in run.steps if step.name == "held" and step.distribution), None)
    if held is None:
        return None
    deadline = 1000 * run.target.header_timeout
    late = [(time - deadline, count) for time, count in held.distribution]
    early = sum(count for time, count in late if time < 0)
    in_time = [(time, count) for time, count in late if time >= 0]
    if not in_time:
        return None
    width = max(1.0, math.ceil(in_time[-1][0] / _BARS))
    counts = [0] * (int(in_time[-1][0] // width) + 1)
    for time, count in in_time:
        counts[int(time // width)] += count
    outline: list[tuple[float, float]] = [(0.0, 0.0)]
    for number, count in enumerate(counts):
        outline += [(number * width, float(count)), ((number + 1) * width, float(count))]
    outline.append((len(counts) * width, 0.0))
    lines = [Line("answers", tuple(outline))]
    for threshold in run.thresholds:
        match = _LIMIT_OF_HELD.fullmatch(threshold.expression)
        if match is None:
            continue
        limit = float(match["number"]) * (1000 if match["unit"] == "s" else 1) - deadline
        if 0 <= limit <= 3 * len(counts) * width:
            lines.append(Line(f"limit of {match['figure']}", ((limit, 0.0), (limit, float(max(counts))))))
    rows = [("early", str(early))] if early else []
    rows += [(f"{number * width:g} to {(number + 1) * width:g}", str(count)) for number, count in enumerate(counts)]
    remark = (
        f"{early} came before the deadline, up to {-late[0][0]:.0f} ms." if early else "None came before the deadline."
    )
    return Panel(
        Plot(
            f"How late the server ended held connections, of {held.count - early}",
            f"answers per {width:g} ms",
            tuple(lines[:_LINES]),
            axis=f"milliseconds after the deadline of {run.target.header_timeout:g} s",
        ),
        ("Late by, ms", "Answers"),
        tuple(rows),
        remark,
    )


def _stages(run: LoadRun) -> Panel | None:
    if len(run.stages) < 2:
        return None
    lines = [Line("sessions per second", tuple((float(stage.users), stage.rate) for stage in run.stages))]
    if run.knee is not None:
        best = max(stage.rate for stage in run.stages)
        lines.append(Line("knee", ((float(run.knee), 0.0), (float(run.knee), best))))
    return Panel(
        Plot("What more users bring", "sessions/s", tuple(lines), axis="users"),
        ("Users", "For, s", "Sessions/s", "p95 of a session, ms"),
        tuple(
            (str(stage.users), _number(stage.seconds), _number(stage.rate), _number(stage.p95_ms))
            for stage in run.stages
        ),
        "The rate grew to the last stage: the server was not saturated."
        if run.knee is None
        else f"From {run.knee} users on, more users bring hardly more sessions, only longer ones.",
    )


def _series(samples: Sequence[LoadSample], source: str, name: str) -> tuple[tuple[float, float | None], ...]:
    return tuple(
        (sample.at, sample.values[name]) for sample in samples if sample.source == source and name in sample.values
    )


def _until(run: LoadRun) -> float | None:
    return max([point.at for point in run.timeline] + [sample.at for sample in run.samples], default=None)


def _both_sides(run: LoadRun) -> list[Panel]:
    found = []
    for title, unit, figures in _GROUPS:
        lines = [Line(name, points) for source, key, name in figures if (points := _series(run.samples, source, key))]
        if lines:
            found.append(_over_time(Plot(title, unit, tuple(lines), until=_until(run))))
    return found


def _endings(run: LoadRun) -> Panel | None:
    """How connections ended, as the server counts them since the load began; the most frequent ways."""
    samples = [sample for sample in run.samples if sample.source == "server"]
    if len(samples) < 2:
        return None
    first, last = samples[0].values, samples[-1].values

    def grown(name: str) -> float:
        return last[name] - first.get(name, 0.0)

    names = [name for name in last if name.startswith("ended ") and grown(name) > 0]
    names.sort(key=grown, reverse=True)

    def since(name: str) -> Callable[[float], float]:
        return lambda value: value - first.get(name, 0.0)

    lines = []
    for name in names[:_LINES]:
        more = since(name)
        points = tuple((sample.at, more(sample.values[name])) for sample in samples if name in sample.values)
        lines.append(Line(show(name.removeprefix("ended "), _LIMIT), points))
    return (
        _over_time(Plot("Endings the server counted", "connections", tuple(lines), until=_until(run)))
        if lines
        else None
    )


def _over_time(plot: Plot) -> Panel:
    """Return a plot of samples with its table: the lines by time, thinned out where there are very many."""
    by_time: dict[float, dict[int, float]] = {}
    for number, line in enumerate(plot.lines):
        for at, value in line.points:
            if value is not None:
                by_time.setdefault(round(at), {})[number] = value
    times = sorted(by_time)
    stride = max(1, math.ceil(len(times) / _ROWS))
    rows = tuple(
        (f"{at:g} s", *(_number(by_time[at].get(number)) for number in range(len(plot.lines))))
        for at in times[::stride]
    )
    return Panel(plot, ("At", *(line.name for line in plot.lines)), rows)
