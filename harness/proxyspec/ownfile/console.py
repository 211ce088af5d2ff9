"""What a check or a trial of the user's files shows on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxyspec.display import badge, plain_table, print_lines, print_table
from proxyspec.model import Verdict
from proxyspec.records.haproxy_file import FindingRecord, HAProxyFileRun, TriedServerRecord

__all__ = ["print_file_run"]


def _finding(record: FindingRecord) -> Iterable[str]:
    only = f" [dim](HAProxy {escape(', '.join(record.versions))})[/]" if record.versions else ""
    yield f"[bold]{escape(f'{record.file}:{record.line}')}[/] {badge(record.verdict, 4)} {escape(record.title)}{only}"
    yield f"    [dim]{escape(record.text)}[/]"
    yield f"    why     {escape(record.reason)} [dim]\\[{escape(record.rule)}][/]"
    yield f"    remedy  {escape(record.remedy)}"


def _servers(rows: Iterable[TriedServerRecord]) -> Table:
    table = plain_table()
    for name in ("server", "verdict", "status", "after", "last check", "conn.", "header", "none", "resets", "mails"):
        justify: Literal["left", "right"] = "right" if name in ("after", "conn.", "none", "resets", "mails") else "left"
        table.add_column(name, justify=justify, no_wrap=name not in ("last check", "header"), overflow="fold")
    for row in rows:
        table.add_row(
            escape(f"{row.proxy}/{row.server}"),
            badge(row.verdict, 4),
            escape(row.status),
            "·" if row.seconds is None else f"{row.seconds:.1f} s",
            escape(row.check),
            str(row.connections),
            escape("; ".join(f"{count} × {words}" for words, count in row.headers.items()) or "·"),
            str(row.headerless or "·"),
            str(row.resets or "·"),
            str(row.messages),
        )
    return table


def print_file_run(console: Console, run: HAProxyFileRun) -> None:
    """Print what was found, most telling last; a trial shows its servers as a table."""
    for finding in run.findings:
        print_lines(console, *_finding(finding), "")
    if run.changes:
        print_lines(console, "[bold]changed for the trial[/]")
        print_lines(
            console, *(f"    {escape(f'{change.file}:{change.line}  {change.what}')}" for change in run.changes)
        )
        console.print()
    if run.servers:
        print_table(console, _servers(run.servers))
        console.print()
    for server in run.servers:
        if server.verdict is not Verdict.PASS:
            name = escape(f"{server.proxy}/{server.server}")
            print_lines(console, f"{badge(server.verdict)} {name}: {escape(server.reason)}")
    for row in (*run.accepted, *run.binds):
        print_lines(console, f"{badge(row.verdict)} {escape(row.title)}: {escape(row.reason)}")
    carried = ", ".join(run.services) or "none: no port, check or header says that this file is about SMTP"
    print_lines(console, f"sections that carry SMTP: {escape(carried)}")
    counts = Counter(row.verdict for row in run.judged)
    print_lines(console, "  ".join(f"{badge(verdict, 4)} {counts[verdict]}" for verdict in Verdict if counts[verdict]))
