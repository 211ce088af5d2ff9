"""What a traffic run shows: live progress on a terminal, a line a scenario everywhere, a table at the end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn
from rich.table import Table

from proxyspec.display import UnderWay, badge, plain_table, print_lines, print_table
from proxyspec.records.traffic import TrafficRecord, TrafficRun
from proxyspec.traffic.model import Attempt, Scenario
from proxyspec.traffic.run import RunListener
from proxyspec_haproxy import Choice

__all__ = ["TrafficConsole", "print_traffic"]


class TrafficConsole(UnderWay, RunListener):
    """Shows a run of `total` scenarios; use it as a context manager around the run."""

    def __init__(self, console: Console, total: int) -> None:
        super().__init__(console, "starting", total, BarColumn(bar_width=20), MofNCompleteColumn())
        self._sessions = 0
        self._failed = 0
        self._under_way: list[str] = []

    def haproxy(self, choice: Choice, release: str) -> None:
        """Say on which HAProxy the scenarios begin."""
        del release
        self._print(f"[dim]{escape(choice.engine.describe())}; {escape(choice.why)}[/]")

    def began(self, scenario: Scenario) -> None:
        """Show what is under way."""
        self._under_way.append(scenario.name)
        self._tell()

    def attempted(self, attempt: Attempt) -> None:
        """Count."""
        self._sessions += 1
        self._failed += attempt.fault is not None
        if self._sessions % 20 == 0:
            self._tell()

    def judged(self, record: TrafficRecord) -> None:
        """Print the verdict on a line."""
        if record.scenario in self._under_way:
            self._under_way.remove(record.scenario)
        self._tell(judged=1)
        self._print(f"{badge(record.verdict)} {escape(record.id)}  {escape(record.reason)}")

    def _tell(self, judged: int = 0) -> None:
        now = f"{self._sessions} sessions, {self._failed} failed: {', '.join(self._under_way)}"
        self._update(escape(now), advance=judged)


def _count(number: int) -> str:
    return str(number or "·")


def _table(rows: Sequence[TrafficRecord]) -> Table:
    table = plain_table()
    table.padding = (0, 1, 0, 0)
    table.add_column("scenario", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for column in ("rate", "sent", "ack", "dlvd", "lost", "twice", "doubt", "redisp", "DOWN"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.scenario,
            badge(row.verdict, 0),
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
        print_table(console, _table([row for row in run.rows if row.id.rpartition("@")[2] == label]))
    print_lines(
        console,
        "\nmessages: sent whole, acknowledged, delivered, lost, delivered twice, never answered (doubt); "
        "sessions redispatched; seconds until DOWN",
        f"{run.rate:g} sessions/s asked of each scenario under load; clients, HAProxy and servers share "
        f"{run.processors} processors",
    )
