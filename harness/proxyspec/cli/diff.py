"""`proxyspec diff`: what changed between two runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.comparison import conformance_run, print_comparison
from proxyspec.errors import ExitCode, UsageError
from proxyspec.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec.records.matrix import MatrixRun

__all__ = ["diff"]


def _matrix(path: Path) -> MatrixRun | None:
    """Read the record of a matrix; None: it is of another kind, or not there."""
    from proxyspec.records import InvalidRun, load_run
    from proxyspec.records.matrix import MatrixRun

    try:
        run = load_run(path)
    except InvalidRun:
        return None
    return run if isinstance(run, MatrixRun) else None


def _matrices(console: Console, before: Path, old: MatrixRun, after: Path, new: MatrixRun) -> ExitCode:
    """List every verdict that differs, cell by cell and repetition by repetition, against the first one before."""
    from proxyspec.compare import Difference, compare

    known = {cell.id: cell for cell in old.cells if cell.runs}
    worse = common = 0
    for cell in new.cells:
        if cell.id not in known or not cell.runs:
            where = after if cell.id in known else before
            console.print(f"{printable(cell.id)}: not judged in {where}", highlight=False, markup=False, soft_wrap=True)
            continue
        first = conformance_run(before / known[cell.id].runs[0])
        for number, path in enumerate(cell.runs, 1):
            found = compare(first.cases, conformance_run(after / path).cases)
            verdicts = tuple(change for change in found.changes if Difference.VERDICT in change.differences)
            console.print(f"{printable(cell.id)}, repetition {number}:", highlight=False, markup=False, style="bold")
            print_comparison(console, dataclasses.replace(found, changes=verdicts), str(before), str(after))
            common += found.common
            worse += len(found.regressions)
    if not common:
        return ExitCode.NOTHING
    return ExitCode.FAILED if worse else ExitCode.OK


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="The earlier run's directory.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="The later run's directory.", show_default=False)],
) -> int:
    """Show which verdicts, outcomes, endings and times changed from one run to another.

    A verdict that got worse is a regression; everything else is news. Times count as changed from 1.5 times and a
    quarter of a second on. Of two matrices every verdict that differs is listed, server by server.

    Exit codes: 0 no regression, 1 at least one, 2 usage, 5 the runs have no case in common.

    Example:

      proxyspec diff reports/out/monday reports/out/tuesday
    """

    from proxyspec.compare import compare

    matrices = _matrix(before), _matrix(after)
    if matrices[0] is not None and matrices[1] is not None:
        return _matrices(terminal.console(), before, matrices[0], after, matrices[1])
    if matrices != (None, None):
        raise UsageError(f"{before} and {after}: one is a matrix, the other is not; name a run within the matrix")
    old, new = conformance_run(before), conformance_run(after)
    comparison = compare(old.cases, new.cases)
    console = terminal.console()
    if old.target.url != new.target.url:
        console.print(f"{old.target.url} before, {new.target.url} after", highlight=False, markup=False, style="dim")
    print_comparison(console, comparison, str(before), str(after))
    if not comparison.common:
        return ExitCode.NOTHING
    return ExitCode.FAILED if comparison.regressions else ExitCode.OK
