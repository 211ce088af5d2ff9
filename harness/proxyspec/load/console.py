"""What a load shows: live progress on a terminal, a plain line every few seconds elsewhere, the figures at the end."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn
from rich.table import Table

from proxyspec.display import UnderWay, plain_table, print_lines, print_table
from proxyspec.load.messages import Started, Tick
from proxyspec.load.runner import LoadListener
from proxyspec.printable import printable
from proxyspec.records import LoadRun

__all__ = ["LoadConsole", "print_comparison", "print_load"]

#: Seconds between two plain lines.
LINE_EVERY = 5.0

#: Kinds of errors shown; the record holds them all.
SHOWN_ERRORS = 10

_COLUMNS = {"0.5": "p50", "0.9": "p90", "0.95": "p95", "0.99": "p99", "1.0": "max"}


class LoadConsole(UnderWay, LoadListener):
    """Shows a load as it goes on; use it as a context manager around the run."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, "starting Locust", None, BarColumn())
        self._next_line = LINE_EVERY
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why nothing could be measured, if so."""
        return self._reason

    def started(self, message: Started) -> None:
        """Say what begins."""
        users = "1 user" if message.users == 1 else f"{message.users} users"
        how_long = "until interrupted" if message.seconds is None else f"for {message.seconds:g} s"
        header = "no header" if message.header == "none" else f"header {message.header}"
        self._console.print(f"[dim]{users}, {escape(header)}, {how_long}[/]", highlight=False)
        self._update(total=message.seconds)

    def ticked(self, message: Tick) -> None:
        """Advance the bar, or print a line now and then."""
        point = message.point
        now = f"{point.users} users  {point.rate:.0f} sessions/s  {message.failures} failed"
        self._update(now, completed=point.at)
        if not self._console.is_terminal and point.at >= self._next_line:
            self._next_line += LINE_EVERY
            self._console.print(f"{point.at:5.0f} s  {now}", highlight=False)

    def unmeasurable(self, reason: str) -> None:
        """Keep the reason for the end."""
        self._reason = reason


def _steps(run: LoadRun) -> Table:
    table = plain_table()
    table.add_column("step", no_wrap=True)
    for column in ("count", "failed", "mean", *_COLUMNS.values()):
        table.add_column(column, justify="right", no_wrap=True)
    for step in run.steps:
        times = (step.mean_ms, *(step.percentiles_ms[key] for key in _COLUMNS))
        table.add_row(step.name, str(step.count), str(step.failures or "·"), *(f"{value:.1f}" for value in times))
    return table


def print_load(console: Console, run: LoadRun, reason: str | None) -> None:
    """Print what a load measured: steps, errors, thresholds; or `reason`, why it measured nothing."""
    if run.steps:
        print_table(console, _steps(run))
        print_lines(
            console,
            f"\n{run.sessions} sessions, {run.failures} failed, {run.rate:.1f} sessions/s; times in milliseconds",
        )
    if run.planned:
        ends = ", ".join(f"{count} × {printable(name)}" for name, count in sorted(run.planned.items()))
        console.print(f"ended early as planned: {escape(ends)}", highlight=False)
    if run.lost:
        print_lines(
            console,
            f"[yellow]{run.lost} of {run.workers} processes ended without their last figures: "
            "what they did since their last report is missing[/]",
        )
    if len(run.stages) > 1:
        levels = ", ".join(f"{stage.users}: {stage.rate:.0f}/s" for stage in run.stages)
        found = "none: the rate grew to the last step" if run.knee is None else f"{run.knee} users"
        print_lines(console, f"sessions by users: {levels}; knee: {found}")
    for limit in run.generator.limits if run.generator else ():
        print_lines(console, f"[yellow]{escape(limit)}[/]")
    for note in run.notes:
        print_lines(console, f"[yellow]{escape(printable(note))}[/]")
    for error in run.errors[:SHOWN_ERRORS]:
        console.print(
            f"[yellow]{error.count} × {escape(printable(error.error))}[/] ({escape(error.step)})", highlight=False
        )
    if len(run.errors) > SHOWN_ERRORS:
        console.print(f"and {len(run.errors) - SHOWN_ERRORS} more kinds of errors", highlight=False)
    for threshold in run.thresholds:
        word = "[green]MET   [/]" if threshold.met else "[bold red]MISSED[/]"
        actual = "not measured" if threshold.actual is None else f"measured {threshold.actual:.6g}"
        print_lines(console, f"{word} {escape(threshold.expression)}  ({actual})")
    if reason is not None:
        print_lines(console, f"[bold red]nothing measured[/]: {escape(printable(reason))}")


def print_comparison(console: Console, what: str, runs: Sequence[tuple[str, LoadRun]]) -> None:
    """Print sessions per second and times of each name: medians over the rounds, least and most in brackets.

    `what` says of what kind the names are. The rate is also set against the first one's, round by round, so that a
    busy minute falls out.
    """
    by_name: dict[str, list[LoadRun]] = {}
    for name, run in runs:
        by_name.setdefault(name, []).append(run)
    if not by_name:
        return
    first = next(iter(by_name.values()))
    table = plain_table()
    for column in (what, "rounds", "sessions/s", "of the first", "p50 ms", "p99 ms", "failed"):
        table.add_column(column, justify="left" if column == what else "right", no_wrap=True)
    for name, group in by_name.items():
        pairs = zip(group, first, strict=False)
        ratios = [run.rate / base.rate for run, base in pairs if base.rate > 0]
        table.add_row(
            escape(printable(name)),
            str(len(group)),
            _range([run.rate for run in group], 0),
            _range(ratios, 2),
            *(_range(_times(group, key), 2) for key in ("0.5", "0.99")),
            str(sum(run.failures for run in group) or "·"),
        )
    print_table(console, table)


def _times(runs: Sequence[LoadRun], key: str) -> list[float]:
    return [step.percentiles_ms[key] for run in runs for step in run.steps if step.name == "session"]


def _range(values: Sequence[float], digits: int) -> str:
    if not values:
        return "–"
    return f"{median(values):.{digits}f} [{min(values):.{digits}f} – {max(values):.{digits}f}]"
