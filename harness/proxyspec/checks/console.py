"""What a health-check run shows on the terminal: progress while it goes on, the table and what deviates at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxyspec.display import STYLES, UnderWay, badge, plain_table, print_lines, print_table, tally
from proxyspec.model import Verdict
from proxyspec.printable import printable
from proxyspec.records.checks import CheckRecord

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice

__all__ = ["ChecksConsole", "cell_text", "print_checks"]

#: What deviates; coloured in the table as INFO is, and explained below it.
_DEVIANT = frozenset({Verdict.FAIL, Verdict.UNTESTABLE, Verdict.ERROR})


class ChecksConsole(UnderWay):
    """Tells which HAProxies are watched and which are done; use it as a context manager around the run."""

    def __init__(self, console: Console, total: int) -> None:
        super().__init__(console, "starting the servers", None)
        self._total = total
        self._done = 0
        self._watched: list[str] = []

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
        line = f"{choice.engine.describe()}: {tally(row.verdict for row in rows)}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _show(self) -> None:
        watched = " and ".join(self._watched) or "nothing"
        self._update(f"{self._done} of {self._total} done, watching {escape(watched)}")


def cell_text(row: CheckRecord, *, between: str = " ") -> str:
    """Say what HAProxy reported, and after which time with how many of 100 checks reset, `between` the two."""
    if row.up is None:
        return row.verdict
    figures = "" if row.seconds is None else f"{row.seconds:.1f}s"
    if row.per_hundred is not None:
        figures = f"{figures} {row.per_hundred:.0f}R"
    told = printable(f"{'UP' if row.up else 'DOWN'} {row.result}")
    return f"{told}{between}{figures}".strip()


def _table(rows: Sequence[CheckRecord], between: str) -> Table:
    columns = list(dict.fromkeys(row.haproxy for row in rows))
    table = plain_table()
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
    if row.verdict is not Verdict.INFO and row.verdict not in _DEVIANT:
        return text
    word = "" if row.verdict is Verdict.INFO or row.up is None else f" {row.verdict}"
    return f"[{STYLES[row.verdict]}]{text}{word}[/]"


def print_checks(console: Console, rows: Sequence[CheckRecord]) -> None:
    """Print the table, and why what deviates does."""
    if not rows:
        return
    table = _table(rows, " ")
    if console.is_terminal and console.measure(table).maximum >= console.width:
        table = _table(rows, "\n")
    print_table(console, table)
    console.print(
        "s: seconds to the first result; R: resets per 100 checks, as the server counted", style="dim", highlight=False
    )
    for row in rows:
        if row.verdict in _DEVIANT:
            print_lines(console, f"{badge(row.verdict)} {escape(row.id)}  {escape(printable(row.reason))}")
