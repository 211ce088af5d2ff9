"""What a conformance run shows on the terminal: live progress on one, plain lines elsewhere, the summary on both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn
from rich.table import Table

from proxyspec.conformance import Listener, Preflight
from proxyspec.display import STYLES, UnderWay, badge, plain_table, print_lines, print_table
from proxyspec.model import Disposition, Verdict
from proxyspec.printable import printable, show_bytes
from proxyspec.records import BaselineRecord, CaseRecord, ConformanceRun

__all__ = ["RunConsole", "print_hints", "print_run"]

#: Failures shown with their bytes; further ones get a line each.
EVIDENCE_LIMIT = 20


class RunConsole(UnderWay, Listener):
    """Shows a run of `total` cases; use it as a context manager around the run."""

    def __init__(self, console: Console, total: int, waits: float) -> None:
        super().__init__(console, "sanity check", total, BarColumn(bar_width=None), MofNCompleteColumn())
        self._total = total
        self._waits = waits
        self._counts: Counter[Verdict] = Counter()
        self._shown = 0

    def preflight(self, found: Preflight) -> None:
        """Say that the wave begins; the last verdicts come with the header deadline."""
        if found.unjudgeable is None:
            seen = (
                "the EHLO reply shows the address it believes" if found.oracle == "ehlo" else f"oracle: {found.oracle}"
            )
            ends = f"the last ones end with the {self._waits:g} s header deadline"
            self._print(f"[dim]target answers ({seen}); {self._total} cases, {ends}[/]")
            if found.takes_wrong_crc32c:
                self._print("[dim]it takes a header with a wrong CRC32C: what needs crc32c is SKIP, unless declared[/]")

    def remark(self, words: str) -> None:
        """Say why the run takes longer."""
        self._print(f"[dim]{escape(words)}[/]")

    def judged(self, record: CaseRecord) -> None:
        """Advance the bar; print what is neither passed nor skipped at once."""
        self._counts[record.verdict] += 1
        tally = "  ".join(f"{count} {verdict}" for verdict, count in sorted(self._counts.items()))
        self._update(tally, advance=1)
        if record.outcome is None and record.verdict is not Verdict.ERROR:
            return
        if record.disposition is Disposition.KNOWN:
            self._print(_line(record))
        elif record.verdict in (Verdict.FAIL, Verdict.ERROR):
            self._shown += 1
            self._print(*(_evidence(record) if self._shown <= EVIDENCE_LIMIT else [_line(record)]))
        elif record.verdict is Verdict.WARN or record.disposition is not None:
            self._print(_line(record))


def _line(record: CaseRecord) -> str:
    expected = f"[bold]{record.disposition}[/] " if record.disposition is not None else ""
    return f"{badge(record.verdict)} {expected}{escape(record.id)}  {escape(printable(record.reason))}"


def _evidence(record: CaseRecord) -> list[str]:
    """What a failure shows: the rule, the bytes both ways, the end."""
    return [
        _line(record),
        f"  {'rule':9}{escape(record.title)} (section {record.section}, {record.level})",
        f"  {'sent':9}{escape(show_bytes(bytes.fromhex(record.sent)))}",
        f"  {'received':9}{escape(show_bytes(bytes.fromhex(record.received)))}",
        f"  {'ended':9}{record.ending}, after {record.duration:.2f} s",
    ]


def _chapters(records: Iterable[CaseRecord]) -> Table:
    verdicts = [verdict for verdict in Verdict if any(record.verdict is verdict for record in records)]
    table = plain_table()
    table.add_column("chapter")
    for verdict in verdicts:
        table.add_column(verdict, justify="right", style=STYLES[verdict])
    for chapter in dict.fromkeys(record.id.split("/")[0] for record in records):
        counts = Counter(record.verdict for record in records if record.id.split("/")[0] == chapter)
        table.add_row(chapter, *(str(counts[verdict] or "·") for verdict in verdicts))
    return table


def _expected(run: ConformanceRun, baseline: BaselineRecord) -> Iterable[str]:
    """Yield what the baseline made of the verdicts, and its entries that have outlived their reason."""
    counts = Counter(record.disposition for record in run.cases if record.disposition is not None)
    told = ", ".join(f"{count} {disposition}" for disposition, count in sorted(counts.items()))
    yield f"\nbaseline {escape(printable(baseline.path))}: {told or 'nothing to tell'}"
    for words in baseline.stale:
        yield f"[bold red]stale[/] {escape(printable(words))}"


def print_run(console: Console, run: ConformanceRun) -> None:
    """Print what the whole run found: why cases were not judged or skipped, and one row a chapter."""
    unjudged = Counter(
        record.reason for record in run.cases if record.verdict is Verdict.UNTESTABLE and run.unjudgeable is None
    )
    for reason, count in unjudged.most_common(8):
        print_lines(console, f"[magenta]{count} not judged[/]: {escape(printable(reason))}")
    skipped = Counter(record.reason for record in run.cases if record.verdict is Verdict.SKIP)
    for reason, count in skipped.most_common(8):
        print_lines(console, f"[dim]{count} skipped: {escape(printable(reason))}[/]")
    console.print()
    print_table(console, _chapters(run.cases))
    if run.baseline is not None:
        print_lines(console, *_expected(run, run.baseline))
    if run.unjudgeable is not None:
        print_lines(console, f"\n[bold red]cannot be judged[/]: {escape(printable(run.unjudgeable))}")


def print_hints(console: Console, hints: Iterable[str]) -> None:
    """Print what the run suggests to do, a line each, in the way that `proxyspec doctor` shows remedies."""
    print_lines(console, *(f"[dim]→[/] {escape(printable(hint))}" for hint in hints))
