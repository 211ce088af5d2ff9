"""A sender run on a terminal: a line a connection, the table of settings and versions, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxyspec.model import Verdict
from proxyspec.records.sender import SenderRecord, SenderRun

__all__ = ["print_connection", "print_problems", "print_table", "tally"]

_STYLES: Final = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INFO: "cyan",
    Verdict.UNTESTABLE: "magenta",
    Verdict.SKIP: "dim",
    Verdict.ERROR: "bold red",
}
_PROBLEMS: Final = (Verdict.ERROR, Verdict.FAIL, Verdict.UNTESTABLE, Verdict.WARN)
#: Reasons printed one by one; a run's record has them all.
_MOST: Final = 40


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _badge(verdict: Verdict) -> str:
    return f"[{_STYLES[verdict]}]{verdict:10}[/]"


def tally(rows: Iterable[SenderRecord]) -> str:
    """Count verdicts in words, the gravest last."""
    counts = Counter(row.verdict for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]) or "nothing judged"


def print_connection(console: Console, row: SenderRecord) -> None:
    """Print one connection, and each rule it broke."""
    header = escape(_printable(row.header)) if row.header is not None else "[dim]no header[/]"
    _line(console, f"{_badge(row.verdict)} {escape(row.peer or row.sender)}  {header}")
    if not row.findings and row.verdict is not Verdict.PASS:
        _line(console, f"           {escape(_printable(row.reason))}")
    for finding in row.findings:
        where = "the setting" if finding.section == "setting" else f"section {finding.section}"
        said = f"{escape(_printable(finding.words))} [dim]({finding.rule}, {where})[/]"
        _line(console, f"           [{_STYLES[finding.verdict]}]{finding.verdict}[/] {said}")


def print_table(console: Console, run: SenderRun) -> None:
    """Print settings against senders."""
    senders = list(dict.fromkeys(row.sender for row in run.rows))
    cells = {(row.setting, row.sender): row for row in run.rows}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    for sender in senders:
        # Six releases side by side: a distribution's own suffix would not fit.
        table.add_column(escape(sender.removeprefix("HAProxy ").partition("-")[0]))
    for setting in dict.fromkeys(row.setting for row in run.rows):
        of_setting = [cells.get((setting, sender)) for sender in senders]
        table.add_row(setting, *("·" if cell is None else _badge(cell.verdict).strip() for cell in of_setting))
    console.print()
    console.print(table)


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
        _line(console, f"{_badge(verdict)} {escape(_printable(reason))}")
        _line(console, f"           [dim]{escape(settings)}; {escape(senders)}[/]")
    if len(grouped) > _MOST:
        _line(console, f"[dim]… {len(grouped) - _MOST} more in the run record[/]")
