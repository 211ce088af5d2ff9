"""What a conformance run shows on the terminal: live progress on one, plain lines elsewhere, the summary on both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proxyspec.conformance import Listener, Preflight
from proxyspec.model import Disposition, Verdict
from proxyspec.records import BaselineRecord, CaseRecord, ConformanceRun

__all__ = ["RunConsole", "print_run", "show_bytes"]

_STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INFO: "cyan",
    Verdict.UNTESTABLE: "magenta",
    Verdict.SKIP: "dim",
    Verdict.ERROR: "bold red",
}

#: Bytes of evidence shown a line; the run record holds them all.
SHOWN = 160
#: Failures shown with their bytes; further ones get a line each.
EVIDENCE_LIMIT = 20


def show_bytes(data: bytes) -> str:
    """Return bytes as printable ASCII, control characters as escapes, cut to what a terminal can bear."""
    text = repr(data[:SHOWN])[2:-1]
    return text + (f"… {len(data) - SHOWN} bytes more" if len(data) > SHOWN else "")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class RunConsole(Listener):
    """Shows a run of `total` cases; use it as a context manager around the run."""

    def __init__(self, console: Console, total: int, waits: float) -> None:
        self._console = console
        self._total = total
        self._waits = waits
        self._counts: Counter[Verdict] = Counter()
        self._shown = 0
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("sanity check", total=total)

    def __enter__(self) -> RunConsole:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def preflight(self, found: Preflight) -> None:
        """Say that the wave begins; the last verdicts come with the header deadline."""
        if found.unjudgeable is None:
            seen = (
                "the EHLO reply shows the address it believes" if found.oracle == "ehlo" else f"oracle: {found.oracle}"
            )
            ends = f"the last ones end with the {self._waits:g} s header deadline"
            _print(self._console, [f"[dim]target answers ({seen}); {self._total} cases, {ends}[/]"])

    def judged(self, record: CaseRecord) -> None:
        """Advance the bar; print what is neither passed nor skipped at once."""
        self._counts[record.verdict] += 1
        tally = "  ".join(f"{count} {verdict}" for verdict, count in sorted(self._counts.items()))
        self._progress.update(self._task, advance=1, description=tally)
        if record.outcome is None and record.verdict is not Verdict.ERROR:
            return
        if record.disposition is Disposition.KNOWN:
            _print(self._console, [_line(record)])
        elif record.verdict in (Verdict.FAIL, Verdict.ERROR):
            self._shown += 1
            _print(self._console, _evidence(record) if self._shown <= EVIDENCE_LIMIT else [_line(record)])
        elif record.verdict is Verdict.WARN or record.disposition is not None:
            _print(self._console, [_line(record)])


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _line(record: CaseRecord) -> str:
    style = _STYLES[record.verdict]
    expected = f"[bold]{record.disposition}[/] " if record.disposition is not None else ""
    return f"[{style}]{record.verdict:10}[/] {expected}{escape(record.id)}  {escape(_printable(record.reason))}"


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
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("chapter")
    for verdict in verdicts:
        table.add_column(verdict, justify="right", style=_STYLES[verdict])
    for chapter in dict.fromkeys(record.id.split("/")[0] for record in records):
        counts = Counter(record.verdict for record in records if record.id.split("/")[0] == chapter)
        table.add_row(chapter, *(str(counts[verdict] or "·") for verdict in verdicts))
    return table


def _expected(run: ConformanceRun, baseline: BaselineRecord) -> Iterable[str]:
    """Yield what the baseline made of the verdicts, and its entries that have outlived their reason."""
    counts = Counter(record.disposition for record in run.cases if record.disposition is not None)
    told = ", ".join(f"{count} {disposition}" for disposition, count in sorted(counts.items()))
    yield f"\nbaseline {escape(_printable(baseline.path))}: {told or 'nothing to tell'}"
    for words in baseline.stale:
        yield f"[bold red]stale[/] {escape(_printable(words))}"


def print_run(console: Console, run: ConformanceRun) -> None:
    """Print what the whole run found: why cases were not judged, and one row a chapter."""
    unjudged = Counter(
        record.reason for record in run.cases if record.verdict is Verdict.UNTESTABLE and run.unjudgeable is None
    )
    for reason, count in unjudged.most_common(8):
        _print(console, [f"[magenta]{count} not judged[/]: {escape(_printable(reason))}"])
    console.print()
    console.print(_chapters(run.cases))
    if run.baseline is not None:
        _print(console, _expected(run, run.baseline))
    if run.unjudgeable is not None:
        console.print(
            f"\n[bold red]cannot be judged[/]: {escape(_printable(run.unjudgeable))}", highlight=False, soft_wrap=True
        )
