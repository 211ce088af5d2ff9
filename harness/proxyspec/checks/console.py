"""What a health-check run shows on the terminal: progress while it goes on, the table and what deviates at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proxyspec.model import Verdict
from proxyspec.records.checks import CheckRecord

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice

__all__ = ["ChecksConsole", "cell_text", "print_checks", "tally"]

_STYLES = {
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.UNTESTABLE: "magenta",
    Verdict.INFO: "cyan",
}

#: A table wider than this is nobody's.
_WIDEST = 2000


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tally(rows: Sequence[CheckRecord]) -> str:
    """Count the verdicts in words."""
    counts = Counter(row.verdict for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]) or "nothing judged"


class ChecksConsole:
    """Tells which HAProxies are watched and which are done; use it as a context manager around the run."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._watched: list[str] = []
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("starting the servers")

    def __enter__(self) -> ChecksConsole:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def began(self, choice: Choice) -> None:
        """Say which HAProxies are watched now."""
        self._watched.append(choice.engine.describe())
        if self._console.is_terminal:
            self._show()
        else:
            self._console.print(f"watching {choice.engine.describe()}", highlight=False, markup=False, soft_wrap=True)

    def ended(self, choice: Choice, rows: Sequence[CheckRecord]) -> None:
        """Say how one HAProxy went."""
        self._done += 1
        self._watched.remove(choice.engine.describe())
        self._show()
        line = f"{choice.engine.describe()}: {tally(rows)}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _show(self) -> None:
        watched = " and ".join(self._watched) or "nothing"
        self._progress.update(self._task, description=f"{self._done} of {self._total} done, watching {escape(watched)}")


def cell_text(row: CheckRecord, *, between: str = " ") -> str:
    """Say what HAProxy reported, and after which time with how many of 100 checks reset, `between` the two."""
    if row.up is None:
        return row.verdict
    figures = "" if row.seconds is None else f"{row.seconds:.1f}s"
    if row.per_hundred is not None:
        figures = f"{figures} {row.per_hundred:.0f}R"
    told = _printable(f"{'UP' if row.up else 'DOWN'} {row.result}")
    return f"{told}{between}{figures}".strip()


def _table(rows: Sequence[CheckRecord], between: str) -> Table:
    columns = list(dict.fromkeys(row.haproxy for row in rows))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("check", "PROXY", *(column.removeprefix("HAProxy ") for column in columns)):
        table.add_column(heading, no_wrap=True)
    by_place = {(row.check, row.proxy, row.haproxy): row for row in rows}
    for check, proxy in dict.fromkeys((row.check, row.proxy) for row in rows):
        cells = [_cell(by_place.get((check, proxy, column)), between) for column in columns]
        table.add_row(check, proxy, *cells)
    return table


def _cell(row: CheckRecord | None, between: str) -> str:
    if row is None:
        return "·"
    text = escape(cell_text(row, between=between))
    if row.verdict not in _STYLES:
        return text
    word = "" if row.verdict is Verdict.INFO or row.up is None else f" {row.verdict}"
    return f"[{_STYLES[row.verdict]}]{text}{word}[/]"


def print_checks(console: Console, rows: Sequence[CheckRecord]) -> None:
    """Print the table, and why what deviates does."""
    if not rows:
        return
    table = _table(rows, " ")
    if not console.is_terminal:
        # Lines as long as they need to be: a table cut off at the right would hide versions.
        Console(file=console.file, width=_WIDEST).print(table)
    elif console.measure(table).maximum < console.width:
        console.print(table)
    else:
        console.print(_table(rows, "\n"))
    console.print(
        "s: seconds to the first result; R: resets per 100 checks, as the server counted", style="dim", highlight=False
    )
    for row in rows:
        if row.verdict in (Verdict.FAIL, Verdict.UNTESTABLE, Verdict.ERROR):
            line = f"[{_STYLES[row.verdict]}]{row.verdict:10}[/] {escape(row.id)}  {escape(_printable(row.reason))}"
            console.print(line, highlight=False, soft_wrap=True)
