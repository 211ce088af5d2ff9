"""What a traffic run shows: live progress on a terminal, a line a scenario everywhere, a table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proxyspec.model import Verdict
from proxyspec.records.traffic import TrafficRecord, TrafficRun
from proxyspec.traffic.model import Attempt, Scenario
from proxyspec.traffic.run import RunListener
from proxyspec_haproxy import Choice

__all__ = ["TrafficConsole", "print_traffic"]

_STYLES: Final = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INFO: "cyan",
    Verdict.UNTESTABLE: "magenta",
    Verdict.SKIP: "dim",
    Verdict.ERROR: "bold red",
}


class TrafficConsole(RunListener):
    """Shows a run of `total` scenarios; use it as a context manager around the run."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._sessions = 0
        self._failed = 0
        self._under_way: list[str] = []
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=total)

    def __enter__(self) -> TrafficConsole:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def haproxy(self, choice: Choice, release: str) -> None:
        """Say on which HAProxy the scenarios begin."""
        del release
        self._print(f"[dim]{escape(choice.engine.describe())}; {escape(choice.why)}[/]")

    def began(self, scenario: Scenario) -> None:
        """Show what is under way."""
        self._under_way.append(scenario.name)
        self._update()

    def attempted(self, attempt: Attempt) -> None:
        """Count."""
        self._sessions += 1
        self._failed += attempt.fault is not None
        if self._sessions % 20 == 0:
            self._update()

    def judged(self, record: TrafficRecord) -> None:
        """Print the verdict on a line."""
        if record.scenario in self._under_way:
            self._under_way.remove(record.scenario)
        style = _STYLES[record.verdict]
        self._progress.advance(self._task)
        self._update()
        self._print(f"[{style}]{record.verdict:10}[/] {escape(record.id)}  {escape(record.reason)}")

    def _update(self) -> None:
        now = f"{self._sessions} sessions, {self._failed} failed: {', '.join(self._under_way)}"
        self._progress.update(self._task, description=escape(now))

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def _count(number: int) -> str:
    return str(number or "·")


def _table(rows: Sequence[TrafficRecord]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("scenario", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for column in ("rate", "sent", "ack", "dlvd", "lost", "twice", "doubt", "redisp", "DOWN"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.scenario,
            f"[{_STYLES[row.verdict]}]{row.verdict}[/]",
            "·" if row.rate is None else f"{row.rate:.0f}/s",
            *map(_count, (row.sent, row.acknowledged, row.delivered, row.lost, row.duplicated, row.in_doubt)),
            _count(row.redispatched),
            f"{max(row.times_to_down):.2f}" if row.times_to_down else "·",
        )
    return table


def print_traffic(console: Console, run: TrafficRun) -> None:
    """Print a table for each HAProxy: what became of the messages in each scenario."""
    for label in dict.fromkeys(row.id.rpartition("@")[2] for row in run.rows):
        console.print(f"\n[bold]HAProxy {escape(label)}[/]", highlight=False)
        console.print(_table([row for row in run.rows if row.id.rpartition("@")[2] == label]))
    console.print(
        "\nmessages: sent whole, acknowledged, delivered, lost, delivered twice, never answered (doubt); "
        "sessions redispatched; seconds until DOWN",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"{run.rate:g} sessions/s asked of each scenario under load; clients, HAProxy and servers share "
        f"{run.processors} processors",
        highlight=False,
        soft_wrap=True,
    )
