"""What every command shows alike on a terminal: a run under way, verdicts in their colours, tables, lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.measure import Measurement, measure_renderables
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proxyspec.model import Verdict

__all__ = ["STYLES", "UnderWay", "badge", "plain_table", "print_lines", "print_table", "tally"]

#: The colour of each verdict; the word always stands beside it.
STYLES: Final = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INFO: "cyan",
    Verdict.UNTESTABLE: "magenta",
    Verdict.SKIP: "dim",
    Verdict.ERROR: "bold red",
}


#: Columns no table has.
_WIDEST: Final = 10_000


def badge(verdict: Verdict, width: int = 10) -> str:
    """Return the verdict as markup in its colour, `width` columns at least."""
    return f"[{STYLES[verdict]}]{verdict:<{width}}[/]"


def tally(verdicts: Iterable[Verdict]) -> str:
    """Count verdicts in words, in the order of the enumeration."""
    counts = Counter(verdicts)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]) or "nothing judged"


def plain_table() -> Table:
    """Return a table without lines, for columns and rows to be added."""
    return Table(box=None, pad_edge=False, header_style="bold")


def print_table(console: Console, table: Table) -> None:
    """Print a table with every figure whole: where a terminal is too narrow for that, its lines run on."""
    wide = console.options.update(max_width=_WIDEST)
    sizes = [measure_renderables(console, wide, [column.header, *column.cells]) for column in table.columns]
    least = Measurement.get(console, wide, table).maximum
    for column, size in zip(table.columns, sizes, strict=True):
        least -= 0 if column.no_wrap else size.maximum - size.minimum
    if least > console.width:
        table.width = least
    console.print(table, crop=False)


def print_lines(console: Console, *lines: str) -> None:
    """Print lines of markup as long as they are: no colours of rich's own, no folding."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


class UnderWay:
    """A run under way, a context manager around it: a bar that only a terminal shows, gone at the end, and lines.

    `doing` is the description before anything is known; `columns` stand between the description and the time elapsed.
    """

    def __init__(self, console: Console, doing: str, total: float | None, *columns: ProgressColumn) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            *columns,
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task(doing, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def _update(
        self,
        doing: str | None = None,
        *,
        advance: float | None = None,
        completed: float | None = None,
        total: float | None = None,
    ) -> None:
        """Change what the bar shows; None leaves it as it is."""
        self._progress.update(self._task, description=doing, advance=advance, completed=completed, total=total)

    def _print(self, *lines: str) -> None:
        print_lines(self._console, *lines)
