"""A sender run on a terminal: a line a connection, the table of settings and versions, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape

from proxyspec.display import badge, plain_table, print_lines, print_table
from proxyspec.model import Verdict
from proxyspec.printable import printable
from proxyspec.records.sender import SenderRecord, SenderRun

__all__ = ["print_connection", "print_problems", "print_settings"]

_PROBLEMS: Final = (Verdict.ERROR, Verdict.FAIL, Verdict.UNTESTABLE, Verdict.WARN)
#: Reasons printed one by one; a run's record has them all.
_MOST: Final = 40


def print_connection(console: Console, row: SenderRecord) -> None:
    """Print one connection, and each rule it broke."""
    header = escape(printable(row.header)) if row.header is not None else "[dim]no header[/]"
    print_lines(console, f"{badge(row.verdict)} {escape(row.peer or row.sender)}  {header}")
    if not row.findings and row.verdict is not Verdict.PASS:
        print_lines(console, f"           {escape(printable(row.reason))}")
    for finding in row.findings:
        where = "the setting" if finding.section == "setting" else f"section {finding.section}"
        said = f"{escape(printable(finding.words))} [dim]({finding.rule}, {where})[/]"
        print_lines(console, f"           {badge(finding.verdict, 0)} {said}")


def print_settings(console: Console, run: SenderRun) -> None:
    """Print settings against senders."""
    senders = list(dict.fromkeys(row.sender for row in run.rows))
    cells = {(row.setting, row.sender): row for row in run.rows}
    table = plain_table()
    table.add_column("setting", no_wrap=True)
    for sender in senders:
        # Six releases side by side: a distribution's own suffix would not fit.
        table.add_column(escape(sender.removeprefix("HAProxy ").partition("-")[0]), no_wrap=True)
    for setting in dict.fromkeys(row.setting for row in run.rows):
        of_setting = [cells.get((setting, sender)) for sender in senders]
        table.add_row(setting, *("·" if cell is None else badge(cell.verdict) for cell in of_setting))
    console.print()
    print_table(console, table)


def print_problems(console: Console, rows: Sequence[SenderRecord]) -> None:
    """Print every reason once, gravest first, with the settings and senders it holds for."""
    grouped: dict[tuple[Verdict, str], list[SenderRecord]] = {}
    for row in rows:
        if row.verdict in _PROBLEMS:
            grouped.setdefault((row.verdict, row.reason), []).append(row)
    console.print()
    for (verdict, reason), of_reason in sorted(grouped.items(), key=lambda one: _PROBLEMS.index(one[0][0]))[:_MOST]:
        settings = ", ".join(dict.fromkeys(row.setting for row in of_reason))
        senders = ", ".join(dict.fromkeys(row.sender.removeprefix("HAProxy ") for row in of_reason))
        print_lines(console, f"{badge(verdict)} {escape(printable(reason))}")
        print_lines(console, f"           [dim]{escape(settings)}; {escape(senders)}[/]")
    if len(grouped) > _MOST:
        print_lines(console, f"[dim]… {len(grouped) - _MOST} more in the run record[/]")
