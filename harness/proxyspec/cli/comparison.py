"""Comparisons of runs on the terminal, and the reading of runs that all such commands begin with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from proxyspec.errors import UsageError
from proxyspec.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec.compare import Change, Comparison
    from proxyspec.records import CaseRecord, ConformanceRun

__all__ = ["conformance_run", "print_comparison"]

#: Ids of cases only one run has that are shown.
SHOWN = 8


def conformance_run(path: Path) -> ConformanceRun:
    """Read the record of a conformance run.

    Raises:
        UsageError: there is none, or it is of another kind.
    """
    from proxyspec.records import ConformanceRun, InvalidRun, load_run

    try:
        run = load_run(path)
    except InvalidRun as error:
        raise UsageError(str(error)) from error
    if not isinstance(run, ConformanceRun):
        kind = run.model_dump(include={"kind"})["kind"]
        raise UsageError(f"{path} is a {kind} run, which has no cases: name what `proxyspec run` wrote")
    return run


def print_comparison(console: Console, comparison: Comparison, before: str, after: str) -> None:
    """Print what changed, worst first, and one line of sums; the runs are called `before` and `after`."""
    for change in comparison.changes:
        console.print(*_lines(change), sep="\n", highlight=False, markup=False, soft_wrap=True)
    _one_sided(console, comparison.only_before, before)
    _one_sided(console, comparison.only_after, after)
    better = sum(change.improvement for change in comparison.changes)
    console.print(
        f"{comparison.common} cases compared, {len(comparison.changes)} changed: {len(comparison.regressions)} worse, "
        f"{better} better, {len(comparison.changes) - len(comparison.regressions) - better} otherwise",
        highlight=False,
        soft_wrap=True,
    )


def _lines(change: Change) -> list[str]:
    word = "worse" if change.regression else "better" if change.improvement else "other"
    differences = ", ".join(change.differences)
    lines = [f"{word:7}{change.after.id} ({differences})"]
    lines += [f"  before {_state(change.before)}", f"  after  {_state(change.after)}"]
    return lines


def _state(record: CaseRecord) -> str:
    outcome = record.outcome.text if record.outcome is not None else "did not run"
    words = f"{record.verdict:10} {outcome}, {record.ending}, {record.duration:.3f} s: {record.reason}"
    return printable(words[:500])


def _one_sided(console: Console, ids: Sequence[str], run: str) -> None:
    if ids:
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        named = printable(", ".join(ids[:SHOWN]))
        console.print(f"only in {run}: {named}{more}", highlight=False, markup=False, soft_wrap=True)
