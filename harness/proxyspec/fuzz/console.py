"""What a search shows on the terminal: its progress, each fault as it is confirmed, and a table at the end."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn

from proxyspec.conformance import Preflight
from proxyspec.display import UnderWay, plain_table, print_lines, print_table
from proxyspec.fuzz.record import FuzzRun, write_finding
from proxyspec.fuzz.search import Finding, Listener, Results, Search
from proxyspec.printable import show_bytes
from proxyspec.rundir import RunDirectory

__all__ = ["FuzzConsole", "print_fuzz"]


class FuzzConsole(UnderWay, Listener):
    """Shows a search and writes each fault down as it is confirmed; use it as a context manager around the search."""

    def __init__(self, console: Console, search: Search, out: RunDirectory) -> None:
        super().__init__(console, "sanity check", search.seconds, BarColumn(bar_width=None))
        self._search = search
        self._out = out
        self._findings = 0
        self._began = time.monotonic()

    def began(self, found: Preflight) -> None:
        """Say what will be seen, and how to see it again."""
        self._began = time.monotonic()
        if found.unjudgeable is None:
            shows = "shows the address it believes" if found.oracle != "none" else "does not show whom it believes in"
            seed = escape(self._search.seed)
            self._print(f"[dim]target answers and {shows}; seed {seed}, {self._search.seconds:g} s[/]")
            if found.takes_wrong_crc32c:
                self._print("[dim]it takes a header with a wrong CRC32C: checksums do not count, unless declared[/]")

    def progress(self, results: Results) -> None:
        """Advance the bar."""
        elapsed = time.monotonic() - self._began
        rate = results.frames / elapsed if elapsed else 0.0
        text = f"{results.frames} frames  {rate:.0f}/s  {self._findings} findings"
        self._update(text, completed=min(elapsed, self._search.seconds))

    def finding(self, found: Finding, number: int) -> None:
        """Write the case file and show the bytes."""
        self._findings = number
        entry = write_finding(self._out, self._search, found, number)
        self._out.event("finding", entry)
        self._print(
            f"[bold red]finding {number}[/]  {escape(entry.title)} (section {escape(entry.section)})",
            f"  {'sent':9}{escape(show_bytes(found.trial.data))}{' FIN' if found.fin else ''}",
            f"  {'got':9}{escape(entry.seen)}; {escape(show_bytes(found.trial.transcript.received)) or 'nothing'}",
            f"  {'made':9}{escape(entry.made)}",
        )


def print_fuzz(console: Console, run: FuzzRun) -> None:
    """Print what the whole search came to."""
    table = plain_table()
    table.add_column("class")
    for column in ("frames", "as expected", "contradicted", "undecided"):
        table.add_column(column, justify="right")
    for row in run.classes:
        cells = (row.frames, row.as_expected, row.contradicted, row.undecided)
        table.add_row(row.verdict, *(str(cell or "·") for cell in cells))
    console.print()
    print_table(console, table)
    notes = [
        f"{run.frames} frames, {run.rate:.0f}/s, {run.controls} controls in between, {len(run.findings)} findings; "
        f"seed {run.seed}"
    ]
    if run.unfinished:
        notes.append(f"{run.unfinished} frames had no end yet when the time was up")
    if run.strays:
        notes.append(
            f"{len(run.strays)} frames were mistreated among others, not again on their own (strays in fuzz.json)"
        )
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    if run.unjudgeable is not None:
        print_lines(console, f"[bold red]cannot be judged[/]: {escape(run.unjudgeable)}")
